//! The log as it is published: checkpoints, tiles and entry bundles at paths (C2SP tlog-tiles), and what a monitor
//! computes from them. `docs/formats/tree.md`.
//!
//! Nothing here fetches. Ask which tiles are wanted ([`Tiles::wanted`]), get them from anywhere, and hold what they say
//! against signed checkpoints: a tile is believed only as far as it leads to a signed root.

mod bundle;
mod compare;
mod path;
#[cfg(test)]
mod tests;
mod tiles;

pub use bundle::{Bundle, BundleError, ENTRY_LENGTH_MAX};
pub use compare::{CompareError, Comparison, compare, tiles_to_compare};
pub use path::{PATH_LENGTH_MAX, PathError, Resource};
pub use tiles::{Recorder, TILE_LEVELS, Tile, TileError, Tiles};
