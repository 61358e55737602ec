//! Merkle proofs: in small trees exactly the right proof is accepted; with numbers of any size nothing panics.
//!
//! Input: size (1), index or old size (1), kind (1), then hashes of 32 bytes each; kind 0 and 1: a small tree, else the first two
//! hashes hold index and size.

use std::sync::OnceLock;

use kho_proto::digest::Digest;
use kho_proto::merkle::{
    Hashes, consistency_proof, inclusion_proof, leaf_hash, root_of, verify_consistency, verify_inclusion,
};

/// Leaves of the small tree.
pub const LEAVES: u8 = 67;

/// The small tree.
pub struct Tree(Vec<Digest>);

/// Leaf n is the byte n.
pub fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| Tree((0..LEAVES).map(|n| leaf_hash(&[n])).collect()))
}

impl Tree {
    fn root(&self, size: u64) -> Digest {
        root_of(&self.0[..size as usize])
    }

    /// The right proof for an input's first three bytes.
    pub fn proof(&self, size: u64, at: u64, kind: u8) -> Vec<Digest> {
        let proof = if kind == 0 { inclusion_proof(self, at, size) } else { consistency_proof(self, at, size) };
        proof.unwrap_or_default()
    }
}

impl Hashes for Tree {
    type Error = std::convert::Infallible;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, Self::Error> {
        let width = 1_usize << height;
        let from = index as usize * width;
        Ok(root_of(&self.0[from..from + width]))
    }
}

/// See the module.
pub fn run(bytes: &[u8]) -> bool {
    let [size, at, kind, rest @ ..] = bytes else { return false };
    let hashes: Vec<Digest> = rest.chunks_exact(32).map(|hash| Digest(hash.try_into().expect("32 bytes"))).collect();
    let (size, at) = (u64::from(size % (LEAVES + 1)), u64::from(*at));
    let tree = tree();
    let taken = match kind {
        0 if at < size => verify_inclusion(&tree.0[at as usize], at, size, &hashes, &tree.root(size)).is_ok(),
        1 if at <= size => verify_consistency(at, size, &tree.root(at), &tree.root(size), &hashes).is_ok(),
        _ => return any(&hashes, *kind),
    };
    let right = tree.proof(size, at, *kind);
    assert_eq!(taken, hashes == right, "exactly the right proof is accepted: {at} of {size}, kind {kind}");
    taken
}

fn any(hashes: &[Digest], kind: u8) -> bool {
    let [first, second, proof @ ..] = hashes else { return false };
    let number = |hash: &Digest| u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"));
    let (one, other) = (number(first), number(second));
    if kind.is_multiple_of(2) {
        let taken = verify_inclusion(first, one, other, proof, second).is_ok();
        assert!(!taken || (one < other && proof.len() <= 64), "index {one} in a tree of {other}");
    } else {
        let taken = verify_consistency(one, other, first, second, proof).is_ok();
        assert!(!taken || one <= other, "a tree that shrank from {one} to {other}");
    }
    false
}
