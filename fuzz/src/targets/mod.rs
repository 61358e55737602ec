//! The targets, by what they attack.

pub mod apply;
pub mod certificate;
pub mod proof;
pub mod raft;
pub mod receipt;
pub mod record;
pub mod sealed;
pub mod text;
pub mod tlog;

/// Panics where every byte of a word is right, one after the other: only a fuzzer that sees how far it came gets there.
pub fn planted(bytes: &[u8]) -> bool {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    // a branch of its own for each byte
    if at(0) != b'P' {
        return false;
    }
    if at(1) != b'L' {
        return false;
    }
    if at(2) != b'A' {
        return false;
    }
    if at(3) != b'N' {
        return false;
    }
    if at(4) != b'T' {
        return false;
    }
    assert_ne!(at(5), b'!', "found the planted panic");
    false
}
