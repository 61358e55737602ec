//! What every call needs of its request, and how it refuses.

use http::Extensions;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::PAYLOAD_LENGTH_MAX;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::metric_definitions::REFUSED;
use crate::identity::Identity;
use crate::write::Deadline;
use crate::write::deadline::parse_timeout;

/// When the caller stops waiting: its `grpc-timeout`, or the default.
pub fn deadline(metadata: &MetadataMap) -> Deadline {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse_timeout);
    Deadline::after(asked)
}

/// Who calls. The listener puts it there; without one nobody does.
pub fn identity(extensions: &Extensions) -> Identity {
    extensions.get::<Identity>().cloned().unwrap_or(Identity::Anonymous)
}

/// The status of a refusal, counted.
pub fn refuse(refusal: Refusal) -> Status {
    count(&refusal);
    kho_proto::status::to_status(&refusal)
}

/// Counts a refusal that travels in an answer.
pub(crate) fn count(refusal: &Refusal) {
    metrics::counter!(REFUSED, "code" => refusal.code.as_str()).increment(1);
    tracing::debug!(code = refusal.code.as_str(), message = refusal.message, "refused");
}

/// A status with a code: tonic refuses a message that is too long, or no protobuf, before a service sees it.
pub fn coded(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    match status.code() {
        tonic::Code::OutOfRange => refuse(
            Refusal::new(Code::PayloadTooLarge, format!("the request is too large: {}", status.message()))
                .expected_found(format!("a payload of at most {PAYLOAD_LENGTH_MAX} bytes"), "more"),
        ),
        tonic::Code::Internal if status.message().contains("decode") => {
            let text = format!("the request does not decode: {}", status.message());
            refuse(Refusal::new(Code::RequestMalformed, text))
        }
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::status::from_status;

    fn check(status: Status) -> Option<Code> {
        from_status(&coded(status)).map(|refusal| refusal.code)
    }

    #[test]
    fn refusals_of_the_transport_get_codes() {
        assert_eq!(check(Status::out_of_range("decoded message length too large")), Some(Code::PayloadTooLarge));
        assert_eq!(check(Status::internal("failed to decode Protobuf message")), Some(Code::RequestMalformed));
        assert_eq!(check(Status::unimplemented("")), None);
    }

    #[test]
    fn refusals_with_details_stay_as_they_are() {
        let refusal = Refusal::new(Code::StorageFailed, "failed to decode");
        assert_eq!(check(kho_proto::status::to_status(&refusal)), Some(Code::StorageFailed));
    }
}
