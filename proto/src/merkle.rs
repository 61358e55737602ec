//! The log's Merkle tree: RFC 6962, cut into tiles 256 wide (C2SP tlog-tiles).
//!
//! `docs/formats/tree.md` describes it and holds vectors. Leaves are numbered from 0. The hash of a
//! *perfect* subtree of height h at index i covers leaves `i·2^h .. (i+1)·2^h` and never changes once
//! all of them are there; everything else is computed from such hashes, read through [`Hashes`].

mod frontier;
mod prove;
mod tile;
mod verify;

#[cfg(test)]
mod tests;

pub use frontier::Frontier;
pub use prove::{ProveError, consistency_proof, inclusion_proof, root_at};
pub use tile::{TILE_HEIGHT, TILE_WIDTH, entries_path, tile_path};
pub use verify::{VerifyError, verify_consistency, verify_inclusion};

use crate::digest::Digest;

const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;

/// Hash of a leaf: `SHA-256(0x00 ‖ leaf)` (RFC 6962, 2.1).
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest::of_parts(&[&[LEAF_PREFIX], leaf])
}

/// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962, 2.1).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut input = [NODE_PREFIX; 65];
    input[1..33].copy_from_slice(left.as_bytes());
    input[33..].copy_from_slice(right.as_bytes());
    Digest::of(&input)
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// Root over these leaf hashes.
pub fn root_of(leaf_hashes: &[Digest]) -> Digest {
    let mut frontier = Frontier::default();
    for hash in leaf_hashes {
        frontier.push(*hash);
    }
    frontier.root()
}

/// A reader of hashes of perfect subtrees.
pub trait Hashes {
    /// Why a hash could not be read.
    type Error;

    /// Hash of the perfect subtree of `height` at `index`; all its leaves are in the tree.
    fn subtree(&self, height: u32, index: u64) -> Result<Digest, Self::Error>;
}
