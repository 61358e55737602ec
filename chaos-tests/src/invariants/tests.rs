//! Each judgement is proven by breaches planted into what was seen.

mod cluster;

use bytes::Bytes;
use kho_proto::pb::v1::SignedRecord;

use super::durable::Seen;
use super::merkle::Stated;
use super::*;
use crate::auditor::forge;

/// Record `n`, acknowledged at place `n` of a log of `size`.
fn acknowledged(n: u8, size: u8) -> Acknowledged {
    let (id, header, signature_block) = forge::record(n);
    let id = hex::encode(id);
    let record_id = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    let payload = Bytes::from(vec![n; 5]);
    let record = SignedRecord {
        header: header.into(),
        signature_block: signature_block.into(),
        payload,
        certificates: Vec::new(),
    };
    Acknowledged { record_id, record, receipt: forge::receipt(n, size).1, duplicate: false }
}

fn again(n: u8, size: u8) -> Acknowledged {
    Acknowledged { duplicate: true, ..acknowledged(n, size) }
}

fn key() -> crate::auditor::VerifierKey {
    forge::receipt(0, 1).0
}

fn other(bytes: &Bytes) -> Bytes {
    [bytes.as_ref(), b"!"].concat().into()
}

#[test]
fn durable_finds_a_lost_and_a_changed_record() {
    let one = acknowledged(3, 9);
    let judge = |answer| durable::judge(&one, &Seen { node: 2, answer });
    assert_eq!(judge(Ok(one.record.clone())), None);
    assert!(judge(Err("not found".to_owned())).is_some_and(|breach| breach.invariant == "I1"));
    type Change = fn(&mut SignedRecord);
    let changes: [Change; 3] = [
        |record| record.header = other(&record.header),
        |record| record.payload = other(&record.payload),
        |record| record.signature_block = other(&record.signature_block),
    ];
    for change in changes {
        let mut record = one.record.clone();
        change(&mut record);
        assert!(judge(Ok(record)).is_some());
    }
}

#[test]
fn exactly_once_finds_a_second_acceptance_and_another_receipt() {
    let first = acknowledged(3, 9);
    let judge = |again: &Acknowledged| exactly_once::same_receipt(&key(), &first, again);
    assert_eq!(judge(&again(3, 9)), None);
    assert!(judge(&acknowledged(3, 9)).is_some(), "accepted, and no duplicate");
    assert!(judge(&again(3, 10)).is_some(), "another checkpoint");
    assert!(judge(&again(4, 9)).is_some(), "another leaf");
    let broken = Acknowledged { receipt: first.receipt.replacen("index 3", "index 4", 1), ..again(3, 9) };
    assert!(judge(&broken).is_some(), "a receipt that does not verify");
}

#[test]
fn exactly_once_finds_two_records_at_one_place_and_one_record_at_two() {
    let all = [acknowledged(3, 9), acknowledged(4, 9), again(3, 9)];
    assert_eq!(exactly_once::one_leaf_each(&key(), &all), []);
    let stolen = Acknowledged { record_id: acknowledged(5, 9).record_id, ..acknowledged(3, 9) };
    assert_eq!(exactly_once::one_leaf_each(&key(), &[acknowledged(3, 9), stolen]).len(), 1);
    let moved = Acknowledged { receipt: acknowledged(4, 9).receipt, ..acknowledged(3, 9) };
    assert_eq!(exactly_once::one_leaf_each(&key(), &[acknowledged(3, 9), moved]).len(), 1);
}

/// Applied twice, acknowledged once: no receipt names the other leaf.
#[test]
fn exactly_once_finds_a_leaf_that_nobody_was_told_of() {
    let all = [acknowledged(1, 4), acknowledged(2, 4), again(2, 4)];
    assert_eq!(exactly_once::no_other_leaf(3, &all), None);
    for size in [2, 4] {
        assert!(exactly_once::no_other_leaf(size, &all).is_some_and(|breach| breach.invariant == "I2"));
    }
}

#[test]
fn receipts_finds_one_of_another_record() {
    assert_eq!(receipts::judge(&key(), &acknowledged(3, 9)), None);
    let swapped = Acknowledged { receipt: acknowledged(4, 9).receipt, ..acknowledged(3, 9) };
    assert!(receipts::judge(&key(), &swapped).is_some_and(|breach| breach.invariant == "I4"));
}

#[test]
fn merkle_finds_two_roots_of_one_size() {
    let state = |by: &str, size, root| Stated { by: by.to_owned(), size, root: [root; 32] };
    assert_eq!(merkle::judge([state("1", 5, 1), state("2", 5, 1), state("2", 6, 2)]), []);
    assert_eq!(merkle::judge([state("1", 5, 1), state("2", 5, 2)]).len(), 1);
}

#[test]
#[should_panic(expected = "2 breaches")]
fn breaches_fail_a_test() {
    let breach = Breach { invariant: "I1", what: "lost".to_owned() };
    must_hold([breach.clone(), breach]);
}
