//! Why a header is refused.

use std::fmt::Display;

use super::{HEADER_LENGTH_MAX, PAYLOAD_LENGTH_MAX, SUBMITTED_AHEAD_MS_MAX, SubmittedAt};
use crate::digest::Digest;
use crate::error::{Code, Refusal};
use crate::period;

/// Why a header, or what it says of its payload, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`HEADER_LENGTH_MAX`].
    #[error("header: expected at most {HEADER_LENGTH_MAX} bytes, found {found}")]
    TooLong {
        /// Bytes.
        found: usize,
    },
    /// No protobuf of the schema.
    #[error("header: expected protobuf kho.v1.Header: {0}")]
    Malformed(prost::DecodeError),
    /// Re-encoding gives other bytes.
    #[error("header: expected the canonical encoding, found unknown, duplicate, default or unordered fields")]
    NotCanonical,
    /// A field breaks its rule.
    #[error("header field {field}: expected {expected}, found {found}")]
    Field {
        /// Name in the schema.
        field: &'static str,
        /// Its rule.
        expected: String,
        /// What it holds, cut short.
        found: String,
    },
    /// The period is not of the grammar.
    #[error("header field period: {0}")]
    Period(#[from] period::Error),
    /// Submitted-at lies too far ahead.
    #[error(
        "header field submitted_at: expected at most {} s after {now}, found {found}",
        SUBMITTED_AHEAD_MS_MAX / 1000
    )]
    SubmittedInFuture {
        /// The node's clock.
        now: SubmittedAt,
        /// The header's.
        found: SubmittedAt,
    },
    /// The payload is too large, or said to be.
    #[error("payload: expected at most {PAYLOAD_LENGTH_MAX} bytes, found {found}")]
    PayloadTooLarge {
        /// Bytes.
        found: u64,
    },
    /// The payload has another length than the header says.
    #[error("payload: expected {expected} bytes as the header says, found {found}")]
    PayloadLength {
        /// Bytes by the header.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The payload has another digest than the header says.
    #[error("payload: expected digest {expected} as the header says, found {found}")]
    PayloadDigest {
        /// By the header.
        expected: Digest,
        /// Of the salt and payload there are.
        found: Digest,
    },
}

impl Error {
    pub(super) fn field(field: &'static str, expected: impl Display, found: impl Display) -> Self {
        Error::Field { field, expected: expected.to_string(), found: found.to_string() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::TooLong { .. } | Error::Malformed(_) => Code::HeaderMalformed,
            Error::NotCanonical => Code::HeaderNotCanonical,
            Error::Field { .. } => Code::HeaderFieldInvalid,
            Error::Period(error) => error.code(),
            Error::SubmittedInFuture { .. } => Code::SubmittedAtInFuture,
            Error::PayloadTooLarge { .. } => Code::PayloadTooLarge,
            Error::PayloadLength { .. } => Code::PayloadLengthMismatch,
            Error::PayloadDigest { .. } => Code::PayloadDigestMismatch,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Refusal::new(error.code(), error.to_string());
        match &error {
            Error::TooLong { found } => {
                refusal.expected_found(format!("at most {HEADER_LENGTH_MAX} bytes"), found.to_string())
            }
            Error::Malformed(_) | Error::NotCanonical => refusal,
            Error::Field { expected, found, .. } => refusal.expected_found(expected, found),
            Error::Period(error) => {
                refusal.expected_found("a period of the grammar", crate::error::excerpt(&error.found))
            }
            Error::SubmittedInFuture { now, found } => refusal
                .expected_found(format!("at most {} s after {now}", SUBMITTED_AHEAD_MS_MAX / 1000), found.to_string()),
            Error::PayloadTooLarge { found } => {
                refusal.expected_found(format!("at most {PAYLOAD_LENGTH_MAX} bytes"), format!("{found} bytes"))
            }
            Error::PayloadLength { expected, found } => {
                refusal.expected_found(format!("{expected} bytes"), format!("{found} bytes"))
            }
            Error::PayloadDigest { expected, found } => refusal.expected_found(expected.to_string(), found.to_string()),
        }
    }
}
