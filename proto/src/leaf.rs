//! Leaf v1: what the log's Merkle tree is built over. Fixed layout, never erased; `docs/formats/leaf.md`.
//!
//! A replica without keys recomputes the two sealed digests from its own bytes and takes the first two
//! from the leaf; whoever opens the record checks them all.

use crate::digest::Digest;
use crate::id::{KeyId, RecordId, UnixMs};
use crate::merkle;

/// Version of the layout.
pub const LEAF_VERSION: u8 = 1;

/// What a leaf stands for. 3 is reserved for the promotion of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LeafKind {
    /// A report record.
    Record = 1,
    /// The first leaf of a cluster. The record id holds the cluster id, the header digest is SHA-256 of the
    /// genesis record; key id and the digests that have no meaning are zero.
    Genesis = 2,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another length.
    #[error("expected a leaf of {} bytes, found {found}", Leaf::LENGTH)]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// Another version.
    #[error("expected leaf version {LEAF_VERSION}, found {found}")]
    Version {
        /// Version given.
        found: u8,
    },
    /// An unknown kind.
    #[error("expected leaf kind 1 (record) or 2 (genesis), found {found}")]
    Kind {
        /// Kind given.
        found: u8,
    },
}

/// A leaf of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// What it stands for.
    pub kind: LeafKind,
    /// Id of the record.
    pub record_id: RecordId,
    /// When the log took it in: never before its predecessor.
    pub accepted_at: UnixMs,
    /// Data key that seals both parts.
    pub key_id: KeyId,
    /// SHA-256 of the header: the record's identity.
    pub header_digest: Digest,
    /// SHA-256 of the signature block.
    pub signature_block_digest: Digest,
    /// SHA-256 of the sealed head.
    pub sealed_head_digest: Digest,
    /// SHA-256 of the sealed payload.
    pub sealed_payload_digest: Digest,
    /// [`attachments_digest`] of the sealed attachments.
    pub attachments_digest: Digest,
}

/// SHA-256 of the concatenated digests of the sealed attachments, in the header's order.
pub fn attachments_digest<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> Digest {
    let parts: Vec<&[u8]> = digests.into_iter().map(AsRef::as_ref).collect();
    Digest::of_parts(&parts)
}

impl Leaf {
    /// Bytes of an encoded leaf.
    pub const LENGTH: usize = 1 + 1 + 16 + 8 + 16 + 5 * 32;

    /// The fixed layout.
    pub fn encode(&self) -> [u8; Leaf::LENGTH] {
        let mut out = [0; Leaf::LENGTH];
        out[0] = LEAF_VERSION;
        out[1] = self.kind as u8;
        out[2..18].copy_from_slice(self.record_id.as_ref());
        out[18..26].copy_from_slice(&self.accepted_at.0.to_be_bytes());
        out[26..42].copy_from_slice(self.key_id.as_ref());
        let digests = [
            self.header_digest,
            self.signature_block_digest,
            self.sealed_head_digest,
            self.sealed_payload_digest,
            self.attachments_digest,
        ];
        for (place, digest) in out[42..].chunks_exact_mut(32).zip(digests) {
            place.copy_from_slice(digest.as_ref());
        }
        out
    }

    /// Reads the fixed layout.
    pub fn decode(bytes: &[u8]) -> Result<Leaf, Error> {
        let bytes: &[u8; Leaf::LENGTH] = bytes.try_into().map_err(|_| Error::Length { found: bytes.len() })?;
        if bytes[0] != LEAF_VERSION {
            return Err(Error::Version { found: bytes[0] });
        }
        let kind = match bytes[1] {
            1 => LeafKind::Record,
            2 => LeafKind::Genesis,
            found => return Err(Error::Kind { found }),
        };
        let digest = |n: usize| Digest(array(bytes, 42 + 32 * n));
        Ok(Leaf {
            kind,
            record_id: RecordId(array(bytes, 2)),
            accepted_at: UnixMs(u64::from_be_bytes(array(bytes, 18))),
            key_id: KeyId(array(bytes, 26)),
            header_digest: digest(0),
            signature_block_digest: digest(1),
            sealed_head_digest: digest(2),
            sealed_payload_digest: digest(3),
            attachments_digest: digest(4),
        })
    }

    /// RFC 6962 hash of the encoded leaf.
    pub fn hash(&self) -> Digest {
        merkle::leaf_hash(&self.encode())
    }
}

/// `N` bytes at `from`; the layout is of fixed length and every call stays within it.
fn array<const N: usize>(bytes: &[u8; Leaf::LENGTH], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[from..from + N]);
    out
}

#[cfg(test)]
mod tests;
