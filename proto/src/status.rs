//! A refusal as a gRPC status and back. `docs/errors/README.md`.
//!
//! The details are a `google.rpc.Status` (in `grpc-status-details-bin`, as every gRPC library reads it) with one
//! `google.protobuf.Any` that holds a `kho.v1.ErrorDetail`.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Code as GrpcCode, Status};

use crate::error::{Code, Kind, Refusal};
use crate::pb::v1::ErrorDetail;

/// Type URL of the detail.
pub const DETAIL_TYPE_URL: &str = "type.googleapis.com/kho.v1.ErrorDetail";

/// google/rpc/status.proto.
#[derive(Clone, PartialEq, Eq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// google/protobuf/any.proto.
#[derive(Clone, PartialEq, Eq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// The gRPC status of a kind.
pub fn grpc_code(kind: Kind) -> GrpcCode {
    match kind {
        Kind::Invalid => GrpcCode::InvalidArgument,
        Kind::Unauthenticated => GrpcCode::Unauthenticated,
        Kind::Forbidden => GrpcCode::PermissionDenied,
        Kind::Conflict => GrpcCode::AlreadyExists,
        Kind::NotFound => GrpcCode::NotFound,
        Kind::Precondition => GrpcCode::FailedPrecondition,
        Kind::Exhausted => GrpcCode::ResourceExhausted,
        Kind::Unavailable => GrpcCode::Unavailable,
        Kind::Unknown => GrpcCode::DeadlineExceeded,
        Kind::Fault | Kind::Startup => GrpcCode::Internal,
    }
}

/// The refusal as a status with details.
pub fn to_status(refusal: &Refusal) -> Status {
    let code = grpc_code(refusal.code.kind());
    let detail = ErrorDetail {
        code: refusal.code.as_str().to_owned(),
        expected: refusal.expected.clone(),
        found: refusal.found.clone(),
        retry: refusal.code.retry(),
        retry_after_ms: refusal.retry_after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        evidence_leaf: refusal.evidence_leaf.clone().unwrap_or_default(),
        unknown: refusal.code.kind() == Kind::Unknown,
        log_size: refusal.log_size.unwrap_or(0),
    };
    let any = Any { type_url: DETAIL_TYPE_URL.to_owned(), value: detail.encode_to_vec().into() };
    let details = RpcStatus { code: code.into(), message: refusal.message.clone(), details: vec![any] };
    Status::with_details(code, refusal.message.clone(), details.encode_to_vec().into())
}

/// The refusal in a status, or none: the status is not of a Kho node, or of one with codes that are not known here.
/// [`detail`] still has such a code's text.
pub fn from_status(status: &Status) -> Option<Refusal> {
    let detail = detail(status)?;
    Some(Refusal {
        code: Code::parse(&detail.code)?,
        message: status.message().to_owned(),
        expected: detail.expected,
        found: detail.found,
        retry_after: (detail.retry_after_ms > 0).then(|| Duration::from_millis(detail.retry_after_ms)),
        evidence_leaf: (!detail.evidence_leaf.is_empty()).then_some(detail.evidence_leaf),
        log_size: (detail.log_size > 0).then_some(detail.log_size),
    })
}

/// The detail in a status, if it has one that decodes.
pub fn detail(status: &Status) -> Option<ErrorDetail> {
    let details = RpcStatus::decode(status.details()).ok()?.details;
    let any = details.into_iter().find(|any| any.type_url == DETAIL_TYPE_URL)?;
    ErrorDetail::decode(any.value).ok()
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        to_status(&refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips() {
        for code in Code::ALL {
            let refusal = Refusal::new(*code, "message").expected_found("this", "that");
            assert_eq!(from_status(&to_status(&refusal)).as_ref(), Some(&refusal));
        }
    }

    #[test]
    fn hint_and_evidence_travel() {
        let refusal = Refusal {
            retry_after: Some(Duration::from_millis(250)),
            evidence_leaf: Some(Bytes::from_static(b"leaf")),
            log_size: Some(7),
            ..Refusal::new(Code::Overloaded, "queue is full")
        };
        let status = Status::from(refusal.clone());
        assert_eq!(status.code(), GrpcCode::ResourceExhausted);
        assert_eq!(from_status(&status), Some(refusal));
        let detail = detail(&status).expect("has one");
        assert!(detail.retry && !detail.unknown);
        let unknown = to_status(&Refusal::new(Code::OutcomeUnknown, "timed out"));
        assert!(super::detail(&unknown).expect("has one").unknown);
    }

    #[test]
    fn other_statuses_have_no_refusal() {
        assert_eq!(from_status(&Status::unavailable("connection reset")), None);
        let garbage = Status::with_details(GrpcCode::Internal, "x", Bytes::from_static(b"\xff"));
        assert_eq!(from_status(&garbage), None);
    }
}
