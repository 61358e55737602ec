//! Tiles of hashes, as a client has got them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::Resource;
use crate::digest::Digest;
use crate::error::Code;
use crate::merkle::{Hashes, TILE_HEIGHT, TILE_WIDTH, node_hash};

/// Tile levels of a tree whose size has 64 bits.
pub const TILE_LEVELS: u8 = (u64::BITS / TILE_HEIGHT) as u8;

/// A run of hashes of height `8·level`, from `256·index` on, `width` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its level, from 0, where the hashes are those of leaves.
    pub level: u8,
    /// Its number within the level, from 0.
    pub index: u64,
    /// Hashes in it, from 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The tile at a place, as wide as a tree of `size` leaves makes it; none if that tree has no hash there.
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0);
        let before = index.checked_mul(TILE_WIDTH as u64)?;
        let width = hashes.checked_sub(before).filter(|width| *width > 0)?.min(TILE_WIDTH as u64) as u16;
        Some(Self { level, index, width })
    }

    /// Whether a tree of `size` leaves has all its hashes.
    pub fn is_in(&self, size: u64) -> bool {
        Self::at(self.level, self.index, size).is_some_and(|tile| tile.width >= self.width)
    }

    /// As wide as it can be: never changes, and stands for any narrower one.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH as u16, ..self }
    }
}

/// Why tiles don't hold a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// It was never got.
    #[error("expected {path}, found none")]
    Missing {
        /// The tile's path.
        path: String,
    },
    /// Other bytes than a tile of its width has.
    #[error("{path}: expected {expected} bytes, found {found}")]
    Length {
        /// The tile's path.
        path: String,
        /// Bytes of such a tile.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
}

impl TileError {
    /// `log-tiles-invalid`.
    pub fn code(&self) -> Code {
        Code::LogTilesInvalid
    }
}

/// Tiles that were got for a tree of some size. Nothing about them is proven.
#[derive(Debug, Clone)]
pub struct Tiles {
    size: u64,
    got: BTreeMap<(u8, u64), Vec<Digest>>,
}

impl Tiles {
    /// None yet, for a tree of `size` leaves.
    pub fn of_size(size: u64) -> Self {
        Self { size, got: BTreeMap::new() }
    }

    /// The tiles, of a tree of `size` leaves, that a computation reads. It gets hashes that mean nothing, and must read
    /// the same whatever they are, as all of [`crate::merkle`] does.
    pub fn wanted<T>(size: u64, compute: impl FnOnce(&Recorder) -> T) -> BTreeSet<Tile> {
        let recorder = Recorder { size, wanted: RefCell::default() };
        compute(&recorder);
        recorder.wanted.into_inner()
    }

    /// Takes a tile. The full one of the same place serves as well.
    pub fn insert(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), TileError> {
        let expected = Digest::LENGTH * usize::from(tile.width);
        if bytes.len() != expected && bytes.len() != Digest::LENGTH * TILE_WIDTH {
            return Err(TileError::Length { path: Resource::Tile(tile).to_string(), expected, found: bytes.len() });
        }
        let hashes = bytes[..expected].as_chunks().0.iter().copied().map(Digest);
        self.got.insert((tile.level, tile.index), hashes.collect());
        Ok(())
    }
}

/// Height and index of a perfect subtree: its tile's level and index, the first hash in the tile, and how many.
fn place(height: u32, index: u64) -> (u8, u64, usize, usize) {
    let count = 1usize << (height % TILE_HEIGHT);
    let tiles = TILE_WIDTH as u64 / count as u64;
    // a height has less than 64 bits, hence fits
    ((height / TILE_HEIGHT) as u8, index / tiles, (index % tiles) as usize * count, count)
}

impl Hashes for Tiles {
    type Error = TileError;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, TileError> {
        let (level, tile, first, count) = place(height, index);
        let hashes = self.got.get(&(level, tile)).and_then(|hashes| hashes.get(first..first + count));
        let mut row = hashes
            .ok_or_else(|| {
                let width = Tile::at(level, tile, self.size).map_or(TILE_WIDTH as u16, |tile| tile.width);
                TileError::Missing { path: Resource::Tile(Tile { level, index: tile, width }).to_string() }
            })?
            .to_vec();
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        Ok(row[0])
    }
}

/// Notes which tiles a computation reads.
pub struct Recorder {
    size: u64,
    wanted: RefCell<BTreeSet<Tile>>,
}

impl Hashes for Recorder {
    type Error = Infallible;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, Infallible> {
        let (level, tile, _, _) = place(height, index);
        // a perfect subtree of a tree of this size has its hashes in a tile of it
        self.wanted.borrow_mut().extend(Tile::at(level, tile, self.size));
        Ok(Digest::ZERO)
    }
}
