//! Requests and answers of the public log, as HTTP says them.

use axum::body::Body;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use kho_proto::error::{Code, Kind, Refusal};
use kho_proto::merkle::TILE_WIDTH;
use kho_proto::tlog::{PathError, Resource};

use super::metric_definitions::{What, requested};
use super::{Found, PublicLog};

/// How long others may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// Never changes, and is asked for in ten years: a full tile or bundle.
    Forever,
    /// Never changes, but a wider one takes its place.
    Partial,
    /// Another one may be there now: the specification wants no more than a few seconds.
    Newest,
}

impl Lifetime {
    pub fn of(resource: Resource) -> Self {
        let width = match resource {
            Resource::Checkpoint => return Lifetime::Newest,
            Resource::Tile(tile) => tile.width,
            Resource::Entries(bundle) => bundle.width,
        };
        if usize::from(width) == TILE_WIDTH { Lifetime::Forever } else { Lifetime::Partial }
    }

    fn cache_control(self) -> &'static str {
        match self {
            Lifetime::Forever => "public, max-age=31536000, immutable",
            Lifetime::Partial => "public, max-age=86400, immutable",
            Lifetime::Newest => "public, max-age=1",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Lifetime::Forever | Lifetime::Partial => "application/octet-stream",
            Lifetime::Newest => "text/plain; charset=utf-8",
        }
    }
}

impl PublicLog {
    /// Answers a request; counts it.
    pub(super) async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        let (what, response) = self.respond(method, path, headers).await;
        requested(what, response.status());
        response
    }

    async fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> (What, Response<Body>) {
        let head = method == Method::HEAD;
        if !head && method != Method::GET {
            let refusal = Refusal::new(Code::LogMethodNotAllowed, "the log is read only")
                .expected_found("GET or HEAD", method.as_str().chars().take(16).collect::<String>());
            let mut response = refused(&refusal, head);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return (What::Other, response);
        }
        let parsed = path.strip_prefix('/').unwrap_or(path).parse::<Resource>();
        let resource = match parsed {
            Ok(resource) => resource,
            Err(error @ (PathError::Unknown { .. } | PathError::Malformed { .. })) => {
                return (What::Other, refused(&error.into(), head));
            }
        };
        let response = match self.find(resource).await {
            Ok(found) => sent(found, headers, head),
            Err(refusal) => refused(&refusal, head),
        };
        (What::of(resource), response)
    }
}

fn sent(found: Found, headers: &HeaderMap, head: bool) -> Response<Body> {
    let Found { body, lifetime, tag } = found;
    let known = tag.as_deref().is_some_and(|tag| is_known(headers, tag));
    let (status, body, head) =
        if known { (StatusCode::NOT_MODIFIED, Bytes::new(), true) } else { (StatusCode::OK, body, head) };
    let mut response = response(status, (!known).then_some(lifetime.content_type()), body, head);
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime.cache_control()));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        out.insert(header::ETAG, tag);
    }
    response
}

/// Whether the reader has it already (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// The code stands in front, as on the command line.
fn refused(refusal: &Refusal, head: bool) -> Response<Body> {
    let status = match (refusal.code, refusal.code.kind()) {
        (Code::LogMethodNotAllowed, _) => StatusCode::METHOD_NOT_ALLOWED,
        (_, Kind::Invalid) => StatusCode::BAD_REQUEST,
        (_, Kind::NotFound) => StatusCode::NOT_FOUND,
        (_, Kind::Fault | Kind::Startup) => StatusCode::INTERNAL_SERVER_ERROR,
        // nobody here can do it now
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = Bytes::from(format!("{refusal}\n"));
    let mut response = response(status, Some("text/plain; charset=utf-8"), text, head);
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        out.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}

fn response(status: StatusCode, content_type: Option<&'static str>, body: Bytes, head: bool) -> Response<Body> {
    let length = body.len();
    let mut response = Response::new(if head { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    let out = response.headers_mut();
    if let Some(content_type) = content_type {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // bytes of anybody's choosing are in it: nothing shall guess what they are
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(refusal: Refusal) -> (u16, Option<String>) {
        let response = refused(&refusal, false);
        let after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        (response.status().as_u16(), after)
    }

    #[test]
    fn each_refusal_has_its_status() {
        let cases = [
            (Code::LogPathUnknown, 404),
            (Code::LogPathMalformed, 400),
            (Code::LogTileAbsent, 404),
            (Code::LogMethodNotAllowed, 405),
            (Code::KeysMissing, 503),
            (Code::NotInitialized, 503),
            (Code::Overloaded, 503),
            (Code::NodeStopping, 503),
            (Code::StorageFailed, 500),
            (Code::KeyringFingerprintMismatch, 500),
        ];
        for (code, status) in cases {
            assert_eq!(refused_with(Refusal::new(code, "no")), (status, None), "{code:?}");
        }
        let later = Refusal {
            retry_after: Some(std::time::Duration::from_millis(200)),
            ..Refusal::new(Code::Overloaded, "no")
        };
        assert_eq!(refused_with(later).1.as_deref(), Some("1"), "whole seconds");
    }

    #[test]
    fn a_known_checkpoint_is_not_sent_again() {
        let tag = "\"7-ab\"";
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, tag)
        };
        assert!(known("\"7-ab\"") && known("W/\"7-ab\"") && known("\"6-aa\", \"7-ab\"") && known("*"));
        assert!(!known("\"7-a\"") && !known("7-ab") && !is_known(&HeaderMap::new(), tag));
    }
}
