use bytes::Bytes;
use kho_proto::id::{RecordId, Seq};

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A revision of a series. `revision` stands in the row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesRow {
    /// From 1, without gaps.
    pub revision: u32,
    /// Index of the record's leaf.
    pub seq: Seq,
    /// The record.
    pub record_id: RecordId,
}

impl SeriesRow {
    pub(crate) fn encode(&self) -> Bytes {
        joined(&[&[ROW_VERSION], &self.seq.0.to_be_bytes(), self.record_id.as_ref()])
    }

    pub(crate) fn decode(revision: u32, value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let row = Self {
            revision,
            seq: Seq(reader.u64("sequence number")?),
            record_id: RecordId(reader.array("record id")?),
        };
        reader.end("a series row of 25 bytes")?;
        Ok(row)
    }
}
