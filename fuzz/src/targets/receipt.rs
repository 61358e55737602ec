//! Receipts and checkpoints: nothing verifies under the vectors' keys but what the vectors hold.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use kho_proto::checkpoint::VerifierKey;
use kho_proto::digest::Digest;
use kho_proto::pb::v1 as pb;
use kho_proto::receipt::Receipt;
use prost::Message;

use crate::vectors;

struct Known {
    keys: Vec<VerifierKey>,
    /// Leaf, sequence, size and root of what was signed.
    proven: BTreeSet<(Digest, u64, u64, Digest)>,
    checkpoints: BTreeSet<(u64, Digest)>,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut known = Known { keys: Vec::new(), proven: BTreeSet::new(), checkpoints: BTreeSet::new() };
        let (receipts, checkpoints) = (vectors::receipt(), vectors::checkpoint());
        for (_, input, _) in vectors::cases(&receipts) {
            let key: VerifierKey = vectors::text(&input["verifier_key"]).parse().expect("a verifier key");
            let receipt = Receipt::from_tlog_proof(vectors::text(&input["tlog_proof"]));
            if let Ok((receipt, checkpoint)) = receipt.and_then(|receipt| Ok((receipt.clone(), receipt.verify(&key)?)))
            {
                let leaf = Digest::of(&receipt.leaf.encode());
                known.proven.insert((leaf, receipt.sequence.0, checkpoint.size, checkpoint.root));
                known.checkpoints.insert((checkpoint.size, checkpoint.root));
            }
            known.keys.push(key);
        }
        for (_, input, output) in vectors::cases(&checkpoints) {
            let key = output.get("verifier_key").or_else(|| input.get("verifier_key"));
            let Some(Ok(key)) = key.map(|key| vectors::text(key).parse::<VerifierKey>()) else { continue };
            for note in [output.get("note"), input.get("note")].into_iter().flatten() {
                if let Ok(checkpoint) = key.open(vectors::text(note).as_bytes()) {
                    known.checkpoints.insert((checkpoint.size, checkpoint.root));
                }
            }
            known.keys.push(key);
        }
        known.keys.sort_by_key(ToString::to_string);
        known.keys.dedup_by_key(|key| key.to_string());
        known
    })
}

fn check(receipt: &Receipt) -> bool {
    let known = known();
    let verified = known.keys.iter().filter_map(|key| receipt.verify(key).ok());
    verified.fold(false, |_, checkpoint| {
        let leaf = Digest::of(&receipt.leaf.encode());
        let what = (leaf, receipt.sequence.0, checkpoint.size, checkpoint.root);
        assert!(known.proven.contains(&what), "a receipt verifies that no log gave");
        true
    })
}

/// The text form.
pub fn text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(receipt) = Receipt::from_tlog_proof(text) else { return false };
    let again = Receipt::from_tlog_proof(&receipt.to_tlog_proof()).expect("its own text");
    assert_eq!(again, receipt, "a receipt's text reads back");
    check(&receipt)
}

/// The wire form.
pub fn wire(bytes: &[u8]) -> bool {
    let Ok(message) = pb::Receipt::decode(bytes) else { return false };
    let Ok(receipt) = Receipt::from_pb(&message) else { return false };
    assert_eq!(Receipt::from_pb(&receipt.to_pb()).as_ref(), Ok(&receipt), "a receipt reads back");
    // a checkpoint that came on the wire is any bytes: its text form may not be readable, but must be writable
    let _ = receipt.to_tlog_proof();
    check(&receipt)
}

/// A signed note.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let known = known();
    known.keys.iter().filter_map(|key| key.open(bytes).ok()).fold(false, |_, checkpoint| {
        let what = (checkpoint.size, checkpoint.root);
        assert!(known.checkpoints.contains(&what), "a checkpoint opens that no log signed");
        true
    })
}
