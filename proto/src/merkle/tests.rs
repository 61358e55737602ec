use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!("../../../docs/formats/vectors/tree.json");

/// Reads hashes by recomputing them from all leaf hashes, by the recursion of RFC 6962, 2.1.
struct Naive(Vec<Digest>);

impl Naive {
    fn of(count: u64) -> Self {
        Self((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    fn root(&self, size: u64) -> Digest {
        mth(&self.0[..size as usize])
    }
}

fn mth(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            node_hash(&mth(left), &mth(right))
        }
    }
}

impl Hashes for Naive {
    type Error = Infallible;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, Infallible> {
        let (from, to) = ((index << height) as usize, ((index + 1) << height) as usize);
        Ok(mth(&self.0[from..to]))
    }
}

/// PATH of RFC 6962, 2.1.1, word for word.
fn path(index: usize, hashes: &[Digest]) -> Vec<Digest> {
    if hashes.len() == 1 {
        return Vec::new();
    }
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    let (mut proof, other) =
        if index < left.len() { (path(index, left), mth(right)) } else { (path(index - left.len(), right), mth(left)) };
    proof.push(other);
    proof
}

/// SUBPROOF of RFC 6962, 2.1.2, word for word.
fn subproof(old: usize, hashes: &[Digest], complete: bool) -> Vec<Digest> {
    if old == hashes.len() {
        return if complete { Vec::new() } else { vec![mth(hashes)] };
    }
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    let (mut proof, other) = if old <= left.len() {
        (subproof(old, left, complete), mth(right))
    } else {
        (subproof(old - left.len(), right, false), mth(left))
    };
    proof.push(other);
    proof
}

fn digest(value: &serde_json::Value) -> Digest {
    let bytes = hex::decode(value.as_str().expect("text")).expect("hex");
    Digest::try_from(bytes.as_slice()).expect("32 bytes")
}

fn digests(value: &serde_json::Value) -> Vec<Digest> {
    value.as_array().expect("a list").iter().map(digest).collect()
}

/// The vectors of the Certificate Transparency reference implementation (`merkletree` tests), sizes 0 to 8.
#[test]
fn equals_the_reference_vectors_of_certificate_transparency() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("JSON");
    let leaves: Vec<Digest> = vectors["leaves"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|leaf| leaf_hash(&hex::decode(leaf.as_str().expect("text")).expect("hex")))
        .collect();
    let roots = digests(&vectors["roots"]);
    assert_eq!(roots.len(), 9);
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(root_of(&leaves[..size]), *root, "size {size}");
    }
    let naive = Naive(leaves.clone());
    for case in vectors["inclusion"].as_array().expect("a list") {
        let (index, size) = (case["index"].as_u64().expect("number"), case["size"].as_u64().expect("number"));
        let proof = digests(&case["proof"]);
        assert_eq!(inclusion_proof(&naive, index, size), Ok(proof.clone()), "leaf {index} of {size}");
        assert_eq!(verify_inclusion(&leaves[index as usize], index, size, &proof, &roots[size as usize]), Ok(()));
    }
    for case in vectors["consistency"].as_array().expect("a list") {
        let (old, new) = (case["old"].as_u64().expect("number"), case["new"].as_u64().expect("number"));
        let proof = digests(&case["proof"]);
        assert_eq!(consistency_proof(&naive, old, new), Ok(proof.clone()), "{old} in {new}");
        assert_eq!(verify_consistency(old, new, &roots[old as usize], &roots[new as usize], &proof), Ok(()));
    }
}

#[test]
fn every_small_proof_is_the_one_of_rfc_6962_and_verifies() {
    let naive = Naive::of(40);
    for size in 1..=40 {
        let root = naive.root(size);
        let hashes = &naive.0[..size as usize];
        assert_eq!(root_of(hashes), root);
        assert_eq!(root_at(&naive, size), Ok(root));
        for index in 0..size {
            let proof = inclusion_proof(&naive, index, size).expect("in range");
            assert_eq!(proof, path(index as usize, hashes), "leaf {index} of {size}");
            assert_eq!(verify_inclusion(&naive.0[index as usize], index, size, &proof, &root), Ok(()));
        }
        for old in 1..=size {
            let proof = consistency_proof(&naive, old, size).expect("in range");
            assert_eq!(proof, subproof(old as usize, hashes, true), "{old} in {size}");
            assert_eq!(verify_consistency(old, size, &naive.root(old), &root, &proof), Ok(()));
        }
    }
}

proptest! {
    #[test]
    fn a_proof_with_anything_changed_does_not_verify(size in 2..300u64, at in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bit in 0..256usize) {
        let naive = Naive::of(size);
        let root = naive.root(size);
        let index = at.index(size as usize) as u64;
        let leaf = naive.0[index as usize];
        let good = inclusion_proof(&naive, index, size).expect("in range");
        let mut bad = good.clone();
        bad[flip.index(good.len())].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&leaf, index, size, &bad, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &good[1..], &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index ^ 1, size, &good, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &good, &naive.root(size - 1)).is_err());
        let long = [good.as_slice(), &[leaf]].concat();
        prop_assert!(verify_inclusion(&leaf, index, size, &long, &root).is_err());
    }

    #[test]
    fn a_consistency_proof_with_anything_changed_does_not_verify(new in 3..300u64, at in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bit in 0..256usize) {
        let naive = Naive::of(new);
        let old = 1 + at.index(new as usize - 1) as u64;
        let (old_root, new_root) = (naive.root(old), naive.root(new));
        let good = consistency_proof(&naive, old, new).expect("in range");
        let mut bad = good.clone();
        bad[flip.index(good.len())].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &bad).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &new_root, &good[1..]).is_err());
        prop_assert!(verify_consistency(old, new, &naive.root(old - 1), &new_root, &good).is_err());
        prop_assert!(verify_consistency(old, new, &old_root, &naive.root(new - 1), &good).is_err());
    }

    #[test]
    fn verifiers_answer_any_input(index: u64, size: u64, old: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let proof: Vec<Digest> = hashes.into_iter().map(Digest).collect();
        let _ = verify_inclusion(&Digest::ZERO, index, size, &proof, &Digest::ZERO);
        let _ = verify_consistency(old, size, &Digest::ZERO, &Digest::ZERO, &proof);
        prop_assert!(verify_inclusion(&Digest::ZERO, size, size, &proof, &Digest::ZERO).is_err());
    }
}

#[test]
fn an_empty_older_tree_needs_no_proof_but_the_empty_root() {
    let naive = Naive::of(5);
    assert_eq!(consistency_proof(&naive, 0, 5), Ok(Vec::new()));
    assert_eq!(verify_consistency(0, 5, &empty_root(), &naive.root(5), &[]), Ok(()));
    assert!(verify_consistency(0, 5, &Digest::ZERO, &naive.root(5), &[]).is_err());
    assert!(verify_consistency(5, 5, &naive.root(4), &naive.root(5), &[]).is_err());
    assert!(verify_consistency(6, 5, &naive.root(5), &naive.root(5), &[]).is_err());
}

#[test]
fn tile_paths_are_those_of_tlog_tiles() {
    let expect = [
        (0, 0, 256, "tile/0/000"),
        (1, 7, 256, "tile/1/007"),
        (0, 999, 256, "tile/0/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (3, 1_234_067, 256, "tile/3/x001/x234/067"),
        (0, 1_234_067, 8, "tile/0/x001/x234/067.p/8"),
    ];
    for (level, index, width, path) in expect {
        assert_eq!(tile_path(level, index, width), path);
    }
}
