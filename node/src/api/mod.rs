//! The wire: gRPC services of the client and peer planes. Nothing here decides; it translates.

mod attachments;
mod context;
mod forward;
mod holder;
mod many;
pub(crate) mod metric_definitions;
mod outcome;
mod reads;
mod room;
mod store;
mod stream;
mod unread;

pub(crate) use context::count;
pub use context::{coded, deadline, identity, refuse};
pub use forward::ForwardService;
pub(crate) use holder::{Asked, Holder, Holders};
#[cfg(test)]
pub(crate) use room::CONNECTION_ANSWERS_BYTES_MAX;
pub(crate) use room::{ANSWERS_BYTES_MAX, LARGE_BYTES, Reserved, Room, reserve};
pub use store::StoreService;
pub use stream::ConnectionStreams;
pub(crate) use stream::NodeStreams;
pub(crate) use unread::{PREFIX_LENGTH, Unread};

use kho_proto::batch::SUBMIT_MANY_BYTES_MAX;

/// Bytes of a request of the client plane, at most: the largest record, or many small ones.
pub const REQUEST_LENGTH_MAX: usize = SUBMIT_MANY_BYTES_MAX;
