//! Proofs over the ledger's tree, at any size up to the tip's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::Seq;
use kho_proto::merkle::{self, Hashes, ProveError};

use crate::edge::{Place, Pyramid};
use crate::row::{Damaged, Fault};
use crate::table::{self, Table};
use crate::tip::{Tip, load_tile_row, raise_tile};
use crate::view::{ReadError, View};

/// Tiles that a prover keeps, at most: 24 KiB each with their rows and what stands above them.
pub const PROVER_TILES_MAX: usize = 64;

/// Why there is no such proof.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The leaf is not in a tree of this size.
    #[error("expected a leaf below {size}, found {index}")]
    Leaf {
        /// Leaf asked for.
        index: u64,
        /// Size asked for.
        size: u64,
    },
    /// The older tree is larger than the newer.
    #[error("expected an older size of at most {new}, found {old}")]
    Sizes {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The tree has not grown so far.
    #[error("expected a size of at most {tip}, found {size}")]
    Ahead {
        /// Size asked for.
        size: u64,
        /// Size of the tip.
        tip: u64,
    },
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<ProveError<ReadError>> for Error {
    fn from(error: ProveError<ReadError>) -> Self {
        match error {
            ProveError::Leaf { index, size } => Error::Leaf { index, size },
            ProveError::Sizes { old, new } => Error::Sizes { old, new },
            ProveError::Hashes(error) => Error::Read(error),
        }
    }
}

/// A full tile and what stands above it.
pub struct Raised {
    row: Bytes,
    pyramid: Pyramid,
}

/// Full tiles that were raised before: a proof takes the hashes above a tile, and to compute them costs more than all the
/// rest of it. Whoever keeps them may forget any, and need not know when rows change: what is found counts only for the row
/// that it was raised from.
pub trait RaisedTiles {
    /// The tile of this level and index, if it is kept.
    fn find(&self, level: u8, index: u64) -> Option<Arc<Raised>>;
    /// Keeps a tile; some 24 KiB.
    fn keep(&self, level: u8, index: u64, tile: Arc<Raised>);
}

/// Makes proofs and keeps the tiles that it read: use one for all receipts of an entry.
/// View and tip must be of the same moment.
pub struct Prover<'a> {
    view: &'a dyn View,
    tip: &'a Tip,
    raised: Option<&'a dyn RaisedTiles>,
    tiles: RefCell<BTreeMap<(u32, u64), Arc<Raised>>>,
}

impl<'a> Prover<'a> {
    /// A prover for trees up to the tip's size.
    pub fn new(view: &'a dyn View, tip: &'a Tip) -> Self {
        Self { view, tip, raised: None, tiles: RefCell::default() }
    }

    /// The same, over tiles that others have raised before.
    pub fn over(view: &'a dyn View, tip: &'a Tip, raised: &'a dyn RaisedTiles) -> Self {
        Self { raised: Some(raised), ..Self::new(view, tip) }
    }

    fn tile(&self, level: u8, index: u64) -> Result<Arc<Raised>, ReadError> {
        let row = load_tile_row(self.view, level, index)?;
        let found = self.raised.and_then(|raised| raised.find(level, index));
        if let Some(found) = found.filter(|found| found.row == row) {
            return Ok(found);
        }
        let (pyramid, _) = raise_tile(row.clone(), level, index)?;
        let tile = Arc::new(Raised { row, pyramid });
        if let Some(raised) = self.raised {
            raised.keep(level, index, tile.clone());
        }
        Ok(tile)
    }

    fn check(&self, size: u64) -> Result<(), Error> {
        let tip = self.tip.size();
        if size <= tip { Ok(()) } else { Err(Error::Ahead { size, tip }) }
    }

    /// Root of the first `size` leaves.
    pub fn root_at(&self, size: u64) -> Result<Digest, Error> {
        self.check(size)?;
        if size == self.tip.size() { Ok(self.tip.root()) } else { Ok(merkle::root_at(self, size)?) }
    }

    /// Inclusion proof of the leaf at `seq` in the tree of the first `size` leaves.
    pub fn inclusion(&self, seq: Seq, size: u64) -> Result<Vec<Digest>, Error> {
        self.check(size)?;
        Ok(merkle::inclusion_proof(self, seq.0, size)?)
    }

    /// Proof that the tree of `old` leaves is a prefix of the tree of `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        self.check(new)?;
        Ok(merkle::consistency_proof(self, old, new)?)
    }
}

impl Hashes for Prover<'_> {
    type Error = ReadError;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, ReadError> {
        let place = Place::of(height, index);
        if let Some(hash) = self.tip.edge.get(&place) {
            return Ok(hash);
        }
        // A tree of fewer than 2^64 leaves has at most 64 heights, hence 8 tile levels.
        let level = place.level as u8;
        let mut tiles = self.tiles.borrow_mut();
        let at = (place.level, place.tile);
        if !tiles.contains_key(&at) {
            if tiles.len() == PROVER_TILES_MAX {
                tiles.clear();
            }
            tiles.insert(at, self.tile(level, place.tile)?);
        }
        let hash = tiles.get(&at).and_then(|tile| tile.pyramid.get(place.row, place.index));
        let damaged = || Damaged::new(Table::Tiles, &table::tile_key(level, place.tile), Fault::Missing);
        Ok(hash.ok_or_else(damaged)?)
    }
}

/// Root of the first `size` leaves. For many at once, keep a [`Prover`].
pub fn root_at(view: &dyn View, tip: &Tip, size: u64) -> Result<Digest, Error> {
    Prover::new(view, tip).root_at(size)
}

/// Inclusion proof of the leaf at `seq` in the tree of the first `size` leaves. For many at once, keep a [`Prover`].
pub fn inclusion(view: &dyn View, tip: &Tip, seq: Seq, size: u64) -> Result<Vec<Digest>, Error> {
    Prover::new(view, tip).inclusion(seq, size)
}

/// Proof that the tree of `old` leaves is a prefix of the tree of `new`. For many at once, keep a [`Prover`].
pub fn consistency(view: &dyn View, tip: &Tip, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
    Prover::new(view, tip).consistency(old, new)
}
