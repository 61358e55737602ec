//! The least one must keep to go on with a tree: the perfect subtrees it consists of.

use super::{Hashes, empty_root, node_hash};
use crate::digest::Digest;

/// Right edge of a tree: the roots of its perfect subtrees, at most one per height, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The edge of the tree of `size` leaves.
    pub fn at<H: Hashes + ?Sized>(hashes: &H, size: u64) -> Result<Self, H::Error> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for height in (0..u64::BITS).rev().filter(|height| size >> height & 1 == 1) {
            peaks.push(hashes.subtree(height, start >> height)?);
            start += 1 << height;
        }
        Ok(Self { size, peaks })
    }

    /// Puts together what [`Frontier::size`] and [`Frontier::peaks`] said; none if they don't belong together.
    pub fn of_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Roots of its perfect subtrees, largest first: one for each set bit of the size.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf_hash: Digest) {
        let mut hash = leaf_hash;
        // A set bit of the size stands for a perfect subtree; adding one carries through the lowest set bits.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each set bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root over all leaves so far.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(smallest) => peaks.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}
