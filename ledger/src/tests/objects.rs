//! Attachments: put, completed, named, dropped; and what a record may not name.

use kho_proto::error::Code;
use kho_proto::id::Seq;
use kho_proto::leaf::attachments_digest;
use kho_proto::pb::ledger::v1::{Command, PutObjectChunk, command::Kind};

use super::build::*;
use crate::bounds::{DROPPED_OBJECTS_MAX, OBJECT_LENGTH_MAX, SEALED_CHUNK_LENGTH_MAX};
use crate::{Outcome, Table, Tip, attachments, complete_object, entry_version, leaf, object, read, rewind};

const NOW: u64 = 1_593_568_800_000;

fn code(outcome: Outcome) -> Option<Code> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// A ledger where `BYT` has the complete object "map" of three chunks.
fn with_map() -> Ledger {
    let mut ledger = Ledger::formed(&["BYT", "BCT"]);
    for index in [2, 0, 1] {
        assert_eq!(ledger.one_of_its_version(put_chunk("BYT", "map", 3, index)), Outcome::Done);
    }
    assert_eq!(ledger.one_of_its_version(complete("BYT", "map", 3)), Outcome::Done);
    ledger
}

fn attached(n: u64, unit: &str) -> Command {
    record(n, unit).attaching("BYT", "map", 3).command()
}

#[test]
fn a_record_names_complete_objects_and_its_leaf_their_digests() {
    let mut ledger = with_map();
    let outcome = ledger.one_of_its_version(attached(1, "BYT"));
    assert_eq!(accepted(&outcome), Some(Seq(1)));
    let digest = sealed_object("map", 3);
    let leaf = leaf(&ledger.rows, Seq(1)).expect("sound").expect("a leaf");
    assert_eq!(leaf.attachments_digest, attachments_digest([&digest]));
    assert_eq!(attachments(&ledger.rows, Seq(1)).expect("sound").0, [(object_id("BYT", "map"), digest)]);
    assert_eq!(ledger.one_of_its_version(attached(1, "BYT")), Outcome::Duplicate { seq: Seq(1) });
    // the same content twice in a record, and again in another
    let twice = record(2, "BYT").attaching("BYT", "map", 3).attaching("BYT", "map", 3).command();
    assert_eq!(accepted(&ledger.one_of_its_version(twice)), Some(Seq(2)));
    assert_eq!(Tip::load(&ledger.rows).expect("sound"), ledger.tip);
}

#[test]
fn whoever_has_no_key_recomputes_the_digest_from_the_chunks() {
    let ledger = with_map();
    let id = object_id("BYT", "map");
    let mut digest = kho_proto::object::SealedDigest::default();
    for index in 0..3 {
        let chunk = crate::chunk(&ledger.rows, &id, index).expect("sound").expect("a chunk");
        digest.push(kho_proto::digest::Digest::of(&chunk));
    }
    let complete = complete_object(&ledger.rows, &id).expect("sound").expect("complete");
    assert_eq!(complete.sealed_digest, digest.finish());
}

#[test]
fn a_record_may_not_name_what_is_not_there_whole_and_its_units_own() {
    let mut ledger = with_map();
    let missing = Some(Code::AttachmentMissing);
    assert_eq!(code(ledger.one_of_its_version(record(1, "BYT").attaching("BYT", "plan", 1).command())), missing);
    ledger.one_of_its_version(put_chunk("BYT", "plan", 1, 0));
    assert_eq!(
        code(ledger.one_of_its_version(record(1, "BYT").attaching("BYT", "plan", 1).command())),
        missing,
        "all chunks, not complete"
    );
    assert_eq!(code(ledger.one_of_its_version(attached(1, "BCT"))), missing, "another unit's");
    let other_digest = record(1, "BYT").attaching("BYT", "map", 2).command();
    assert_eq!(code(ledger.one_of_its_version(other_digest)), missing, "another digest");
    let odd = record(1, "BYT").attaching("BYT", "map", 3).with(|submit| submit.attachment_digests.clear());
    assert_eq!(code(ledger.one_of_its_version(odd.command())), Some(Code::RequestMalformed));
    let many = (0..65).fold(record(1, "BYT"), |record, _| record.attaching("BYT", "map", 3));
    assert_eq!(code(ledger.one_of_its_version(many.command())), Some(Code::RequestMalformed));
    assert_eq!(ledger.tip.size(), 1);
}

#[test]
fn the_first_chunk_of_an_index_stays_and_gaps_are_found() {
    let mut ledger = Ledger::formed(&["BYT"]);
    assert_eq!(code(ledger.one_of_its_version(complete("BYT", "map", 2))), Some(Code::AttachmentMissing));
    ledger.one_of_its_version(put_chunk("BYT", "map", 2, 1));
    assert_eq!(code(ledger.one_of_its_version(complete("BYT", "map", 2))), Some(Code::AttachmentTruncated));
    let before = ledger.rows.clone();
    let mut other = put_chunk("BYT", "map", 2, 1);
    if let Some(Kind::PutObjectChunk(put)) = &mut other.kind {
        put.sealed = sealed_chunk("forged", 1);
    }
    assert_eq!(ledger.one_of_its_version(other), Outcome::Done);
    assert_eq!(ledger.rows, before);
    ledger.one_of_its_version(put_chunk("BYT", "map", 2, 0));
    // whoever verified other bytes has verified nothing
    assert_eq!(code(ledger.one_of_its_version(complete("BYT", "map", 1))), Some(Code::AttachmentMissing));
    assert_eq!(ledger.one_of_its_version(complete("BYT", "map", 2)), Outcome::Done);
    assert_eq!(ledger.one_of_its_version(complete("BYT", "map", 1)), Outcome::Done, "complete it stays");
}

#[test]
fn only_what_no_record_names_is_dropped() {
    let mut ledger = with_map();
    let id = object_id("BYT", "map");
    ledger.one_of_its_version(drop_object("BYT", "map", NOW - 1));
    assert!(object(&ledger.rows, &id).expect("sound").is_some(), "touched since");
    ledger.one_of_its_version(attached(1, "BYT"));
    ledger.one_of_its_version(drop_object("BYT", "map", NOW));
    assert!(object(&ledger.rows, &id).expect("sound").is_some(), "named");
    let mut ledger = with_map();
    ledger.one_of_its_version(drop_object("BYT", "map", NOW));
    assert_eq!(ledger.rows.count(Table::Objects), 0);
    assert_eq!(code(ledger.one_of_its_version(attached(1, "BYT"))), Some(Code::AttachmentMissing));
    assert_eq!(ledger.one_of_its_version(drop_object("BYT", "map", NOW)), Outcome::Done, "gone already");
}

/// The race of a drop and a record that names the object, in one entry: the first decides.
#[test]
fn a_drop_and_a_record_are_decided_in_their_order() {
    for record_first in [true, false] {
        let mut ledger = with_map();
        let mut commands = vec![attached(1, "BYT"), drop_object("BYT", "map", NOW)];
        if !record_first {
            commands.reverse();
        }
        let mut entry = entry_of(NOW, commands);
        entry.version = 2;
        ledger.apply_entry(&entry);
        let there = object(&ledger.rows, &object_id("BYT", "map")).expect("sound").is_some();
        assert_eq!((there, ledger.tip.size()), if record_first { (true, 2) } else { (false, 1) });
    }
    // begun, complete, named, all in one entry
    let mut ledger = Ledger::formed(&["BYT"]);
    let commands = (0..3).map(|index| put_chunk("BYT", "map", 3, index));
    let commands = commands.chain([complete("BYT", "map", 3), attached(1, "BYT"), drop_object("BYT", "map", NOW)]);
    let mut entry = entry_of(NOW, commands.collect());
    entry.version = 2;
    assert_eq!(accepted(&ledger.apply_entry(&entry).outcomes[4]), Some(Seq(1)));
    assert!(read::is_named(&ledger.rows, &object_id("BYT", "map")).expect("sound"));
}

#[test]
fn a_failed_verification_drops_what_is_incomplete_only() {
    let incomplete = |name: &str| {
        let mut command = drop_object("BYT", name, u64::MAX);
        if let Some(Kind::DropObjects(drop)) = &mut command.kind {
            drop.incomplete_only = true;
        }
        command
    };
    let mut ledger = with_map();
    ledger.one_of_its_version(put_chunk("BYT", "plan", 2, 0));
    ledger.one_of_its_version(incomplete("map"));
    ledger.one_of_its_version(incomplete("plan"));
    let there = |name| object(&ledger.rows, &object_id("BYT", name)).expect("sound").is_some();
    assert_eq!((there("map"), there("plan")), (true, false));
}

#[test]
fn rewinding_takes_along_what_came_after_the_leaf() {
    let mut ledger = Ledger::formed(&["BYT"]);
    ledger.one_of_its_version(put_chunk("BYT", "map", 2, 0));
    let before = ledger.rows.clone();
    ledger.one(record(1, "BYT").command());
    ledger.one_of_its_version(put_chunk("BYT", "map", 2, 1));
    ledger.one_of_its_version(complete("BYT", "map", 2));
    ledger.one_of_its_version(record(2, "BYT").attaching("BYT", "map", 2).command());
    ledger.one_of_its_version(put_chunk("BYT", "plan", 1, 0));
    for (size, complete, chunks) in [(3, true, 2), (2, false, 1)] {
        let changes = rewind(&ledger.rows, &ledger.tip, size).expect("sound");
        ledger.rows.write(&changes);
        ledger.tip = Tip::load(&ledger.rows).expect("sound");
        let id = object_id("BYT", "map");
        let there = (0..2).filter(|index| crate::chunk(&ledger.rows, &id, *index).expect("sound").is_some()).count();
        assert_eq!(complete_object(&ledger.rows, &id).expect("sound").is_some(), complete);
        assert_eq!(there, chunks, "{size}");
        assert_eq!(object(&ledger.rows, &object_id("BYT", "plan")).expect("sound"), None);
    }
    let objects = |rows: &crate::memory::Memory| -> Vec<_> {
        rows.rows().filter(|row| row.0 == Table::Objects).map(|row| (row.1.clone(), row.2.clone())).collect()
    };
    // the first chunk came after leaf 0 and before leaf 1
    assert_eq!(objects(&ledger.rows), objects(&before));
    let changes = rewind(&ledger.rows, &ledger.tip, 1).expect("sound");
    ledger.rows.write(&changes);
    assert_eq!(ledger.rows.count(Table::Objects), 0);
}

#[test]
fn fields_have_bounds() {
    let mut ledger = Ledger::formed(&["BYT", "BCT"]);
    let mut broken = |change: &dyn Fn(&mut PutObjectChunk), expect| {
        let mut command = put_chunk("BYT", "map", 2, 1);
        if let Some(Kind::PutObjectChunk(put)) = &mut command.kind {
            change(put);
        }
        assert_eq!(code(ledger.one_of_its_version(command)), Some(expect));
    };
    broken(&|put| put.sealed.clear(), Code::RequestMalformed);
    broken(&|put| put.sealed = vec![1; SEALED_CHUNK_LENGTH_MAX + 1].into(), Code::RequestMalformed);
    broken(&|put| put.index = 2, Code::RequestMalformed);
    broken(&|put| put.length = OBJECT_LENGTH_MAX + 1, Code::RequestMalformed);
    broken(&|put| put.object_id.truncate(31), Code::RequestMalformed);
    broken(&|put| put.key_id = key_id("BCT", 1).as_ref().to_vec().into(), Code::KeyNotApplied);
    ledger.one_of_its_version(put_chunk("BYT", "map", 2, 1));
    let longer = put_chunk("BYT", "map", 3, 0);
    assert_eq!(code(ledger.one_of_its_version(longer)), Some(Code::RequestMalformed), "another length");
    let mut many = drop_object("BYT", "map", NOW);
    if let Some(Kind::DropObjects(drop)) = &mut many.kind {
        drop.object_ids = vec![drop.object_ids[0].clone(); DROPPED_OBJECTS_MAX + 1];
    }
    assert_eq!(code(ledger.one_of_its_version(many)), Some(Code::RequestMalformed));
}

/// What an older build could not read means nothing in an older entry, on newer builds too.
#[test]
fn an_older_entry_holds_no_objects() {
    let mut ledger = with_map();
    for command in [put_chunk("BYT", "plan", 1, 0), complete("BYT", "map", 3), drop_object("BYT", "map", NOW)] {
        assert_eq!(entry_version(&command), 2);
        assert_eq!(code(ledger.one(command)), Some(Code::RequestMalformed));
    }
    assert_eq!(entry_version(&attached(1, "BYT")), 2);
    assert_eq!(code(ledger.one(attached(1, "BYT"))), Some(Code::AttachmentsUnsupported));
    let ids_only = record(1, "BYT").attaching("BYT", "map", 3).with(|submit| submit.attachment_digests.clear());
    assert_eq!(accepted(&ledger.one(ids_only.command())), Some(Seq(1)), "a field that version 1 does not know");
    assert!(attachments(&ledger.rows, Seq(1)).expect("sound").0.is_empty());
}
