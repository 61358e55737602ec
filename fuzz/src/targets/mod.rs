//! The targets, by what they attack.

pub mod apply;
pub mod certificate;
pub mod proof;
pub mod raft;
pub mod receipt;
pub mod record;
pub mod sealed;
pub mod text;

/// Panics where every byte of a word is right, one after the other: only a fuzzer that sees how far it came gets there.
pub fn planted(bytes: &[u8]) -> bool {
    let word = b"PLANTED!";
    let right = bytes.iter().zip(word).take_while(|(found, expected)| found == expected).count();
    let mut depth = 0;
    // a branch of its own for each byte
    for place in 0..word.len() {
        if right > place {
            depth += std::hint::black_box(1);
        } else {
            return false;
        }
    }
    assert!(depth < word.len(), "found the planted panic");
    false
}
