//! One request, with bounds on what is read of it.

use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures::future::poll_fn;
use http::request::Parts;
use http::{HeaderMap, header};
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::id::RecordId;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::ask::there;
use super::operations::Operation;
use super::problem::Refused;
use super::query::Query;
use crate::api::{self, Reserved, Room};
use crate::write::DEADLINE_MAX;

/// One request.
pub(super) struct Call {
    /// Who asks stands in its extensions.
    pub parts: Parts,
    /// Names that the operation has.
    pub query: Query,
    body: Body,
}

/// A body that was read. Its bytes count against the listener's budget while this lives.
pub(super) struct Received {
    pub bytes: Bytes,
    _counted: Body,
}

impl Call {
    /// Checks what the operation asks of the query.
    pub fn of(operation: &Operation, request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let known: Vec<_> = operation.query_names().collect();
        let query = Query::of(parts.uri.query(), &known)?;
        Ok(Self { parts, query, body })
    }

    /// The record id in the path: `/v1/records/{id}` and below.
    pub fn record_id(&self) -> Result<RecordId, Refusal> {
        let text = self.parts.uri.path().split('/').nth(3).unwrap_or_default();
        record_id("the path", text)
    }

    /// The media type of the body, in lower case, without parameters.
    pub fn content_type(&self) -> String {
        let value = self.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body has another media type than those that are taken.
    pub fn unsupported(&self, expected: &str) -> Refusal {
        Refusal::new(Code::HttpMediaTypeUnsupported, "a body of this media type is not taken here")
            .expected_found(expected, excerpt(&self.content_type()))
    }

    /// The body, of at most so many bytes.
    pub async fn body(&mut self, max: usize) -> Result<Received, Refused> {
        let length = self.parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if let Some(length) = length.and_then(|length| length.parse::<u64>().ok())
            && length > max as u64
        {
            return Err(too_large(max, length).into());
        }
        let mut body = std::mem::take(&mut self.body);
        let mut read = BytesMut::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if read.len() + data.len() > max {
                return Err(too_large(max, (read.len() + data.len()) as u64).into());
            }
            read.extend_from_slice(&data);
        }
        Ok(Received { bytes: read.freeze(), _counted: body })
    }

    /// Waits until there is room for an answer of so many bytes; what comes back goes into the answer's extensions.
    pub fn reserve(&self, bytes: usize) -> impl Future<Output = Result<Reserved, Refusal>> + Send + use<> {
        api::reserve(&self.parts.extensions, u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// The same request with a message of gRPC: who asks, and until when.
    pub fn ask<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(wait) = wait(&self.parts.headers) {
            request.set_timeout(wait);
        }
        *request.extensions_mut() = self.parts.extensions.clone();
        // the listener has reserved for the answer as it is here, which is larger
        request.extensions_mut().remove::<Room>();
        request
    }
}

/// JSON of a shape in which each name stands once and none is unknown.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        Refusal::new(Code::RequestMalformed, format!("the body: {error}"))
            .expected_found("JSON of the schema in /openapi.json", "something else")
    })
}

/// A record id as it is written.
pub(super) fn record_id(place: &str, text: &str) -> Result<RecordId, Refusal> {
    let id = text.parse::<RecordId>().ok().filter(|id| id.to_string() == text);
    id.ok_or_else(|| {
        Refusal::new(Code::RequestMalformed, format!("{place} has no record id"))
            .expected_found("a UUID of 36 characters in lower case", excerpt(text))
    })
}

/// `Prefer: wait=SECONDS` (RFC 7240, 4.3): how long the caller waits. What is no such preference is
/// ignored, as it must be; so is one that cannot be met.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let seconds =
        preferences.find_map(|one| one.strip_prefix("wait="))?.parse::<u32>().ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds.into()).min(DEADLINE_MAX))
}

fn too_large(max: usize, found: u64) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, "the request's body is too large")
        .expected_found(format!("at most {max} bytes"), format!("{found} bytes or more"))
}

/// The listener's own refusals come with their codes; else the connection broke, and nobody reads this.
fn broken(error: axum::Error) -> Refused {
    match error.into_inner().downcast::<Status>() {
        Ok(status) => there(*status),
        Err(error) => Refusal::new(Code::RequestMalformed, format!("the body can't be read: {error}")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn waits_as_long_as_the_caller_prefers() {
        let wait_of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(text));
            wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait_of("wait=10"), Some(10));
        assert_eq!(wait_of("wait=4294967295"), Some(60), "as long as anybody may wait");
        assert_eq!(wait_of("respond-async, wait=2"), Some(2));
        for text in ["", "wait", "wait=", "wait=-1", "wait=0", "wait=1.5", "await=3"] {
            assert_eq!(wait_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_id_has_one_text() {
        let text = "01729d23-8b00-7000-8000-0123456789ab";
        assert_eq!(record_id("the path", text).unwrap().to_string(), text);
        for other in [&text.to_uppercase(), &text.replace('-', ""), &format!("{{{text}}}"), "", "x"] {
            assert_eq!(record_id("the path", other).unwrap_err().code, Code::RequestMalformed, "{other}");
        }
    }
}
