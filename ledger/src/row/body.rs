use bytes::Bytes;

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A sealed record, as proposed. Of leaf 0: the genesis record in place of the head, and no payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Sealed header and signature block.
    pub sealed_head: Bytes,
    /// Sealed payload.
    pub sealed_payload: Bytes,
}

impl Body {
    pub(crate) fn encode(&self) -> Bytes {
        let length = u32::try_from(self.sealed_head.len()).expect("apply bounds a sealed head far below 4 GiB");
        joined(&[&[ROW_VERSION], &length.to_be_bytes(), &self.sealed_head, &self.sealed_payload])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let length = reader.u32("length of the sealed head")? as usize;
        Ok(Self { sealed_head: reader.bytes(length, "sealed head")?, sealed_payload: reader.rest() })
    }
}
