use bytes::Bytes;
use kho_proto::id::{KeyId, Seq};

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A certificate at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Record that brought it.
    pub seq: Seq,
    /// Data key that seals it.
    pub key_id: KeyId,
    /// The sealed certificate.
    pub sealed: Bytes,
}

impl CertificateRow {
    pub(crate) fn encode(&self) -> Bytes {
        joined(&[&[ROW_VERSION], &self.seq.0.to_be_bytes(), self.key_id.as_ref(), &self.sealed])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        Ok(Self {
            seq: Seq(reader.u64("sequence number")?),
            key_id: KeyId(reader.array("key id")?),
            sealed: reader.rest(),
        })
    }
}
