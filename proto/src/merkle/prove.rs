//! Making proofs, out of hashes of perfect subtrees.

use super::{Hashes, empty_root, node_hash};
use crate::digest::Digest;

/// Why there is no such proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf is not in a tree of this size.
    #[error("expected a leaf below {size}, found {index}")]
    Leaf {
        /// Leaf asked for.
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
    /// A hash could not be read.
    #[error(transparent)]
    Hashes(#[from] E),
}

/// Root of the tree of the first `size` leaves.
pub fn root_at<H: Hashes + ?Sized>(hashes: &H, size: u64) -> Result<Digest, H::Error> {
    if size == 0 { Ok(empty_root()) } else { range_root(hashes, 0, size) }
}

/// Inclusion proof of leaf `index` in the tree of `size`, leaf's sibling first (RFC 6962, 2.1.1).
pub fn inclusion_proof<H: Hashes + ?Sized>(
    hashes: &H,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, ProveError<H::Error>> {
    if index >= size {
        return Err(ProveError::Leaf { index, size });
    }
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(hashes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(hashes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 6962, 2.1.2).
///
/// Empty for equal sizes and, as in C2SP tlog-witness, for an empty older tree.
pub fn consistency_proof<H: Hashes + ?Sized>(
    hashes: &H,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, ProveError<H::Error>> {
    if old > new {
        return Err(ProveError::Sizes { old, new });
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    // SUBPROOF of RFC 6962: walk down to the node that ends where the old tree ends.
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(hashes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(hashes, start, middle)?);
            start = middle;
        }
    }
    // The verifier knows that node already when it is the whole old tree.
    if start != 0 {
        proof.push(range_root(hashes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// Root over leaves `start..end`, a range that RFC 6962's recursion reaches: never empty, and `start` is a
/// multiple of the largest power of two in the range.
fn range_root<H: Hashes + ?Sized>(hashes: &H, start: u64, end: u64) -> Result<Digest, H::Error> {
    let mut at = end;
    let mut root: Option<Digest> = None;
    while at > start {
        // From the right: the lowest set bit of what is left is the last perfect subtree.
        let height = (at - start).trailing_zeros();
        let index = (at - 1) >> height;
        let left = hashes.subtree(height, index)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
        at -= 1 << height;
    }
    Ok(root.expect("the range is not empty"))
}
