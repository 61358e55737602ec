use proptest::prelude::*;

use super::*;
use crate::checkpoint::{LogKey, LogSigner, Origin};
use crate::error::Code;
use crate::header::tests::PAYLOAD;
use crate::id::{ClusterId, Epoch, KeyId, UnixMs};
use crate::merkle::{node_hash, root_of};
use crate::signature::Algorithm;
use crate::testing::{Authority, draft};

fn signer() -> LogSigner {
    LogSigner::new(&LogKey::new([7; 32]), Origin::new(ClusterId([1; 16]), Epoch(1), Digest::of(b"genesis")))
}

fn leaf() -> Leaf {
    Leaf {
        kind: LeafKind::Record,
        record_id: draft().record_id,
        accepted_at: UnixMs(1_591_925_401_000),
        key_id: KeyId([2; 16]),
        header_digest: Digest([3; 32]),
        signature_block_digest: Digest([4; 32]),
        sealed_head_digest: Digest([5; 32]),
        sealed_payload_digest: Digest([6; 32]),
        attachments_digest: Digest::of(b""),
    }
}

/// In a tree of three leaves, at index 1.
fn receipt(leaf: Leaf) -> Receipt {
    let (first, last) = (Digest([8; 32]), Digest([9; 32]));
    let root = node_hash(&node_hash(&first, &leaf.hash()), &last);
    assert_eq!(root, root_of(&[first, leaf.hash(), last]));
    let checkpoint = Checkpoint { origin: signer().origin().clone(), size: 3, root };
    Receipt {
        leaf,
        sequence: Seq(1),
        inclusion: vec![first, last],
        checkpoint: signer().sign(&checkpoint),
        state: ReceiptState::Accepted,
    }
}

#[test]
fn a_receipt_verifies_and_round_trips() {
    let receipt = receipt(leaf());
    assert_eq!(receipt.verify(signer().verifier_key()).map(|checkpoint| checkpoint.size), Ok(3));
    assert_eq!(Receipt::from_pb(&receipt.to_pb()), Ok(receipt.clone()));
    assert_eq!(Receipt::from_tlog_proof(&receipt.to_tlog_proof()), Ok(receipt.clone()));
    let mirrored = Receipt { state: ReceiptState::Mirrored, ..receipt };
    assert_eq!(Receipt::from_pb(&mirrored.to_pb()), Ok(mirrored));
}

#[test]
fn a_receipt_of_another_place_leaf_or_log_is_refused() {
    let good = receipt(leaf());
    let key = signer().verifier_key().clone();
    let refused = |receipt: Receipt| receipt.verify(&key).expect_err("must be refused").code();
    assert_eq!(refused(Receipt { sequence: Seq(0), ..good.clone() }), Code::ReceiptInvalid);
    assert_eq!(refused(Receipt { sequence: Seq(3), ..good.clone() }), Code::ReceiptInvalid);
    assert_eq!(
        refused(Receipt { leaf: Leaf { accepted_at: UnixMs(0), ..leaf() }, ..good.clone() }),
        Code::ReceiptInvalid
    );
    assert_eq!(refused(Receipt { inclusion: vec![], ..good.clone() }), Code::ReceiptInvalid);
    let other = LogSigner::new(&LogKey::new([8; 32]), signer().origin().clone());
    assert_eq!(good.verify(other.verifier_key()).expect_err("another key").code(), Code::ReceiptInvalid);
}

#[test]
fn a_receipt_is_of_one_record() {
    let root = Authority::root("root");
    let record = root.signer("BYT", Algorithm::Ed25519).record(draft(), PAYLOAD);
    let own = Leaf {
        header_digest: Digest::of(&record.header),
        signature_block_digest: Digest::of(&record.signature_block),
        ..leaf()
    };
    let key = signer().verifier_key().clone();
    receipt(own).verify_record(&key, &record).expect("its own");

    let code = |leaf: Leaf, record: &pb::SignedRecord| {
        receipt(leaf).verify_record(&key, record).expect_err("must be refused").code()
    };
    assert_eq!(code(leaf(), &record), Code::ReceiptInvalid);
    assert_eq!(code(Leaf { signature_block_digest: Digest([4; 32]), ..own }, &record), Code::ReceiptInvalid);
    assert_eq!(code(Leaf { record_id: crate::id::RecordId([0; 16]), ..own }, &record), Code::ReceiptInvalid);
    assert_eq!(code(Leaf { kind: LeafKind::Genesis, ..own }, &record), Code::ReceiptInvalid);
    let other = pb::SignedRecord { payload: vec![0; PAYLOAD.len()].into(), ..record.clone() };
    assert_eq!(code(own, &other), Code::PayloadDigestMismatch);
}

#[test]
fn messages_are_checked() {
    let good = receipt(leaf()).to_pb();
    let refused = |change: &dyn Fn(&mut pb::Receipt)| {
        let mut message = good.clone();
        change(&mut message);
        Receipt::from_pb(&message).expect_err("must be refused").to_string()
    };
    assert!(refused(&|m| m.state = 0).contains("found 0"));
    assert!(refused(&|m| m.state = 9).contains("expected accepted or mirrored"));
    assert!(refused(&|m| m.leaf = Bytes::new()).contains("leaf"));
    assert!(refused(&|m| m.inclusion[0] = Bytes::new()).contains("32 bytes, found 0"));
    assert!(refused(&|m| m.inclusion = vec![vec![0; 32].into(); 65]).contains("at most 64 hashes"));
    assert!(refused(&|m| m.checkpoint = vec![0; NOTE_LENGTH_MAX + 1].into()).contains("at most"));
    assert!(refused(&|m| m.checkpoint = Bytes::from_static(b"\xff")).contains("utf-8"));
}

#[test]
fn texts_are_checked() {
    let good = receipt(leaf()).to_tlog_proof();
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from), "{from:?}");
        Receipt::from_tlog_proof(&good.replacen(from, to, 1)).expect_err("must be refused").to_string()
    };
    assert!(refused("@v1", "@v2").contains("line 1"));
    assert!(refused("extra ", "other ").contains("line 2"));
    assert!(refused("extra ", "extra !").contains("line 2"));
    assert!(refused("extra AQ", "extra Ag").contains("leaf version"));
    assert!(refused("index 1", "index 01").contains("line 3"));
    assert!(refused("index 1\n", "").contains("line 3"));
    assert!(refused("index 1\n", "index 1\nAAAA\n").contains("line 4"));
    assert!(refused("\n\n", "\r\n\r\n").contains("line"));
    assert!(Receipt::from_tlog_proof("").is_err());
    assert!(Receipt::from_tlog_proof(&"a".repeat(RECEIPT_TEXT_LENGTH_MAX + 1)).is_err());
    let too_many = format!("index 1\n{}", format!("{}=\n", "A".repeat(43)).repeat(63));
    assert!(refused("index 1\n", &too_many).contains("at most 64 hashes, found 65"));
}

proptest! {
    #[test]
    fn random_texts_never_panic(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9+/=]{0,12}\n)?(index [0-9]{0,3}\n)?.{0,40}\n\n.{0,40}") {
        let _ = Receipt::from_tlog_proof(&text);
    }
}
