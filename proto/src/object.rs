//! An attachment's object: content in chunks of one length, the last one shorter. `docs/formats/sealed.md`.

use crate::digest::Digest;

/// Bytes of content in a chunk; the last has what is left.
pub const CHUNK_LENGTH: usize = 256 << 10;

/// Chunks of a content of so many bytes; an empty one has one, empty.
pub fn chunk_count(length: u64) -> u64 {
    length.div_ceil(CHUNK_LENGTH as u64).max(1)
}

/// Bytes of content in the chunk at `index`; 0 behind the last.
pub fn chunk_length(length: u64, index: u64) -> usize {
    let left = length.saturating_sub(index.saturating_mul(CHUNK_LENGTH as u64));
    usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_LENGTH)
}

/// Digest of a sealed attachment, as leaves have it: SHA-256 of the SHA-256s of its sealed chunks, in order.
#[derive(Debug, Default)]
pub struct SealedDigest(Vec<u8>);

impl SealedDigest {
    /// The next chunk's.
    pub fn push(&mut self, chunk: Digest) {
        self.0.extend_from_slice(chunk.as_ref());
    }

    /// After the last.
    pub fn finish(self) -> Digest {
        Digest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_content_exactly() {
        const FULL: u64 = CHUNK_LENGTH as u64;
        for (length, count, last) in [
            (0, 1, 0),
            (1, 1, 1),
            (FULL, 1, FULL),
            (FULL + 1, 2, 1),
            (1 << 30, 4096, FULL),
            (3 * FULL - 1, 3, FULL - 1),
        ] {
            assert_eq!(chunk_count(length), count, "{length}");
            assert_eq!(chunk_length(length, count - 1) as u64, last, "{length}");
            assert_eq!((0..count).map(|index| chunk_length(length, index) as u64).sum::<u64>(), length);
            assert_eq!(chunk_length(length, count), 0);
        }
    }

    #[test]
    fn the_order_of_chunks_counts() {
        let of = |chunks: [u8; 2]| {
            let mut digest = SealedDigest::default();
            chunks.iter().for_each(|chunk| digest.push(Digest::of(&[*chunk])));
            digest.finish()
        };
        assert_ne!(of([1, 2]), of([2, 1]));
        assert_eq!(SealedDigest::default().finish(), Digest::of(b""));
    }
}
