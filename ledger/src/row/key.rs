use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, Token};

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A unit's data key of one generation, wrapped. `generation` stands in the row's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyRow {
    /// Leaves that stood before it was created.
    pub size_before: u64,
    /// Its id.
    pub key_id: KeyId,
    /// From 1, without gaps.
    pub generation: u32,
    /// Fingerprint of the key-encryption key.
    pub wrapped_by: Digest,
    /// The wrapped key.
    pub wrapped_key: Bytes,
}

impl DataKeyRow {
    pub(crate) fn encode(&self) -> Bytes {
        let size = self.size_before.to_be_bytes();
        joined(&[&[ROW_VERSION], &size, self.key_id.as_ref(), self.wrapped_by.as_ref(), &self.wrapped_key])
    }

    pub(crate) fn decode(generation: u32, value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        Ok(Self {
            size_before: reader.u64("size before")?,
            key_id: KeyId(reader.array("key id")?),
            generation,
            wrapped_by: Digest(reader.array("fingerprint of the wrapping key")?),
            wrapped_key: reader.rest(),
        })
    }
}

/// Whose a data key is: found by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// Token of the unit.
    pub unit_token: Token,
    /// Generation among the unit's keys.
    pub generation: u32,
}

impl KeyOwner {
    pub(crate) fn encode(&self) -> Bytes {
        joined(&[&[ROW_VERSION], self.unit_token.as_ref(), &self.generation.to_be_bytes()])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let row = Self { unit_token: Token(reader.array("unit token")?), generation: reader.u32("generation")? };
        reader.end("a key owner of 21 bytes")?;
        Ok(row)
    }
}
