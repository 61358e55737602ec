//! A log in a directory. Its key signs whatever it is told to.

use std::fs;
use std::path::Path;

use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, Epoch, KeyId, RecordId, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{TILE_WIDTH, leaf_hash, root_of};
use kho_proto::tlog::{Bundle, Resource, Tile};

const CLUSTER: ClusterId = ClusterId([7; 16]);
/// Accepted-at of leaf 0; each later one comes a millisecond after.
const START_MS: u64 = 1_600_000_000_000;

fn leaf(index: u64) -> Leaf {
    let kind = if index == 0 { LeafKind::Genesis } else { LeafKind::Record };
    let digest = |what: &str| Digest::of(format!("{what} {index}").as_bytes());
    Leaf {
        kind,
        record_id: RecordId(if index == 0 { CLUSTER.0 } else { digest("id").0[..16].try_into().unwrap() }),
        accepted_at: UnixMs(START_MS + index),
        key_id: KeyId([1; 16]),
        header_digest: if index == 0 { Digest::of(b"genesis") } else { digest("header") },
        signature_block_digest: digest("block"),
        sealed_head_digest: digest("head"),
        sealed_payload_digest: digest("payload"),
        attachments_digest: Digest::of(b""),
    }
}

/// A log's leaves, and its key: it signs whatever it is told to.
#[derive(Clone)]
pub struct Log {
    pub leaves: Vec<Vec<u8>>,
}

impl Log {
    pub fn of(size: u64) -> Self {
        Self { leaves: (0..size).map(|index| leaf(index).encode().to_vec()).collect() }
    }

    /// The same, but for one leaf.
    pub fn but(&self, index: usize, change: impl FnOnce(&mut Leaf)) -> Self {
        let mut other = self.clone();
        let mut leaf = Leaf::decode(&other.leaves[index]).unwrap();
        change(&mut leaf);
        other.leaves[index] = leaf.encode().to_vec();
        other
    }

    pub fn signer() -> LogSigner {
        LogSigner::new(&LogKey::new([9; 32]), Origin::new(CLUSTER, Epoch(1), Digest::of(b"genesis")))
    }

    pub fn key() -> VerifierKey {
        Self::signer().verifier_key().clone()
    }

    pub fn hashes(&self, size: usize) -> Vec<Digest> {
        self.leaves[..size].iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    pub fn root(&self, size: usize) -> Digest {
        root_of(&self.hashes(size))
    }

    pub fn note(&self, size: usize) -> Vec<u8> {
        let signer = Self::signer();
        let origin = signer.origin().clone();
        signer.sign(&Checkpoint { origin, size: size as u64, root: self.root(size) }).to_vec()
    }

    /// Its checkpoint, tiles and bundles, a file each: those of its size only, as a log that keeps no old partial ones.
    pub fn publish(&self, dir: &Path) {
        let put = |resource: Resource, bytes: Vec<u8>| {
            let path = dir.join(resource.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(Resource::Checkpoint, self.note(self.leaves.len()));
        let mut row = self.hashes(self.leaves.len());
        for level in 0.. {
            for (index, hashes) in (0..).zip(row.chunks(TILE_WIDTH)) {
                let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                put(Resource::Tile(Tile { level, index, width: hashes.len() as u16 }), bytes);
            }
            row = row.as_chunks::<TILE_WIDTH>().0.iter().map(|full| root_of(full)).collect();
            if row.is_empty() {
                break;
            }
        }
        for (index, leaves) in (0..).zip(self.leaves.chunks(TILE_WIDTH)) {
            let bundle = Bundle { index, width: leaves.len() as u16 };
            put(Resource::Entries(bundle), Bundle::encode(leaves));
        }
    }
}
