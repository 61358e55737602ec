//! Refusals as HTTP says them: `application/problem+json` (RFC 9457), with the codes of gRPC. `docs/errors/README.md`.

use axum::body::Body;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use kho_proto::error::{Code, Kind, Refusal};
use kho_proto::fields::FieldError;
use schemars::JsonSchema;
use serde::Serialize;

use super::bytes64::Base64;
use crate::api;

/// Media type of a refusal.
pub(super) const PROBLEM: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// `urn:kho:error:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: String,
    /// That of the answer.
    status: u16,
    /// One sentence on this request.
    detail: String,
    /// Stable: docs/errors lists all.
    code: &'static str,
    /// What would have been right.
    #[serde(skip_serializing_if = "String::is_empty")]
    expected: String,
    /// What was there instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    found: String,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Milliseconds to wait before that; `Retry-After` has the same in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// The outcome is not known: the record may yet be accepted. Submit the same record again.
    unknown: bool,
    /// Of `record-id-conflict`, to the same unit only: leaf of the record that holds the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_leaf: Option<Base64>,
    /// Of `record-unknown`: size of the log that the answer reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_size: Option<u64>,
    /// Of `figures-invalid` and `catalogue-invalid`: each field that breaks its rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    /// How many fields there are; `fields` has the first ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields_total: Option<u32>,
}

/// A field of the payload that breaks its rule.
#[derive(Debug, Serialize, JsonSchema)]
struct Field {
    /// Where: `deaths`, `rows[3].province` (rows count from 0).
    path: String,
    /// What would have been right.
    expected: String,
    /// What stands there, cut short.
    found: String,
    /// One sentence in Vietnamese.
    message_vi: String,
    /// The same in English.
    message_en: String,
}

impl From<&FieldError> for Field {
    fn from(error: &FieldError) -> Self {
        let FieldError { path, expected, found, message_vi, message_en } = error.clone();
        Self { path, expected, found, message_vi, message_en }
    }
}

/// The one table from codes to statuses: by kind, and the codes for which HTTP has a word of its own.
pub(super) fn status(code: Code) -> StatusCode {
    match (code, code.kind()) {
        (Code::PayloadTooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
        (Code::HttpMethodNotAllowed, _) => StatusCode::METHOD_NOT_ALLOWED,
        (Code::HttpNotAcceptable, _) => StatusCode::NOT_ACCEPTABLE,
        (Code::HttpLengthRequired, _) => StatusCode::LENGTH_REQUIRED,
        (Code::HttpMediaTypeUnsupported, _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (Code::StreamIdle, _) => StatusCode::REQUEST_TIMEOUT,
        (Code::QuotaExceeded, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::PageTokenExpired, _) => StatusCode::GONE,
        (Code::NotInitialized, _) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Kind::Invalid) => StatusCode::BAD_REQUEST,
        // HTTP's 401 asks for credentials in the request; here they are the connection's certificate
        (_, Kind::Unauthenticated | Kind::Forbidden) => StatusCode::FORBIDDEN,
        (_, Kind::NotFound) => StatusCode::NOT_FOUND,
        (_, Kind::Conflict | Kind::Precondition) => StatusCode::CONFLICT,
        (_, Kind::Exhausted | Kind::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Kind::Unknown) => StatusCode::GATEWAY_TIMEOUT,
        (_, Kind::Fault | Kind::Startup) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Why a call is not answered.
#[derive(Debug)]
pub(super) enum Refused {
    /// By the service, which has counted it.
    There(Refusal),
    /// Before the service saw it.
    Here(Refusal),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused::Here(refusal)
    }
}

impl Refused {
    /// The answer; counted, unless that was done.
    pub fn answer(self) -> Response<Body> {
        match self {
            Refused::There(refusal) => written(&refusal),
            Refused::Here(refusal) => answer(&refusal),
        }
    }
}

/// A refusal that nobody has counted.
pub(crate) fn answer(refusal: &Refusal) -> Response<Body> {
    api::count(refusal);
    written(refusal)
}

fn written(refusal: &Refusal) -> Response<Body> {
    let (code, status) = (refusal.code, status(refusal.code));
    let after = refusal.retry_after;
    let problem = Problem {
        kind: format!("urn:kho:error:{}", code.as_str()),
        title: code.as_str().replace('-', " "),
        status: status.as_u16(),
        detail: refusal.message.clone(),
        code: code.as_str(),
        expected: refusal.expected.clone(),
        found: refusal.found.clone(),
        retry: code.retry(),
        retry_after_ms: after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        unknown: code.kind() == Kind::Unknown,
        evidence_leaf: refusal.evidence_leaf.clone().map(Base64),
        log_size: refusal.log_size,
        fields: refusal.fields.kept().iter().map(Field::from).collect(),
        fields_total: (!refusal.fields.is_empty()).then(|| refusal.fields.total()),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = super::service::response(status, PROBLEM, body);
    let headers = response.headers_mut();
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if after.is_some() || (busy && code.retry()) {
        let seconds = after.map_or(1, |wait| wait.as_millis().div_ceil(1000).max(1));
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(status, StatusCode::LENGTH_REQUIRED | StatusCode::REQUEST_TIMEOUT) {
        // where the next request would begin is not known
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::time::Duration;

    #[test]
    fn the_documentation_has_the_table() {
        let page = include_str!("../../../docs/errors/README.md");
        let (codes, table) = page.split_once("## Over HTTP").unwrap();
        let told = |name: &str| {
            let line = table.lines().find_map(|line| line.strip_prefix("- ")?.strip_prefix(name)?.strip_prefix(": "));
            line.map(|status| status.parse::<u16>().unwrap())
        };
        for code in Code::ALL.iter().filter(|code| code.kind() != Kind::Startup) {
            let row = codes.lines().find(|line| line.starts_with(&format!("| `{}` |", code.as_str()))).unwrap();
            let grpc = row.split(" | ").nth(1).unwrap();
            let expect = told(&format!("`{}`", code.as_str())).or_else(|| told(grpc));
            assert_eq!(expect, Some(status(*code).as_u16()), "docs/errors/README.md: HTTP status of {}", code.as_str());
        }
    }

    #[tokio::test]
    async fn a_refusal_is_written_whole() {
        let refusal = Refusal {
            retry_after: Some(Duration::from_millis(1200)),
            ..Refusal::new(Code::QuotaExceeded, "more than it may").expected_found("5", "6")
        };
        let response = answer(&refusal);
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(2)));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"type":"urn:kho:error:quota-exceeded","title":"quota exceeded","status":429,"detail":"more than it may","code":"quota-exceeded","expected":"5","found":"6","retry":true,"retry_after_ms":1200,"unknown":false}"#
        );
    }

    #[test]
    fn who_is_to_come_again_is_told_when() {
        assert_eq!(answer(&Refusal::new(Code::NoLeader, "none")).headers()["retry-after"], "1");
        assert!(!answer(&Refusal::new(Code::RecordUnknown, "none")).headers().contains_key("retry-after"));
        assert_eq!(answer(&Refusal::new(Code::HttpLengthRequired, "none")).headers()["connection"], "close");
    }
}
