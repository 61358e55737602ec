//! Checking proofs (RFC 9162, 2.1.3.2 and 2.1.4.2, which give RFC 6962's proofs an algorithm).

use super::{empty_root, node_hash};
use crate::digest::Digest;

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The leaf is not in a tree of this size.
    #[error("expected a leaf below {size}, found {index}")]
    Leaf {
        /// Leaf that the proof is for.
        index: u64,
        /// Size of the tree.
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
    /// Too few or too many hashes.
    #[error("expected {expected} hashes in the proof, found {found}")]
    Length {
        /// Hashes that a proof of this shape has.
        expected: usize,
        /// Hashes that were given.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("expected root {expected}, found {found}")]
    Root {
        /// Root that was to be proven.
        expected: Digest,
        /// Root that the proof leads to.
        found: Digest,
    },
}

fn same(expected: &Digest, found: Digest) -> Result<(), VerifyError> {
    if *expected == found { Ok(()) } else { Err(VerifyError::Root { expected: *expected, found }) }
}

/// Checks that the leaf with `leaf_hash` stands at `index` of the tree of `size` with `root`.
pub fn verify_inclusion(
    leaf_hash: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::Leaf { index, size });
    }
    let expected = inclusion_length(index, size);
    if proof.len() != expected {
        return Err(VerifyError::Length { expected, found: proof.len() });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in proof {
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge that is no perfect subtree goes up without a sibling.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    same(root, hash)
}

/// Hashes in an inclusion proof: below the fork of the paths to `index` and to the last leaf every level has a
/// sibling; above it only those where the path is a right child.
fn inclusion_length(index: u64, size: u64) -> usize {
    let below = 64 - (index ^ (size - 1)).leading_zeros();
    let above = index.checked_shr(below).unwrap_or(0).count_ones();
    (below + above) as usize
}

/// Checks that the tree of `old` leaves with `old_root` is a prefix of the tree of `new` leaves with `new_root`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), VerifyError> {
    if old > new {
        return Err(VerifyError::Sizes { old, new });
    }
    if old == new || old == 0 {
        let expected_old = if old == new { *new_root } else { empty_root() };
        if !proof.is_empty() {
            return Err(VerifyError::Length { expected: 0, found: proof.len() });
        }
        return same(old_root, expected_old);
    }
    let expected = consistency_length(old, new);
    if proof.len() != expected {
        return Err(VerifyError::Length { expected, found: proof.len() });
    }
    // A perfect old tree is its own first node and is left out of the proof.
    let (start, rest) = if old.is_power_of_two() { (*old_root, proof) } else { (proof[0], &proof[1..]) };
    let skip = (old - 1).trailing_ones();
    let (mut node, mut last) = (shift(old - 1, skip), shift(new - 1, skip));
    let (mut old_hash, mut new_hash) = (start, start);
    for sibling in rest {
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    same(old_root, old_hash)?;
    same(new_root, new_hash)
}

/// Hashes in a consistency proof of `0 < old < new`.
fn consistency_length(old: u64, new: u64) -> usize {
    let skip = (old - 1).trailing_ones();
    let (node, last) = (shift(old - 1, skip), shift(new - 1, skip));
    let below = 64 - (node ^ last).leading_zeros();
    let above = node.checked_shr(below).unwrap_or(0).count_ones();
    (below + above) as usize + usize::from(!old.is_power_of_two())
}

fn shift(number: u64, bits: u32) -> u64 {
    number.checked_shr(bits).unwrap_or(0)
}
