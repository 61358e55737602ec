//! A small log of the tests' own, with its key: makes good receipts, for checkers to be proven by.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Hash, VerifierKey, sha256};

/// Name of the log.
pub(crate) const NAME: &str = "0192f0c1-0000-7000-8000-000000000001/1/00112233aabbccdd";

/// RFC 6962's definition, by recursion.
fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            sha256(&[&[1], &root_of(left), &root_of(right)])
        }
    }
}

fn path_of(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut path, other) = if index < half {
        (path_of(index, left), root_of(right))
    } else {
        (path_of(index - half, right), root_of(left))
    };
    path.push(other);
    path
}

fn leaf_of(n: u8) -> Vec<u8> {
    let mut leaf = vec![1, 1];
    leaf.extend([n; 16]);
    leaf.extend([0; 24]);
    leaf.extend(sha256(&[b"header", &[n]]));
    leaf.extend(sha256(&[b"block", &[n]]));
    leaf.resize(202, 0);
    leaf
}

/// The log's key, and the good receipt of leaf `index` of `size`.
pub(crate) fn receipt(index: u8, size: u8) -> (VerifierKey, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let key = [&[1], pair.public_key().as_ref()].concat();
    let hash = &sha256(&[NAME.as_bytes(), b"\n", &key])[..4];
    let vkey = format!("{NAME}+{}+{}", hex::encode(hash), BASE64_STANDARD.encode(&key));
    let leaves: Vec<Hash> = (0..size).map(|n| sha256(&[&[0], &leaf_of(n)])).collect();
    let body = format!("{NAME}\n{size}\n{}\n", BASE64_STANDARD.encode(root_of(&leaves)));
    let signature = BASE64_STANDARD.encode([hash, pair.sign(body.as_bytes()).as_ref()].concat());
    let mut text = format!("c2sp.org/tlog-proof@v1\nextra {}\nindex {index}\n", BASE64_STANDARD.encode(leaf_of(index)));
    for hash in path_of(index.into(), &leaves) {
        text += &format!("{}\n", BASE64_STANDARD.encode(hash));
    }
    (VerifierKey::parse(&vkey).expect("a verifier key"), format!("{text}\n{body}\n— {NAME} {signature}\n"))
}

/// Id, header and signature block of record `n`.
pub(crate) fn record(n: u8) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    (vec![n; 16], [b"header".as_slice(), &[n]].concat(), [b"block".as_slice(), &[n]].concat())
}
