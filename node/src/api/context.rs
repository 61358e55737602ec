//! What every call needs of its request, and how it refuses.

use http::Extensions;
use kho_proto::error::Refusal;
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
    metrics::counter!(REFUSED, "code" => refusal.code.as_str()).increment(1);
    tracing::debug!(code = refusal.code.as_str(), message = refusal.message, "refused");
    kho_proto::status::to_status(&refusal)
}
