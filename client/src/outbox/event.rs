//! What an outbox tells those who listen.

use kho_proto::error::Code;
use kho_proto::id::{RecordId, Seq};

/// What became of a record in a round, or by hand. It is durable when it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxEvent {
    /// It is in, and its receipt is kept.
    Delivered {
        /// Which.
        record_id: RecordId,
        /// Index of its leaf.
        sequence: Seq,
        /// An earlier attempt had brought it in.
        duplicate: bool,
    },
    /// It was refused for good.
    Refused {
        /// Which.
        record_id: RecordId,
        /// Why.
        code: Code,
        /// In words.
        sentence: String,
    },
    /// It is sent again.
    Waits {
        /// Which.
        record_id: RecordId,
        /// Why.
        code: Code,
        /// In words.
        sentence: String,
    },
}
