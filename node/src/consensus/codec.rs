//! Encoding of node-local raft metadata: vote, committed and purged log id, membership, applied position.
//!
//! `version (1) ‖ CRC-32 of the rest (4, big-endian) ‖ bincode 2 standard configuration`. Only this node ever
//! reads it back; what travels, and log entries, are protobuf. See `docs/formats/raft-log.md`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of the encoding.
const VERSION: u8 = 1;
/// Bytes before the body.
const PREFIX_LENGTH: usize = 5;
/// Bytes of a body, at most: a membership of a few hundred members with their addresses.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Stored metadata that is not what this version writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// Shorter than version and checksum, or longer than any metadata.
    #[error("expected {PREFIX_LENGTH} to {} bytes of raft metadata, found {found}", PREFIX_LENGTH + BODY_BYTES_MAX)]
    Length {
        /// Bytes there.
        found: usize,
    },
    /// Of another version.
    #[error("expected raft metadata of version {VERSION}, found {found}")]
    Version {
        /// Version there.
        found: u8,
    },
    /// Damaged.
    #[error("expected a checksum of {expected:08x}, found {found:08x}")]
    Checksum {
        /// Checksum stored.
        expected: u32,
        /// Checksum of what is there.
        found: u32,
    },
    /// Not of its type, or followed by something else.
    #[error("raft metadata does not decode: {detail}")]
    Body {
        /// The decoder's words.
        detail: String,
    },
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<BODY_BYTES_MAX>()
}

/// Encodes metadata.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    seal(&bincode::serde::encode_to_vec(value, config()).expect("metadata types have no fallible encoding"))
}

/// Puts version and checksum before a body.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut out = vec![VERSION, 0, 0, 0, 0];
    out[1..PREFIX_LENGTH].copy_from_slice(&crc32fast::hash(body).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Decodes metadata.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() < PREFIX_LENGTH || bytes.len() > PREFIX_LENGTH + BODY_BYTES_MAX {
        return Err(CodecError::Length { found: bytes.len() });
    }
    if bytes[0] != VERSION {
        return Err(CodecError::Version { found: bytes[0] });
    }
    let body = &bytes[PREFIX_LENGTH..];
    let expected = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
    let found = crc32fast::hash(body);
    if expected != found {
        return Err(CodecError::Checksum { expected, found });
    }
    let (value, length) = bincode::serde::decode_from_slice(body, config())
        .map_err(|error| CodecError::Body { detail: error.to_string() })?;
    if length != body.len() {
        return Err(CodecError::Body { detail: format!("expected {length} bytes, found {}", body.len()) });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::consensus::types::{LogId, MemberAddress, Membership, StoredMembership, Vote, log_id};

    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, golden: &str) {
        let bytes = encode(&value);
        assert_eq!(hex::encode(&bytes), golden);
        assert_eq!(decode::<T>(&bytes).expect("own bytes"), value);
    }

    #[test]
    fn vote_is_frozen() {
        check(Vote::new_committed(7, 3), "01e17beec707010301");
    }

    #[test]
    fn log_id_is_frozen() {
        check(Some(log_id(2, 300)), "01a6ecd12f0102fb2c01");
        check(None::<LogId>, "01d202ef8d00");
    }

    #[test]
    fn membership_is_frozen() {
        let member = MemberAddress { peer: "a:1".into(), client: "a:2".into(), admin: "a:3".into() };
        let members = BTreeMap::from([(1, member)]);
        let membership = Membership::new(vec![BTreeSet::from([1])], members).expect("a voter with an address");
        check(
            StoredMembership::new(Some(log_id(1, 1)), membership),
            "013e664cda010101010101010103613a3103613a3203613a33",
        );
    }

    #[test]
    fn damage_is_told_apart() {
        let good = encode(&log_id(2, 300));
        assert_eq!(decode::<LogId>(&good[..3]), Err(CodecError::Length { found: 3 }));
        let mut other = good.clone();
        other[0] = 9;
        assert_eq!(decode::<LogId>(&other), Err(CodecError::Version { found: 9 }));
        for at in 1..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(matches!(decode::<LogId>(&flipped), Err(CodecError::Checksum { .. })), "byte {at}");
        }
        let longer = encode(&(log_id(2, 300), 1u8));
        assert!(matches!(decode::<LogId>(&longer), Err(CodecError::Body { .. })));
    }
}
