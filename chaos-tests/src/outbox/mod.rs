//! An outbox under attack: a child process that adds and delivers, killed or without power at any step of its own, and an
//! account of what it acknowledged, kept where it cannot reach it.

mod account;
mod child;
mod fault;

use kho_proto::id::RecordId;

pub use account::{Account, Expected, Tally};
pub use child::{Child, Ended};
pub use fault::Fault;

/// Of one record in four the child says that it may have been sent before: it goes the long way to a refusal.
pub fn is_doubted(record_id: RecordId) -> bool {
    record_id.0[15].is_multiple_of(4)
}

/// Set: the child says `added` before it adds, as a service must never do. The test must catch it.
pub const EARLY: &str = "KHO_OUTBOX_EARLY";
/// Another build of the child: one with planted bugs, or without syncs.
pub const CHILD: &str = "KHO_OUTBOX_CHILD";
