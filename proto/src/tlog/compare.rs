//! Whether two signed checkpoints are of one tree, by tiles that nobody vouches for.

use std::collections::BTreeSet;

use super::{Tile, TileError, Tiles};
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::error::Code;
use crate::merkle::{consistency_proof, root_at, verify_consistency};

/// What two checkpoints are to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The older tree is a prefix of the newer one: the proof that says so (RFC 6962, 2.1.2).
    Consistent {
        /// As [`verify_consistency`] takes it.
        proof: Vec<Digest>,
    },
    /// It is not. The proof leads from `root`, which the newer tree has at the older size, to the newer root.
    Forked {
        /// As [`verify_consistency`] takes it, with `root` as the older root.
        proof: Vec<Digest>,
        /// Not the one that the older checkpoint has.
        root: Digest,
    },
}

/// Why nothing is known of two checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The older tree is larger than the newer.
    #[error("expected an older size of at most {new}, found {old}")]
    Sizes {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// A tile is missing or malformed.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The tiles are not those of the newer checkpoint.
    #[error("expected tiles that lead to root {expected} of {size} leaves, found others")]
    Tiles {
        /// Root of the newer checkpoint.
        expected: Digest,
        /// Its size.
        size: u64,
    },
}

impl CompareError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            CompareError::Sizes { .. } => Code::LogShrank,
            CompareError::Tile(_) | CompareError::Tiles { .. } => Code::LogTilesInvalid,
        }
    }
}

/// The tiles that [`compare`] reads: of the tree of `new` leaves, some for each level.
pub fn tiles_to_compare(old: u64, new: u64) -> BTreeSet<Tile> {
    Tiles::wanted(new, |tiles| {
        // equal sizes are compared by their roots alone
        if old < new {
            let Ok(_root) = root_at(tiles, old);
            drop(consistency_proof(tiles, old, new));
        }
    })
}

/// Compares two checkpoints whose signatures were verified. `tiles` holds what [`tiles_to_compare`] named.
///
/// Tiles that don't lead to the newer root say nothing of the log, only of who served them. Where they do, each hash on
/// the way is proven, hence also the root that the newer tree has at the older size.
pub fn compare(tiles: &Tiles, old: &Checkpoint, new: &Checkpoint) -> Result<Comparison, CompareError> {
    if old.size > new.size {
        return Err(CompareError::Sizes { old: old.size, new: new.size });
    }
    let (root, proof) = if old.size == new.size {
        (new.root, Vec::new())
    } else {
        let root = root_at(tiles, old.size)?;
        let proof = consistency_proof(tiles, old.size, new.size).map_err(|error| match error {
            crate::merkle::ProveError::Hashes(error) => CompareError::Tile(error),
            // of sizes that were compared above
            _ => CompareError::Sizes { old: old.size, new: new.size },
        })?;
        verify_consistency(old.size, new.size, &root, &new.root, &proof)
            .map_err(|_| CompareError::Tiles { expected: new.root, size: new.size })?;
        (root, proof)
    };
    Ok(if root == old.root { Comparison::Consistent { proof } } else { Comparison::Forked { proof, root } })
}
