//! Why an outbox did not do what it was told.

use std::path::PathBuf;

use kho_proto::error::Code;
use kho_proto::id::RecordId;
use kho_proto::{header, record};

/// Why an outbox did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// There is no room; nothing was added.
    #[error("the outbox is full: expected at most {expected} {what}, found {found} with what was to be added")]
    Full {
        /// Records or bytes.
        what: &'static str,
        /// The bound.
        expected: u64,
        /// What it would have held.
        found: u64,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the outbox {} is open already, in {holder}", path.display())]
    Locked {
        /// Its directory.
        path: PathBuf,
        /// As that process wrote it down.
        holder: String,
    },
    /// There is no outbox.
    #[error("no outbox in {}", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What lies there is no outbox, or one that was changed by somebody else.
    #[error("the outbox {} does not open: {what}", path.display())]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The store failed: what was under way may be durable or not. Open the outbox again.
    #[error("the outbox's store failed: {0}")]
    Store(#[source] Box<redb::Error>),
    /// The outbox holds another record under this id.
    #[error("record {record_id}: the outbox holds another header under this id")]
    Conflict {
        /// The id.
        record_id: RecordId,
    },
    /// The outbox does not hold it where it was looked for.
    #[error("record {record_id}: expected in the outbox as {expected}, found {found}")]
    Unknown {
        /// The id.
        record_id: RecordId,
        /// Where it was to be.
        expected: &'static str,
        /// Where it is.
        found: &'static str,
    },
    /// It is being sent right now: a round lasts a call's deadline at most, then it may be given up.
    #[error("record {record_id}: it is being sent right now, and what becomes of it is not known yet")]
    UnderWay {
        /// The id.
        record_id: RecordId,
    },
    /// The header breaks a rule: no node would take it.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The record is larger than any may be.
    #[error(transparent)]
    Record(#[from] record::Error),
}

impl OutboxError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            OutboxError::Full { .. } => Code::OutboxFull,
            OutboxError::Locked { .. } => Code::OutboxLocked,
            OutboxError::Absent { .. } => Code::OutboxMissing,
            OutboxError::Damaged { .. } => Code::OutboxDamaged,
            OutboxError::File { .. } | OutboxError::Store(_) => Code::OutboxStorageFailed,
            OutboxError::Conflict { .. } => Code::RecordIdConflict,
            OutboxError::Unknown { .. } => Code::RecordUnknown,
            OutboxError::UnderWay { .. } => Code::OutcomeUnknown,
            OutboxError::Header(error) => error.code(),
            OutboxError::Record(error) => error.code(),
        }
    }
}

macro_rules! store_errors {
    ($($kind:ty),* $(,)?) => {
        $(impl From<$kind> for OutboxError {
            fn from(error: $kind) -> Self {
                OutboxError::Store(Box::new(error.into()))
            }
        })*
    };
}

store_errors!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::DatabaseError);
