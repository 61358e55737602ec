//! What became of one record of many, on the wire.

use std::time::Duration;

use kho_proto::detail::not_taken;
use kho_proto::error::{Kind, Refusal};
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{SignedRecord, SubmitResult, Taken};
use kho_proto::record;

use super::context::count;
use crate::write::{self, Acknowledged};

/// Decodes one record of many: a neighbour's bytes are none of its business.
pub(super) fn decode(bytes: bytes::Bytes) -> Result<SignedRecord, Refusal> {
    Ok(record::from_file(bytes)?)
}

/// Counted like the answers of single calls.
pub(super) fn to_wire(outcome: Result<Acknowledged, Refusal>, took: Duration) -> SubmitResult {
    let result = match outcome {
        Ok(acknowledged) => {
            acknowledge(acknowledged.duplicate, took);
            Wire::Taken(Taken { receipt: Some(acknowledged.receipt), duplicate: acknowledged.duplicate })
        }
        Err(refusal) => {
            count(&refusal);
            match refusal.code.kind() {
                Kind::Unknown | Kind::Fault => Wire::Unknown(not_taken(&refusal)),
                _ => Wire::Refused(not_taken(&refusal)),
            }
        }
    };
    SubmitResult { result: Some(result) }
}

/// Counts a record that its sender is told of.
pub(super) fn acknowledge(duplicate: bool, took: Duration) {
    let duplicate = if duplicate { "yes" } else { "no" };
    metrics::counter!(write::metric_definitions::ACKNOWLEDGED, "duplicate" => duplicate).increment(1);
    metrics::histogram!(write::metric_definitions::ACKNOWLEDGE_SECONDS).record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::error::Code;

    fn wire(code: Code) -> Wire {
        to_wire(Err(Refusal::new(code, "why")), Duration::ZERO).result.unwrap()
    }

    #[test]
    fn a_fault_and_a_timeout_are_unknown_and_a_refusal_is_not() {
        for code in [Code::OutcomeUnknown, Code::StorageFailed] {
            assert!(matches!(wire(code), Wire::Unknown(_)), "{code:?}");
        }
        for code in [Code::NoLeader, Code::SignatureInvalid, Code::Overloaded] {
            assert!(matches!(wire(code), Wire::Refused(_)), "{code:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        assert_eq!(decode(bytes::Bytes::from_static(b"\xff\xff")).unwrap_err().code, Code::RequestMalformed);
    }
}
