//! The signed part of a record: typed, with every rule of version 1 checked. `docs/formats/header.md`.

mod error;
mod field;
mod submitted_at;
#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;
use prost::Message;

pub use error::Error;
pub use field::is_media_type;
pub use submitted_at::SubmittedAt;

use crate::digest::Digest;
use crate::id::{RecordId, RegimeCode, UnitCode, UnixMs};
use crate::pb::v1 as pb;
use crate::period::Period;

/// Version of the header format.
pub const VERSION: u32 = 1;
/// Bytes of an encoded header, at most.
pub const HEADER_LENGTH_MAX: usize = 64 << 10;
/// Bytes of a payload, at most.
pub const PAYLOAD_LENGTH_MAX: usize = 4 << 20;
/// Receivers of a record, at most.
pub const RECEIVERS_MAX: usize = 256;
/// UTF-8 bytes of a series, at most.
pub const SERIES_LENGTH_MAX: usize = 256;
/// Bytes of a media type, at most.
pub const MEDIA_TYPE_LENGTH_MAX: usize = 128;
/// Attachments of a record, at most.
pub const ATTACHMENTS_MAX: usize = 64;
/// UTF-8 bytes of an attachment's name, at most.
pub const ATTACHMENT_NAME_LENGTH_MAX: usize = 255;
/// Bytes of an attachment, at most.
pub const ATTACHMENT_LENGTH_MAX: u64 = 1 << 40;
/// Milliseconds that submitted-at may lie ahead of the node's clock, at most.
pub const SUBMITTED_AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

// Receivers at their longest leave room for everything else.
const _: () = assert!(RECEIVERS_MAX * (crate::id::CODE_LENGTH_MAX + 2) + ATTACHMENTS_MAX * 450 < HEADER_LENGTH_MAX);

/// A header that keeps every rule, when it comes from [`Header::decode`] or passed [`Header::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// UUIDv7, chosen by the sender; also the idempotency key.
    pub record_id: RecordId,
    /// Reporting unit; must be the signer's.
    pub unit: UnitCode,
    /// Report regime.
    pub regime: RegimeCode,
    /// What the report covers.
    pub period: Period,
    /// Subject within unit, regime and period; empty where there is only one.
    pub series: String,
    /// The revision before; none for the first.
    pub supersedes: Option<RecordId>,
    /// Units that may read besides the sender's: ascending, unique.
    pub receivers: Vec<UnitCode>,
    /// When the sender made the record.
    pub submitted_at: SubmittedAt,
    /// `type/subtype`, with parameters.
    pub media_type: String,
    /// Bytes.
    pub payload_length: u64,
    /// Random: a digest alone must not let anyone guess the payload.
    pub salt: [u8; 16],
    /// [`payload_digest`] of salt and payload.
    pub payload_digest: Digest,
    /// Files that belong to the record and travel apart from it.
    pub attachments: Vec<Attachment>,
}

/// A file that belongs to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// File name, without a path; unique in the record.
    pub name: String,
    /// `type/subtype`, with parameters.
    pub media_type: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the content.
    pub digest: Digest,
}

/// SHA-256(salt ‖ payload).
pub fn payload_digest(salt: &[u8; 16], payload: &[u8]) -> Digest {
    Digest::of_parts(&[salt, payload])
}

impl Header {
    /// Decodes a canonical header and checks every rule that needs neither payload nor clock.
    ///
    /// Canonical: re-encoding gives the same bytes, so there is no unknown and no duplicate field, no default
    /// value on the wire, and fields stand in ascending order.
    pub fn decode(bytes: &[u8]) -> Result<Header, Error> {
        if bytes.len() > HEADER_LENGTH_MAX {
            return Err(Error::TooLong { found: bytes.len() });
        }
        let message = pb::Header::decode(bytes).map_err(Error::Malformed)?;
        // Before the comparison: a later version may add fields, and then its number says more than they do.
        if message.version != VERSION {
            return Err(Error::field("version", VERSION, message.version));
        }
        if message.encode_to_vec() != bytes {
            return Err(Error::NotCanonical);
        }
        field::from_message(message)
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Bytes {
        field::to_message(self).encode_to_vec().into()
    }

    /// Checks the rules of [`Header::decode`] on a header that was put together here.
    pub fn check(&self) -> Result<(), Error> {
        Header::decode(&self.encode()).map(|_| ())
    }

    /// SHA-256 of the encoding: the record's identity.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// Checks length and digest of the payload.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), Error> {
        let found = payload.len() as u64;
        if payload.len() > PAYLOAD_LENGTH_MAX {
            return Err(Error::PayloadTooLarge { found });
        }
        if found != self.payload_length {
            return Err(Error::PayloadLength { expected: self.payload_length, found });
        }
        let found = payload_digest(&self.salt, payload);
        if found != self.payload_digest {
            return Err(Error::PayloadDigest { expected: self.payload_digest, found });
        }
        Ok(())
    }

    /// Checks that submitted-at is at most [`SUBMITTED_AHEAD_MS_MAX`] ahead of `now`.
    pub fn check_submitted_at(&self, now: UnixMs) -> Result<(), Error> {
        if self.submitted_at.unix_ms().0 > now.0.saturating_add(SUBMITTED_AHEAD_MS_MAX) {
            return Err(Error::SubmittedInFuture { now: SubmittedAt::from_unix_ms(now), found: self.submitted_at });
        }
        Ok(())
    }
}
