//! The rules of each command, one by one. A refused command changes nothing.

use bytes::Bytes;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Seq, UnixMs};
use kho_proto::leaf::LeafKind;
use kho_proto::pb::ledger::v1::{Command, command::Kind};

use super::build::*;
use crate::bounds::*;
use crate::{Outcome, Table, apply, read};

/// Applies and expects a refusal that leaves no trace.
fn refused(ledger: &mut Ledger, command: Command) -> Refusal {
    let before = ledger.clone();
    let Outcome::Refused(refusal) = ledger.one(command.clone()) else { panic!("expected a refusal of {command:?}") };
    assert_eq!(ledger.rows, before.rows, "{refusal}");
    assert_eq!(ledger.tip, before.tip, "{refusal}");
    refusal
}

fn refused_with(ledger: &mut Ledger, command: Command, code: Code) {
    assert_eq!(refused(ledger, command).code, code);
}

fn accepts(ledger: &mut Ledger, record: Record) -> Seq {
    accepted(&ledger.one(record.command())).expect("accepted")
}

#[test]
fn nothing_but_genesis_is_taken_before_genesis_and_no_second_one_after() {
    let mut ledger = Ledger::empty();
    refused_with(&mut ledger, create_key("BYT", 1), Code::NotInitialized);
    refused_with(&mut ledger, record(1, "BYT").command(), Code::NotInitialized);
    let Outcome::Accepted { seq, leaf } = ledger.one(genesis()) else { panic!("accepted") };
    assert_eq!((seq, leaf.kind, leaf.record_id.0), (Seq(0), LeafKind::Genesis, [0xc1; 16]));
    let row = read::genesis(&ledger.rows).expect("sound").expect("there");
    assert_eq!(leaf.header_digest, row.digest());
    assert_eq!(read::body(&ledger.rows, Seq(0)).expect("sound").expect("there").sealed_head, row.record);
    let origin = format!("c1c1c1c1-c1c1-c1c1-c1c1-c1c1c1c1c1c1/1/{}", &row.digest().to_string()[..16]);
    assert_eq!(ledger.tip.origin().map(|origin| origin.to_string()), Some(origin));
    refused_with(&mut ledger, genesis(), Code::AlreadyInitialized);
}

#[test]
fn a_genesis_that_breaks_a_rule_is_refused() {
    let with = |change: fn(&mut kho_proto::pb::ledger::v1::Genesis)| {
        let mut command = genesis();
        if let Some(Kind::Genesis(genesis)) = &mut command.kind {
            change(genesis);
        }
        command
    };
    let mut ledger = Ledger::empty();
    refused_with(&mut ledger, with(|g| g.cluster_id.truncate(15)), Code::RequestMalformed);
    refused_with(&mut ledger, with(|g| g.log_public_key.truncate(31)), Code::RequestMalformed);
    refused_with(&mut ledger, with(|g| g.epoch = 2), Code::RequestMalformed);
    let mut entry = entry_of(5, vec![genesis()]);
    entry.epoch = 2;
    let effects = ledger.apply_entry(&entry);
    assert!(matches!(&effects.outcomes[..], [Outcome::Refused(refusal)] if refusal.code == Code::EpochMismatch));
}

#[test]
fn an_entry_of_another_epoch_changes_nothing() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let before = ledger.rows.clone();
    let mut entry = entry_of(1_593_568_900_000, vec![record(1, "BYT").command(), create_key("BYT", 2)]);
    entry.epoch = 2;
    for outcome in ledger.apply_entry(&entry).outcomes {
        assert!(matches!(outcome, Outcome::Refused(refusal) if refusal.code == Code::EpochMismatch));
    }
    assert_eq!(ledger.rows, before);
}

#[test]
fn a_record_is_found_by_everything_that_names_it() {
    let mut ledger = Ledger::formed(&["BYT"]);
    assert_eq!(accepts(&mut ledger, record(7, "BYT")), Seq(1));
    let row = read::record_row(&ledger.rows, &record_id(7)).expect("sound").expect("there");
    assert_eq!((row.seq, row.revision, row.period.as_str()), (Seq(1), 1, "2020-06"));
    assert_eq!((row.unit_token, row.receiver_tokens), (token("BYT"), vec![token("receiver")]));
    let body = read::body(&ledger.rows, Seq(1)).expect("sound").expect("there");
    assert_eq!((&body.sealed_head[..], &body.sealed_payload[..]), (&b"sealed head 7"[..], &b"sealed payload 7"[..]));
    let leaf = read::leaf(&ledger.rows, Seq(1)).expect("sound").expect("there");
    assert_eq!((leaf.record_id, leaf.accepted_at), (record_id(7), UnixMs(1_593_568_800_000)));
    let head = read::series_head(&ledger.rows, &token("series of 7")).expect("sound").expect("there");
    assert_eq!((head.seq, head.revision, head.record_id), (Seq(1), 1, record_id(7)));
    assert_eq!(read::entry_end(&ledger.rows, Seq(1)).expect("sound"), Some(2));
    assert_eq!(read::entry_end(&ledger.rows, Seq(2)).expect("sound"), None);
    let digest = kho_proto::digest::Digest::of(b"BYT");
    let certificate = read::certificate(&ledger.rows, &token("BYT"), &digest).expect("sound").expect("there");
    assert_eq!((certificate.seq, &certificate.sealed[..]), (Seq(1), &b"sealed certificate of BYT"[..]));
    assert_eq!(read::certificate(&ledger.rows, &token("BCT"), &digest).expect("sound"), None);
}

#[test]
fn the_same_header_again_is_the_same_record() {
    let mut ledger = Ledger::formed(&["BYT", "BCT"]);
    let first = record(1, "BYT");
    // ECDSA is randomised: another signature and other ciphertext under the same header.
    let again = first.clone().with(|s| {
        s.signature_block_digest = Bytes::copy_from_slice(&[9; 32]);
        s.sealed_head = Bytes::from_static(b"sealed again");
        s.new_certificates.clear();
    });
    let outcomes = ledger.apply(vec![first.clone().command(), again.clone().command()]);
    assert_eq!((accepted(&outcomes[0]), &outcomes[1]), (Some(Seq(1)), &Outcome::Duplicate { seq: Seq(1) }));
    let before = ledger.rows.clone();
    assert_eq!(ledger.one(again.command()), Outcome::Duplicate { seq: Seq(1) });
    // A duplicate asks for no verdict on what else the command says.
    assert_eq!(ledger.one(first.supersedes(99).command()), Outcome::Duplicate { seq: Seq(1) });
    assert_eq!(ledger.rows, before);
}

#[test]
fn an_id_held_by_another_header_is_refused_with_evidence_to_the_same_unit_only() {
    let mut ledger = Ledger::formed(&["BYT", "BCT"]);
    let Outcome::Accepted { leaf, .. } = ledger.one(record(1, "BYT").command()) else { panic!("accepted") };
    let same_unit = refused(&mut ledger, record(1, "BYT").header("other").command());
    assert_eq!(same_unit.code, Code::RecordIdConflict);
    assert_eq!(same_unit.evidence_leaf.as_deref(), Some(&leaf.encode()[..]));
    let other_unit = refused(&mut ledger, record(1, "BCT").header("other").command());
    assert_eq!((other_unit.code, &other_unit.evidence_leaf), (Code::RecordIdConflict, &None));
    assert!(!format!("{other_unit:?}").contains(&leaf.header_digest.to_string()));
    // Inside one entry too.
    let outcomes = ledger.apply(vec![record(2, "BYT").command(), record(2, "BYT").header("other").command()]);
    let (Outcome::Accepted { leaf, .. }, Outcome::Refused(refusal)) = (&outcomes[0], &outcomes[1]) else { panic!() };
    assert_eq!(refusal.evidence_leaf.as_deref(), Some(&leaf.encode()[..]));
}

#[test]
fn revisions_name_the_one_before() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let unit = |n| record(n, "BYT").series("figures");
    refused_with(&mut ledger, unit(1).supersedes(9).command(), Code::SupersedesUnknown);
    accepts(&mut ledger, unit(1));
    refused_with(&mut ledger, unit(2).command(), Code::SeriesHasHead);
    refused_with(&mut ledger, unit(2).supersedes(2).command(), Code::SupersedesUnknown);
    accepts(&mut ledger, record(3, "BYT").series("other figures"));
    refused_with(&mut ledger, unit(2).supersedes(3).command(), Code::SupersedesUnknown);
    accepts(&mut ledger, unit(2).supersedes(1));
    refused_with(&mut ledger, unit(4).supersedes(1).command(), Code::SupersedesNotLatest);
    // Inside one entry: the first to come wins.
    let outcomes = ledger.apply(vec![
        unit(5).supersedes(2).command(),
        unit(6).supersedes(2).command(),
        unit(7).supersedes(5).command(),
    ]);
    assert!(accepted(&outcomes[0]).is_some() && accepted(&outcomes[2]).is_some());
    assert!(matches!(&outcomes[1], Outcome::Refused(refusal) if refusal.code == Code::SupersedesNotLatest));
    let head = read::series_head(&ledger.rows, &token("figures")).expect("sound").expect("there");
    assert_eq!((head.record_id, head.revision), (record_id(7), 4));
}

#[test]
fn a_data_key_is_used_once_applied_and_by_its_unit_only() {
    let mut ledger = Ledger::formed(&["BYT"]);
    refused_with(&mut ledger, record(1, "BCT").command(), Code::KeyNotApplied);
    let of_another = record(1, "BCT").with(|s| s.key_id = Bytes::copy_from_slice(key_id("BYT", 1).as_ref()));
    refused_with(&mut ledger, of_another.command(), Code::KeyNotApplied);
    let foreign = record(1, "BYT").with(|s| s.new_certificates[0].key_id = Bytes::from_static(&[3; 16]));
    refused_with(&mut ledger, foreign.command(), Code::KeyNotApplied);
    // Created and used in one entry.
    let outcomes = ledger.apply(vec![create_key("BCT", 1), record(1, "BCT").command()]);
    assert_eq!((&outcomes[0], accepted(&outcomes[1])), (&Outcome::Done, Some(Seq(1))));
}

#[test]
fn the_first_key_of_a_generation_is_kept() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let rival = |generation, id: u8| {
        let mut command = create_key("BYT", generation);
        if let Some(Kind::CreateDataKey(create)) = &mut command.kind {
            create.key_id = Bytes::copy_from_slice(&[id; 16]);
        }
        command
    };
    let before = ledger.rows.clone();
    assert_eq!(ledger.one(rival(1, 7)), Outcome::Done);
    assert_eq!(ledger.rows, before);
    refused_with(&mut ledger, rival(3, 7), Code::RequestMalformed);
    refused_with(&mut ledger, rival(0, 7), Code::RequestMalformed);
    assert_eq!(ledger.apply(vec![rival(2, 8), rival(2, 9)]), vec![Outcome::Done, Outcome::Done]);
    let latest = read::data_key(&ledger.rows, &token("BYT")).expect("sound").expect("there");
    assert_eq!((latest.generation, latest.key_id.0, latest.size_before), (2, [8; 16], 1));
    let (owner, row) = read::data_key_by_id(&ledger.rows, &latest.key_id).expect("sound").expect("there");
    assert_eq!((owner.unit_token, owner.generation, row), (token("BYT"), 2, latest));
    assert_eq!(read::data_key_by_id(&ledger.rows, &key_id("BYT", 9)).expect("sound"), None);
    refused_with(&mut ledger, rival(3, 8), Code::RequestMalformed);
}

#[test]
fn the_chain_is_stored_or_comes_along_and_the_first_bytes_stay() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let bare = |n| record(n, "BYT").with(|s| s.new_certificates.clear());
    refused_with(&mut ledger, bare(1).command(), Code::CertificateNotStored);
    // One brings it, the next in the entry relies on it, a third brings it again.
    let third = record(3, "BYT").with(|s| s.new_certificates[0].sealed = Bytes::from_static(b"sealed again"));
    let outcomes = ledger.apply(vec![record(1, "BYT").command(), bare(2).command(), third.command()]);
    assert!(outcomes.iter().all(|outcome| accepted(outcome).is_some()));
    assert_eq!(ledger.rows.count(Table::Certificates), 1);
    let digest = kho_proto::digest::Digest::of(b"BYT");
    let row = read::certificate(&ledger.rows, &token("BYT"), &digest).expect("sound").expect("there");
    assert_eq!(&row.sealed[..], b"sealed certificate of BYT");
    accepts(&mut ledger, bare(4));
}

#[test]
fn every_field_of_a_record_keeps_to_its_bounds() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let bytes = |length: usize| Bytes::from(vec![1; length]);
    type Change = Box<dyn FnOnce(&mut kho_proto::pb::ledger::v1::Submit)>;
    let bad: Vec<Change> = vec![
        Box::new(move |s| s.record_id = bytes(15)),
        Box::new(move |s| s.record_id = bytes(0)),
        Box::new(move |s| s.key_id = bytes(17)),
        Box::new(move |s| s.header_digest = bytes(31)),
        Box::new(move |s| s.signature_block_digest = bytes(33)),
        Box::new(move |s| s.sealed_head = bytes(0)),
        Box::new(move |s| s.sealed_head = bytes(SEALED_HEAD_LENGTH_MAX + 1)),
        Box::new(move |s| s.sealed_payload = bytes(0)),
        Box::new(move |s| s.sealed_payload = bytes(SEALED_PAYLOAD_LENGTH_MAX + 1)),
        Box::new(move |s| s.unit_token = bytes(32)),
        Box::new(move |s| s.regime_token = bytes(0)),
        Box::new(move |s| s.series_token = bytes(8)),
        Box::new(move |s| s.receiver_tokens = vec![bytes(15)]),
        Box::new(move |s| s.receiver_tokens = vec![bytes(16), bytes(16)]),
        Box::new(move |s| {
            s.receiver_tokens =
                (0..=RECEIVERS_MAX).map(|n| Bytes::copy_from_slice(token(&n.to_string()).as_ref())).collect()
        }),
        Box::new(|s| s.period = String::new()),
        Box::new(|s| s.period = "2020\u{0}06".to_owned()),
        Box::new(|s| s.period = "2020 06".to_owned()),
        Box::new(|s| s.period = "tháng".to_owned()),
        Box::new(|s| s.period = "2".repeat(PERIOD_LENGTH_MAX + 1)),
        Box::new(move |s| s.supersedes = bytes(15)),
        Box::new(|s| s.certificate_digests.clear()),
        Box::new(|s| s.certificate_digests.push(s.certificate_digests[0].clone())),
        Box::new(move |s| s.certificate_digests[0] = bytes(31)),
        Box::new(|s| {
            s.certificate_digests.extend((0..CHAIN_LENGTH_MAX).map(|n| Bytes::copy_from_slice(&[n as u8; 32])))
        }),
        Box::new(move |s| s.new_certificates[0].digest = bytes(32)),
        Box::new(move |s| s.new_certificates[0].key_id = bytes(1)),
        Box::new(move |s| s.new_certificates[0].sealed = bytes(0)),
        Box::new(move |s| s.new_certificates[0].sealed = bytes(SEALED_CERTIFICATE_LENGTH_MAX + 1)),
        Box::new(|s| s.new_certificates.push(s.new_certificates[0].clone())),
    ];
    for change in bad {
        let refusal = refused(&mut ledger, record(1, "BYT").with(change).command());
        assert_eq!(refusal.code, Code::RequestMalformed, "{refusal}");
        assert!(!refusal.expected.is_empty() && !refusal.found.is_empty(), "{refusal}");
    }
    let attached = record(1, "BYT").with(|s| s.attachment_digests = vec![bytes(32)]);
    refused_with(&mut ledger, attached.command(), Code::AttachmentsUnsupported);
    refused_with(&mut ledger, Command { kind: None }, Code::RequestMalformed);
    accepts(&mut ledger, record(1, "BYT").with(|s| s.receiver_tokens.clear()));
}

#[test]
fn accepted_at_never_goes_back_and_is_one_for_an_entry() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let mut at = |proposed, n| {
        let entry = entry_of(proposed, vec![record(n, "BYT").command(), record(n + 1, "BYT").command()]);
        let outcomes = ledger.apply_entry(&entry).outcomes;
        let times: Vec<u64> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Accepted { leaf, .. } => leaf.accepted_at.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(times[0], times[1]);
        times[0]
    };
    let start = 1_593_568_800_000;
    assert_eq!(at(start + 500, 1), start + 500);
    assert_eq!(at(start + 100, 3), start + 500);
    assert_eq!(at(start + 501, 5), start + 501);
}

#[test]
fn an_entry_that_cannot_be_understood_is_fatal_and_one_beyond_bounds_is_refused() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let damaged = ledger.rows.apply(&mut ledger.tip, &Bytes::from_static(&[0xff, 0xff]));
    assert!(matches!(damaged, Err(apply::Error::EntryMalformed(_))));
    let mut newer = entry_of(1, vec![]);
    newer.version = 3;
    assert!(matches!(
        ledger.rows.apply(&mut ledger.tip, &encoded(&newer)),
        Err(apply::Error::EntryVersion { found: 3 })
    ));
    let before = ledger.rows.clone();
    let late = ledger.apply_entry(&entry_of(PROPOSED_AT_MS_MAX + 1, vec![record(1, "BYT").command()]));
    assert!(matches!(&late.outcomes[..], [Outcome::Refused(refusal)] if refusal.code == Code::RequestMalformed));
    let many = ledger.apply(vec![create_key("BYT", 2); ENTRY_COMMANDS_MAX + 1]);
    assert_eq!(many.len(), ENTRY_COMMANDS_MAX + 1);
    assert!(many.iter().all(|outcome| matches!(outcome, Outcome::Refused(_))));
    assert_eq!(ledger.rows, before);
    assert_eq!(ledger.apply(vec![]), vec![]);
    assert_eq!(ledger.rows, before);
}
