//! Why a receipt is refused.

use super::{INCLUSION_LENGTH_MAX, RECEIPT_TEXT_LENGTH_MAX};
use crate::checkpoint;
use crate::digest::Digest;
use crate::error::{Code, Refusal};
use crate::header;
use crate::id::RecordId;
use crate::leaf;
use crate::merkle::VerifyError;

/// Why a receipt is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`RECEIPT_TEXT_LENGTH_MAX`], or a checkpoint longer than a note may be.
    #[error("receipt: expected at most {expected} bytes, found {found}")]
    TooLong {
        /// Bytes.
        expected: usize,
        /// Bytes.
        found: usize,
    },
    /// A line of the text form is wrong.
    #[error("receipt line {line}: expected {expected}")]
    Line {
        /// From 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// No leaf.
    #[error("receipt leaf: {0}")]
    Leaf(#[from] leaf::Error),
    /// A hash of another length.
    #[error("receipt inclusion: expected hashes of 32 bytes, found {found}")]
    Hash {
        /// Bytes.
        found: usize,
    },
    /// More hashes than any tree needs.
    #[error("receipt inclusion: expected at most {INCLUSION_LENGTH_MAX} hashes, found {found}")]
    ProofTooLong {
        /// Hashes.
        found: usize,
    },
    /// An unknown state.
    #[error("receipt state: expected accepted or mirrored, found {found}")]
    State {
        /// Number.
        found: i32,
    },
    /// The checkpoint.
    #[error("receipt {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// The leaf does not stand in the tree.
    #[error("receipt inclusion: {0}")]
    Inclusion(#[from] VerifyError),
    /// The leaf is not a record's.
    #[error("receipt leaf: expected a record's, found the genesis leaf")]
    NotARecord,
    /// The leaf has another digest than the record.
    #[error("record {what}: expected digest {expected} as the receipt says, found {found}")]
    OtherRecord {
        /// Header or signature block.
        what: &'static str,
        /// By the leaf.
        expected: Digest,
        /// Of the record.
        found: Digest,
    },
    /// The leaf has another id than the record.
    #[error("record id: expected {expected} as the receipt says, found {found}")]
    OtherId {
        /// By the leaf.
        expected: RecordId,
        /// By the header.
        found: RecordId,
    },
    /// The record's header or payload.
    #[error("record {0}")]
    Header(#[from] header::Error),
}

impl Error {
    /// The stable code: `receipt-invalid`, or the header's own.
    pub fn code(&self) -> Code {
        match self {
            Error::Header(error) => error.code(),
            _ => Code::ReceiptInvalid,
        }
    }

    pub(super) fn text_too_long(found: usize) -> Self {
        Error::TooLong { expected: RECEIPT_TEXT_LENGTH_MAX, found }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Refusal::new(error.code(), error.to_string());
        match error {
            Error::OtherRecord { expected, found, .. } => {
                refusal.expected_found(expected.to_string(), found.to_string())
            }
            Error::OtherId { expected, found } => refusal.expected_found(expected.to_string(), found.to_string()),
            Error::Line { expected, line } => refusal.expected_found(expected, format!("another line {line}")),
            _ => refusal,
        }
    }
}
