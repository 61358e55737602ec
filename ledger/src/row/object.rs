use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, ObjectId, Token, UnixMs};

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// What all chunks of an object share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRow {
    /// Leaves that stood before its first chunk.
    pub size_before: u64,
    /// Token of the unit that it belongs to.
    pub unit_token: Token,
    /// Data key that seals it.
    pub key_id: KeyId,
    /// Bytes of its content.
    pub length: u64,
}

impl ObjectRow {
    pub(crate) fn encode(&self) -> Bytes {
        let (size, length) = (self.size_before.to_be_bytes(), self.length.to_be_bytes());
        joined(&[&[ROW_VERSION], &size, self.unit_token.as_ref(), self.key_id.as_ref(), &length])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let row = Self {
            size_before: reader.u64("size before")?,
            unit_token: Token(reader.array("unit token")?),
            key_id: KeyId(reader.array("key id")?),
            length: reader.u64("length")?,
        };
        reader.end("an object row of 49 bytes")?;
        Ok(row)
    }
}

/// What is known of a chunk without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkFacts {
    /// Leaves that stood before it.
    pub size_before: u64,
    /// When it came.
    pub at: UnixMs,
    /// SHA-256 of its sealed bytes.
    pub digest: Digest,
}

/// All chunks of an object are there and were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteRow {
    /// Leaves that stood before it was complete.
    pub size_before: u64,
    /// Since when.
    pub at: UnixMs,
    /// Digest of the sealed attachment, as leaves have it.
    pub sealed_digest: Digest,
}

fn encode(size_before: u64, at: UnixMs, digest: Digest) -> Bytes {
    joined(&[&[ROW_VERSION], &size_before.to_be_bytes(), &at.0.to_be_bytes(), digest.as_ref()])
}

fn decode(value: Bytes) -> Result<(u64, UnixMs, Digest), Fault> {
    let mut reader = Reader::new(value)?;
    let row = (reader.u64("size before")?, UnixMs(reader.u64("time")?), Digest(reader.array("digest")?));
    reader.end("a row of 49 bytes")?;
    Ok(row)
}

impl ChunkFacts {
    pub(crate) fn encode(&self) -> Bytes {
        encode(self.size_before, self.at, self.digest)
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        decode(value).map(|(size_before, at, digest)| Self { size_before, at, digest })
    }
}

impl CompleteRow {
    pub(crate) fn encode(&self) -> Bytes {
        encode(self.size_before, self.at, self.sealed_digest)
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        decode(value).map(|(size_before, at, sealed_digest)| Self { size_before, at, sealed_digest })
    }
}

/// A record's attachments, in its header's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachmentsRow(
    /// Object and sealed digest of each.
    pub Vec<(ObjectId, Digest)>,
);

impl AttachmentsRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(1 + 64 * self.0.len());
        out.push(ROW_VERSION);
        for (id, digest) in &self.0 {
            out.extend_from_slice(id.as_ref());
            out.extend_from_slice(digest.as_ref());
        }
        out.into()
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let rest = Reader::new(value)?.rest();
        let (halves, left) = rest.as_chunks::<32>();
        let (pairs, odd) = halves.as_chunks::<2>();
        if !left.is_empty() || !odd.is_empty() {
            return Err(Fault::Length { expected: "attachments of 64 bytes" });
        }
        Ok(Self(pairs.iter().map(|[id, digest]| (ObjectId(*id), Digest(*digest))).collect()))
    }
}
