use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::UnixMs;

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A list of revoked certificates. `version` stands in the row's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRow {
    /// How many were installed with it: from 1, without gaps.
    pub version: u64,
    /// Leaves that stood before it was installed.
    pub size_before: u64,
    /// SHA-256 of its authority's name and key.
    pub issuer: Digest,
    /// When its authority made it.
    pub this_update: UnixMs,
    /// The list, DER.
    pub der: Bytes,
}

impl CrlRow {
    pub(crate) fn encode(&self) -> Bytes {
        let (size, made) = (self.size_before.to_be_bytes(), self.this_update.0.to_be_bytes());
        joined(&[&[ROW_VERSION], &size, self.issuer.as_ref(), &made, &self.der])
    }

    pub(crate) fn decode(version: u64, value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        Ok(Self {
            version,
            size_before: reader.u64("size before")?,
            issuer: Digest(reader.array("issuer")?),
            this_update: UnixMs(reader.u64("this update")?),
            der: reader.rest(),
        })
    }
}
