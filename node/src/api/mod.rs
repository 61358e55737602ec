//! The wire: gRPC services of the client and peer planes. Nothing here decides; it translates.

mod context;
mod forward;
pub(crate) mod metric_definitions;
mod reads;
mod store;

pub use context::{deadline, identity, refuse};
pub use forward::ForwardService;
pub use store::StoreService;

use kho_proto::header::PAYLOAD_LENGTH_MAX;

/// Bytes of a request of the client plane, at most: a payload, and room for header, signature and certificates.
pub const REQUEST_LENGTH_MAX: usize = PAYLOAD_LENGTH_MAX + (128 << 10);
