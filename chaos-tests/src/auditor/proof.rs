//! The text form <https://c2sp.org/tlog-proof>, and inclusion after RFC 9162, section 2.1.3.2.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Hash, Rejected, note, sha256};

/// The parts of a proof; nothing is checked yet.
pub(super) struct Parsed<'a> {
    pub(super) leaf: Vec<u8>,
    pub(super) index: u64,
    pub(super) hashes: Vec<Hash>,
    pub(super) checkpoint: &'a str,
}

pub(super) fn parse(text: &str) -> Result<Parsed<'_>, Rejected> {
    let form = |expected| move || Rejected::Form { expected };
    let (head, checkpoint) = text.split_once("\n\n").ok_or_else(form("an empty line before the checkpoint"))?;
    let mut lines = head.split('\n');
    if lines.next() != Some("c2sp.org/tlog-proof@v1") {
        return Err(form("c2sp.org/tlog-proof@v1")());
    }
    let extra =
        lines.next().and_then(|line| line.strip_prefix("extra ")).and_then(|leaf| BASE64_STANDARD.decode(leaf).ok());
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(note::number);
    let hashes: Option<Vec<Hash>> = lines.map(note::hash).collect();
    Ok(Parsed {
        leaf: extra.ok_or_else(form("the leaf in `extra`"))?,
        index: index.ok_or_else(form("an index"))?,
        hashes: hashes.ok_or_else(form("hashes in base64"))?,
        checkpoint,
    })
}

/// The root to which the proof leads, or nothing if it is too long or too short.
pub(super) fn root(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = sha256(&[&[1], sibling, &hash]);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = sha256(&[&[1], &hash, sibling]);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}
