use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::merkle::TILE_WIDTH;

use super::reader::Reader;
use super::{Fault, ROW_VERSION};
use crate::table::joined;

/// A full tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRow(
    /// 256 hashes of 32 bytes: the tile as C2SP tlog-tiles serves it.
    pub Bytes,
);

impl TileRow {
    pub(crate) fn of(hashes: &[Digest]) -> Bytes {
        let mut out = Vec::with_capacity(1 + 32 * TILE_WIDTH);
        out.push(ROW_VERSION);
        hashes.iter().for_each(|hash| out.extend_from_slice(hash.as_ref()));
        out.into()
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let tile = Reader::new(value)?.rest();
        if tile.len() == 32 * TILE_WIDTH { Ok(Self(tile)) } else { Err(Fault::Length { expected: "256 hashes" }) }
    }

    /// The hashes, in order.
    pub fn hashes(&self) -> impl Iterator<Item = Digest> + '_ {
        self.0.as_chunks::<32>().0.iter().copied().map(Digest)
    }
}

/// The tree at the end of an entry. Its size stands in the row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRow {
    /// Root over all leaves up to there.
    pub root: Digest,
}

impl SizeRow {
    pub(crate) fn encode(&self) -> Bytes {
        joined(&[&[ROW_VERSION], self.root.as_ref()])
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Fault> {
        let mut reader = Reader::new(value)?;
        let row = Self { root: Digest(reader.array("root")?) };
        reader.end("a root of 32 bytes")?;
        Ok(row)
    }
}
