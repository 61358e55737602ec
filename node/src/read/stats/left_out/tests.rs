use std::sync::Arc;

use bytes::Bytes;
use kho_catalogue::Catalogue;
use kho_ledger::memory::Memory;
use kho_ledger::table::{Role as Side, index_key, seq_key};
use kho_ledger::{Change, Changes, Table};
use kho_proto::certificate::Sans;
use kho_proto::digest::Digest;
use kho_proto::id::{ClusterId, KeyId, RecordId, UnixMs};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::pb::v1::StatsRequest;
use kho_proto::tokens::TokenKey;

use super::super::ask::Question;
use super::*;
use crate::identity::Identity;
use crate::keys::{DataKeys, keyring};
use crate::seams::Seams;

const CLUSTER: ClusterId = ClusterId([1; 16]);

/// What the log has of records under one regime that no catalogue has: leaves and index, without what they hold.
fn rows(tokens: &TokenKey, records: u64) -> Memory {
    let (unit, regime) = (tokens.unit(&"BYT".parse().unwrap()), tokens.regime(&"X-01".parse().unwrap()));
    let mut changes = Vec::new();
    for seq in (0..records).map(Seq) {
        let leaf = Leaf {
            kind: LeafKind::Record,
            record_id: RecordId([7; 16]),
            accepted_at: UnixMs(1),
            key_id: KeyId([0; 16]),
            header_digest: Digest::ZERO,
            signature_block_digest: Digest::ZERO,
            sealed_head_digest: Digest::ZERO,
            sealed_payload_digest: Digest::ZERO,
            attachments_digest: Digest::ZERO,
        };
        let key = index_key(Side::Sender, &unit, &regime, "2020-06", seq);
        changes.push(Change::Put { table: Table::Index, key, value: Bytes::new() });
        let key = Bytes::copy_from_slice(&seq_key(seq));
        changes.push(Change::Put { table: Table::Leaves, key, value: leaf.encode().to_vec().into() });
    }
    let mut rows = Memory::new();
    rows.write(&Changes(changes));
    rows
}

fn left_out(records: u64, work: u64) -> LeftOut {
    let dir = tempfile::tempdir().unwrap();
    let keyring = keyring::create(&dir.path().join("keyring"), CLUSTER, &*Seams::system().entropy).unwrap();
    let opener = Opener::new(CLUSTER, DataKeys::new(CLUSTER, Arc::new(keyring)).into());
    let sans = Sans { units: [].into(), all_units: true, roles: vec!["reader".to_owned()], node: None };
    let request =
        StatsRequest { period_from: "2020-06".to_owned(), period_to: "2020-06".to_owned(), ..StatsRequest::default() };
    let question = Question::of(&Identity::of_sans(sans, Digest::ZERO), request, UnixMs(9)).unwrap();
    let rows = rows(opener.tokens(), records);
    let tally = Tally {
        view: &rows,
        tokens: opener.tokens(),
        catalogue: &Catalogue::default(),
        question: &question,
        size: records,
        as_of: UnixMs(9),
    };
    tally.left_out(&opener, &mut Budget::new(work, || false)).unwrap()
}

/// The count of the last pair was given as the whole one.
#[test]
fn a_count_that_was_cut_says_that_there_may_be_more() {
    let whole = left_out(40, 10_000);
    assert_eq!((whole.records[0].records, whole.more), (40, false));
    let cut = left_out(40, DUTY_WORK + 10);
    assert!(cut.records[0].records < 40, "{cut:?}");
    assert!(cut.more, "{cut:?}");
}

/// One record that does not open took all statistics of the node along.
#[test]
fn a_damaged_record_takes_its_regimes_name_along_and_not_the_count() {
    let found = left_out(3, 10_000);
    assert_eq!(found.records.len(), 1);
    assert_eq!((found.records[0].regime.as_str(), found.records[0].records), ("", 3));
}
