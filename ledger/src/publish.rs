//! Tiles and entry bundles out of the rows, for the public log (C2SP tlog-tiles).

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::Seq;
use kho_proto::leaf::Leaf;
use kho_proto::merkle::TILE_WIDTH;
use kho_proto::tlog::{Bundle, TILE_LEVELS, Tile};

use crate::edge::full_tiles;
use crate::row::{Damaged, Fault, TileRow};
use crate::table::{self, Table};
use crate::tip::Tip;
use crate::view::{ReadError, View};

/// Bytes of the largest answer: a full bundle of leaves with their lengths.
pub const PUBLISHED_LENGTH_MAX: usize = TILE_WIDTH * (2 + Leaf::LENGTH);

const _: () = assert!(TILE_WIDTH * Digest::LENGTH <= PUBLISHED_LENGTH_MAX);

/// The hashes of a tile; none if the tree does not have them all yet. View and tip must be of the same moment.
///
/// A full tile is a row; it also serves every narrower one. The one at the right edge is in memory.
pub fn tile(view: &dyn View, tip: &Tip, tile: Tile) -> Result<Option<Bytes>, ReadError> {
    let Tile { level, index, width } = tile;
    let length = Digest::LENGTH * usize::from(width);
    if level >= TILE_LEVELS || index >= full_tiles(level.into(), tip.size()) {
        return Ok(tip.edge.tile(level, index, width.into()));
    }
    let key = table::tile_key(level, index);
    let damaged = |fault| Damaged::new(Table::Tiles, &key, fault);
    let row = view.get(Table::Tiles, &key)?.ok_or_else(|| damaged(Fault::Missing))?;
    let TileRow(hashes) = TileRow::decode(row).map_err(damaged)?;
    Ok(Some(hashes.slice(..length)))
}

/// The leaves of a bundle, each behind its length; none if the tree does not have them all yet. View and tip must be of
/// the same moment.
pub fn bundle(view: &dyn View, tip: &Tip, bundle: Bundle) -> Result<Option<Bytes>, ReadError> {
    let ends = |first: u64| first.checked_add(bundle.width.into()).filter(|end| *end <= tip.size());
    let Some((first, end)) = bundle.first().and_then(|first| Some((first, ends(first)?))) else { return Ok(None) };
    let leaf = |seq| {
        let key = table::seq_key(Seq(seq));
        let damaged = |fault| Damaged::new(Table::Leaves, &key, fault);
        let leaf = view.get(Table::Leaves, &key)?.ok_or_else(|| damaged(Fault::Missing))?;
        if leaf.len() == Leaf::LENGTH { Ok(leaf) } else { Err(damaged(Fault::Length { expected: "leaf v1" }).into()) }
    };
    let leaves = (first..end).map(leaf).collect::<Result<Vec<_>, ReadError>>()?;
    Ok(Some(Bundle::encode(leaves).into()))
}
