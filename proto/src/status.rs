//! A refusal as a gRPC status and back. `docs/errors/README.md`.
//!
//! The details are a `google.rpc.Status` (in `grpc-status-details-bin`, as every gRPC library reads it) with a
//! `google.protobuf.Any` that holds a `kho.v1.ErrorDetail`, and one with a `google.rpc.RetryInfo` if there is a hint when to
//! try again: clients of other makers know that one.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Code as GrpcCode, Status};

use crate::detail;
use crate::error::{Kind, Refusal};
use crate::pb::v1::ErrorDetail;

/// Type URL of the detail.
pub const DETAIL_TYPE_URL: &str = "type.googleapis.com/kho.v1.ErrorDetail";

/// Type URL of the hint when to try again.
const RETRY_INFO_TYPE_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

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

/// google/protobuf/duration.proto.
#[derive(Clone, PartialEq, Eq, Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// google/rpc/error_details.proto.
#[derive(Clone, PartialEq, Eq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

fn retry_info(wait: Duration) -> Any {
    let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(wait.subsec_nanos()).unwrap_or_default();
    let info = RetryInfo { retry_delay: Some(RpcDuration { seconds, nanos }) };
    Any { type_url: RETRY_INFO_TYPE_URL.to_owned(), value: info.encode_to_vec().into() }
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
    let detail = ErrorDetail { fields: refusal.fields.for_status(), ..detail::of(refusal) };
    let any = Any { type_url: DETAIL_TYPE_URL.to_owned(), value: detail.encode_to_vec().into() };
    let details = std::iter::once(any).chain(refusal.retry_after.map(retry_info)).collect();
    let details = RpcStatus { code: code.into(), message: refusal.message.clone(), details };
    Status::with_details(code, refusal.message.clone(), details.encode_to_vec().into())
}

/// The refusal in a status, or none: the status is not of a Kho node, or of one with codes that are not known here.
/// [`detail()`] still has such a code's text.
pub fn from_status(status: &Status) -> Option<Refusal> {
    detail::refusal(detail(status)?, status.message())
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
    use crate::error::Code;

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
    fn a_hint_travels_as_other_clients_read_it_too() {
        let hinted =
            |ms| Refusal { retry_after: Some(Duration::from_millis(ms)), ..Refusal::new(Code::QuotaExceeded, "more") };
        let infos = |refusal: &Refusal| {
            let details = RpcStatus::decode(to_status(refusal).details()).expect("decodes").details;
            details
                .into_iter()
                .filter(|any| any.type_url == RETRY_INFO_TYPE_URL)
                .map(|any| any.value)
                .collect::<Vec<_>>()
        };
        // google.rpc.RetryInfo { retry_delay { seconds: 1, nanos: 500000000 } }
        assert_eq!(infos(&hinted(1500)), [Bytes::from_static(b"\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01")]);
        assert!(infos(&Refusal::new(Code::NoLeader, "none")).is_empty());
    }

    #[test]
    fn other_statuses_have_no_refusal() {
        assert_eq!(from_status(&Status::unavailable("connection reset")), None);
        let garbage = Status::with_details(GrpcCode::Internal, "x", Bytes::from_static(b"\xff"));
        assert_eq!(from_status(&garbage), None);
    }
}
