//! Answers as they are sent.

use axum::body::Body;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use kho_proto::error::{Code, Refusal};
use serde::Serialize;

use super::problem::Refused;

/// Media type of most answers.
pub(super) const JSON: &str = "application/json";
/// Of signed records.
pub(super) const OCTETS: &str = "application/octet-stream";
/// Of receipts as files.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// A whole answer. Nothing may keep it: it is the caller's alone.
pub(super) fn response(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let length = body.len();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // bytes of a sender's choosing are in it: nothing shall guess what they are
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Result<Response<Body>, Refused> {
    let body = serde_json::to_vec(answer).map_err(|error| {
        Refused::Here(Refusal::new(Code::StorageFailed, format!("the answer can't be written: {error}")))
    })?;
    Ok(response(status, JSON, body))
}
