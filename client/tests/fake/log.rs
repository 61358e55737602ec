//! The fakes' log: the 256 records of [`signed_as`], and one checkpoint over all of them; and trees that it never was.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use futures::FutureExt;
use kho_proto::checkpoint::{Checkpoint, LogKey, LogSigner, Origin};
use kho_proto::digest::Digest;
use kho_proto::header::Header;
use kho_proto::id::{ClusterId, Epoch, KeyId, Seq, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::merkle::{Hashes, inclusion_proof, leaf_hash, root_of};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::receipt::{Receipt, ReceiptState};
use kho_proto::tlog::{Resource, Tile};

use super::signed_as;

/// Its leaves.
pub const SIZE: u64 = 256;

/// The log's key.
pub fn log() -> LogSigner {
    log_of(1, 7)
}

/// That of another epoch, or with another key.
pub fn log_of(epoch: u64, key: u8) -> LogSigner {
    LogSigner::new(&LogKey::new([key; 32]), Origin::new(ClusterId([1; 16]), Epoch(epoch), Digest::of(b"genesis")))
}

fn leaf(record: &SignedRecord) -> Leaf {
    Leaf {
        kind: LeafKind::Record,
        record_id: Header::decode(&record.header).unwrap().record_id,
        accepted_at: UnixMs(1_591_925_400_000),
        key_id: KeyId([3; 16]),
        header_digest: Digest::of(&record.header),
        signature_block_digest: Digest::of(&record.signature_block),
        sealed_head_digest: Digest::of(b"head"),
        sealed_payload_digest: Digest::of(b"payload"),
        attachments_digest: Digest::ZERO,
    }
}

/// Hashes of the leaves, in their order.
pub fn leaves() -> &'static [Digest] {
    static LEAVES: OnceLock<Vec<Digest>> = OnceLock::new();
    LEAVES.get_or_init(|| {
        let signed = (0..=255).map(|n| signed_as(n).now_or_never().expect("a key in memory waits for nothing"));
        signed.map(|signed| leaf(signed.record()).hash()).collect()
    })
}

/// The leaves with another one at a place.
pub fn forked_at(place: usize) -> Vec<Digest> {
    let mut leaves = leaves().to_vec();
    leaves[place] = leaf_hash(b"another");
    leaves
}

struct Tree<'a>(&'a [Digest]);

impl Hashes for Tree<'_> {
    type Error = Infallible;

    fn subtree(&self, height: u32, index: u64) -> Result<Digest, Infallible> {
        let (width, index) = (1 << height, usize::try_from(index).unwrap());
        Ok(root_of(&self.0[index * width..(index + 1) * width]))
    }
}

/// A signed checkpoint over these leaves.
pub fn note(signer: &LogSigner, leaves: &[Digest]) -> bytes::Bytes {
    let (size, root) = (leaves.len() as u64, root_of(leaves));
    signer.sign(&Checkpoint { origin: signer.origin().clone(), size, root })
}

/// The valid receipt of a leaf in a tree that holds it.
pub fn receipt_in(signer: &LogSigner, leaves: &[Digest], leaf: Leaf) -> Receipt {
    let place = leaves.iter().position(|hash| *hash == leaf.hash()).expect("a leaf of this tree") as u64;
    Receipt {
        leaf,
        sequence: Seq(place),
        inclusion: inclusion_proof(&Tree(leaves), place, leaves.len() as u64).unwrap(),
        checkpoint: note(signer, leaves),
        state: ReceiptState::Accepted,
    }
}

/// A valid receipt of a record; made once, since unoptimised proofs take their time. One that is none of the log's 256 is the
/// last leaf of a smaller tree, whose size no other receipt has.
pub fn receipt_of(record: &SignedRecord) -> Receipt {
    static MADE: Mutex<BTreeMap<Digest, Receipt>> = Mutex::new(BTreeMap::new());
    let leaf = leaf(record);
    let mut made = MADE.lock().unwrap();
    let next = SIZE as usize - 1 - made.len();
    let make = || {
        if leaves().contains(&leaf.hash()) {
            return receipt_in(&log(), leaves(), leaf);
        }
        let smaller: Vec<_> = leaves()[..next - 1].iter().copied().chain([leaf.hash()]).collect();
        receipt_in(&log(), &smaller, leaf)
    };
    made.entry(leaf.hash()).or_insert_with(make).clone()
}

/// Publishes a log as files, its checkpoint and its tiles.
pub fn publish(dir: &Path, signer: &LogSigner, leaves: &[Digest]) {
    let put = |resource: Resource, bytes: &[u8]| {
        let path = dir.join(resource.to_string());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put(Resource::Checkpoint, &note(signer, leaves));
    let mut row = leaves.to_vec();
    for level in 0.. {
        for (index, hashes) in (0..).zip(row.chunks(256)) {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            put(Resource::Tile(Tile { level, index, width: hashes.len() as u16 }), &bytes);
        }
        row = row.chunks_exact(256).map(root_of).collect();
        if row.is_empty() {
            break;
        }
    }
}
