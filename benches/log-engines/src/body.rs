//! Bodies that follow from their entry's place: a process that has lost all memory can still tell right from wrong bytes.

use bytes::Bytes;

use crate::engine::{Entry, LogId};

/// SplitMix64 (Steele, Lea, Flood 2014): numbers from a seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }
}

/// Bytes of a body of `id`: random, so that nothing compresses, like ciphertext.
pub fn of_length(id: LogId, length: usize) -> Bytes {
    let mut chance = Chance::new(id.term.rotate_left(32) ^ id.index);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&chance.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Length of a body where sizes vary: most are small, one of a hundred has hundreds of KiB.
pub fn varied(id: LogId) -> usize {
    let mut chance = Chance::new(!(id.term.rotate_left(32) ^ id.index));
    let largest = match chance.below(100) {
        0 => 400 << 10,
        1..20 => 32 << 10,
        _ => 2 << 10,
    };
    1 + chance.below(largest) as usize
}

/// The entry of `id`, of a length that follows from `id` too unless it is given.
pub fn entry(id: LogId, length: Option<usize>) -> Entry {
    Entry { id, body: of_length(id, length.unwrap_or_else(|| varied(id))) }
}

/// Whether an entry is what [`entry`] makes.
pub fn is_intact(found: &Entry, length: Option<usize>) -> bool {
    *found == entry(found.id, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_follows_from_its_place_and_one_changed_bit_shows() {
        let id = LogId { term: 3, index: 7 };
        let entry = entry(id, None);
        assert!(is_intact(&entry, None));
        assert!(!is_intact(&entry, Some(entry.body.len() + 1)));
        let mut bytes = entry.body.to_vec();
        bytes[0] ^= 1;
        assert!(!is_intact(&Entry { id, body: bytes.into() }, None));
        let elsewhere = LogId { term: 4, index: 7 };
        assert!(!is_intact(&Entry { id: elsewhere, body: entry.body }, None), "of another term");
    }
}
