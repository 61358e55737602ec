//! The right edge of the tree in memory: at each tile level the tile that is not full yet.
//!
//! Full tiles are rows; this is all of the rest. It is recomputed from rows at start, and cheap to clone:
//! levels are shared until one of them changes, and each holds at most 510 hashes.

use std::sync::Arc;

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::merkle::{TILE_HEIGHT, TILE_WIDTH, empty_root, node_hash};

/// A tile and what stands above it within its height: row r holds the perfect subtrees of height r.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pyramid {
    rows: [Vec<Digest>; TILE_HEIGHT as usize],
}

impl Pyramid {
    /// Adds a hash to the tile, and those that become complete above it. The root, when the tile is full.
    pub(crate) fn push(&mut self, hash: Digest) -> Option<Digest> {
        let mut hash = hash;
        for row in &mut self.rows {
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len() % 2 == 0 => hash = node_hash(left, right),
                _ => return None,
            }
        }
        Some(hash)
    }

    /// The subtree of height `row` above the tile's hashes, at `index` within the tile.
    pub(crate) fn get(&self, row: u32, index: usize) -> Option<Digest> {
        self.rows.get(row as usize)?.get(index).copied()
    }

    /// Perfect subtrees that no larger one within the tile holds, smallest first.
    fn peaks(&self) -> impl Iterator<Item = &Digest> {
        self.rows.iter().filter(|row| row.len() % 2 == 1).filter_map(|row| row.last())
    }
}

/// Tile level, tile index, hash index within the tile: where a perfect subtree stands.
pub(crate) struct Place {
    pub(crate) level: u32,
    pub(crate) tile: u64,
    pub(crate) row: u32,
    pub(crate) index: usize,
}

impl Place {
    pub(crate) fn of(height: u32, index: u64) -> Self {
        let row = height % TILE_HEIGHT;
        let width = 1u64 << (TILE_HEIGHT - row);
        Self { level: height / TILE_HEIGHT, tile: index / width, row, index: (index % width) as usize }
    }
}

/// Full tiles of a tile level in a tree of `size`.
pub(crate) fn full_tiles(level: u32, size: u64) -> u64 {
    size.checked_shr((level + 1) * TILE_HEIGHT).unwrap_or(0)
}

/// The tiles that are not full, lowest level first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Arc<Pyramid>>,
}

impl Edge {
    /// Puts together an edge out of the hashes in its tiles, lowest level first.
    pub(crate) fn of(size: u64, tiles: Vec<Vec<Digest>>) -> Self {
        let mut levels = Vec::with_capacity(tiles.len());
        for hashes in tiles {
            debug_assert!(hashes.len() < TILE_WIDTH);
            let mut pyramid = Pyramid::default();
            for hash in hashes {
                pyramid.push(hash);
            }
            levels.push(Arc::new(pyramid));
        }
        Self { size, levels }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Calls `full` with level, index and hashes of each tile that it fills.
    pub(crate) fn push(&mut self, leaf_hash: Digest, mut full: impl FnMut(u8, u64, &[Digest])) {
        self.size += 1;
        let mut hash = leaf_hash;
        for level in 0u8.. {
            let at = usize::from(level);
            if at == self.levels.len() {
                self.levels.push(Arc::default());
            }
            let pyramid = Arc::make_mut(&mut self.levels[at]);
            let Some(root) = pyramid.push(hash) else { return };
            full(level, full_tiles(u32::from(level), self.size) - 1, &pyramid.rows[0]);
            pyramid.rows.iter_mut().for_each(Vec::clear);
            hash = root;
        }
    }

    /// Root over all leaves.
    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.levels.iter().flat_map(|level| level.peaks());
        match peaks.next() {
            None => empty_root(),
            Some(smallest) => peaks.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }

    /// The first `width` hashes of a tile, if it is one of these and has as many.
    pub(crate) fn tile(&self, level: u8, index: u64, width: usize) -> Option<Bytes> {
        let pyramid = self.levels.get(usize::from(level)).filter(|_| index == full_tiles(level.into(), self.size))?;
        let hashes = pyramid.rows[0].get(..width).filter(|hashes| !hashes.is_empty())?;
        Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
    }

    /// A perfect subtree, if its tile is one of these.
    pub(crate) fn get(&self, place: &Place) -> Option<Digest> {
        let inside = place.tile == full_tiles(place.level, self.size);
        if inside { self.levels.get(place.level as usize)?.get(place.row, place.index) } else { None }
    }
}
