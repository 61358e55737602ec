//! Entry bundles: leaves, each behind its length in two bytes, big-endian.

use crate::error::Code;
use crate::merkle::TILE_WIDTH;

/// Bytes of an entry, at most: its length has two bytes.
pub const ENTRY_LENGTH_MAX: usize = u16::MAX as usize;

/// Leaves `256·index` and those after it, `width` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    /// Its number, from 0.
    pub index: u64,
    /// Leaves in it, from 1 to 256.
    pub width: u16,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends within an entry.
    #[error("entry bundle: expected {expected} more bytes for entry {entry}, found {found}")]
    Cut {
        /// Which of its entries, from 0.
        entry: usize,
        /// Bytes missing.
        expected: usize,
        /// Bytes left.
        found: usize,
    },
    /// Another number of entries.
    #[error("entry bundle: expected {expected} entries, found {found}")]
    Count {
        /// The bundle's width.
        expected: usize,
        /// Entries.
        found: usize,
    },
}

impl BundleError {
    /// `log-tiles-invalid`.
    pub fn code(&self) -> Code {
        Code::LogTilesInvalid
    }
}

impl Bundle {
    /// The bundle that holds the leaf at `seq`, as wide as a tree of `size` leaves makes it; none if it has no such leaf.
    pub fn holding(seq: u64, size: u64) -> Option<Self> {
        let index = seq / TILE_WIDTH as u64;
        (seq < size).then(|| Self { index, width: (size - index * TILE_WIDTH as u64).min(TILE_WIDTH as u64) as u16 })
    }

    /// The number of its first leaf; none if no log can be that long.
    pub fn first(&self) -> Option<u64> {
        self.index.checked_mul(TILE_WIDTH as u64)
    }

    /// Puts entries together. None is longer than [`ENTRY_LENGTH_MAX`].
    pub fn encode<T: AsRef<[u8]>>(entries: impl IntoIterator<Item = T>) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            let length = u16::try_from(entry.len()).expect("an entry's length has two bytes");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(entry);
        }
        out
    }

    /// Takes a bundle apart: as many entries as this one has. A wider bundle of the same index serves as well.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, BundleError> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let entry = entries.len();
            let cut = |expected, found| BundleError::Cut { entry, expected, found };
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| cut(2, rest.len()))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (bytes, after) = after.split_at_checked(length).ok_or_else(|| cut(length, after.len()))?;
            if entries.len() == TILE_WIDTH {
                return Err(BundleError::Count { expected: self.width.into(), found: TILE_WIDTH + 1 });
            }
            entries.push(bytes);
            rest = after;
        }
        if entries.len() < usize::from(self.width) {
            return Err(BundleError::Count { expected: self.width.into(), found: entries.len() });
        }
        entries.truncate(self.width.into());
        Ok(entries)
    }
}
