use std::sync::Arc;

use bytes::Bytes;
use kho_catalogue::{Catalogue, Entry, Version};
use kho_ledger::memory::Memory;
use kho_ledger::table::{Role as Side, index_key, seq_key};
use kho_ledger::{Change, Changes, Table};
use kho_proto::certificate::Sans;
use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, RecordId};
use kho_proto::leaf::{Leaf, LeafKind};
use kho_proto::pb::v1::{StatsRequest, StatsRow};
use kho_proto::tokens::TokenKey;

use super::super::ask::Question;
use super::super::place::Last;
use super::*;
use crate::identity::Identity;

/// 2020-06-03T00:00:00+07:00.
const BEGIN: u64 = 1_591_117_200_000;
/// What BYT sent: period, and whether it takes another's place. A second apart, in this order; two seqs before are the catalogue's.
const SENT: [(&str, bool); 17] = [
    ("2020-05-31", false),
    ("2020-06-01", false),
    ("2020-06-01", false),
    ("2020-05-31", true),
    ("2020-06-01", true),
    ("2020-06-03", false),
    ("2020-06-01", false),
    ("2020-06-01", true),
    ("2020-06-01", true),
    // of no day, between the last of June and the first of July
    ("2020-06/2020-08", false),
    ("2020-06/2020-08", true),
    ("2020-06/2020-08", true),
    ("2020-07-07", false),
    ("2020-07-07", false),
    ("2020-06-03", true),
    ("2020-06-04", false),
    ("2020-06-04", true),
];
const FIRST: u64 = 2;

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let documents = [
        r#"{"kind":"unit","code":"BYT","effective_from":"2020-01-01","name":{"vi":"Bộ Y tế"},"unit_kind":"ministry"}"#,
        r#"{"kind":"regime","code":"YT-01","effective_from":"2020-01-01","owner":"BYT","mode":"opaque",
            "name":{"vi":"Dịch bệnh"},"frequency":"daily","deadline":{"days_after":1},"reporters":{"units":["BYT"]}}"#,
    ];
    for (seq, document) in (0..).map(Seq).zip(documents) {
        let entry = Entry::from_json(document.as_bytes()).unwrap();
        catalogue.insert(Version {
            effective_from: entry.effective_from().parse().unwrap(),
            seq,
            record_id: RecordId([9; 16]),
            revision: 1,
            document: Bytes::from(entry.canonical()),
            entry: Arc::new(entry),
        });
    }
    catalogue
}

/// A row of the record, as the ledger writes it.
fn record_row(seq: Seq, revision: u32, period: &str) -> Bytes {
    let mut row = vec![1];
    row.extend_from_slice(&seq.0.to_be_bytes());
    row.extend_from_slice(&[0; 32 + 3 * 16]);
    row.extend_from_slice(&revision.to_be_bytes());
    row.push(period.len() as u8);
    row.extend_from_slice(period.as_bytes());
    row.into()
}

fn log(tokens: &TokenKey) -> Memory {
    let (unit, regime) = (tokens.unit(&"BYT".parse().unwrap()), tokens.regime(&"YT-01".parse().unwrap()));
    let mut changes = Vec::new();
    let mut put = |table, key: Bytes, value| changes.push(Change::Put { table, key, value });
    for seq in (0..FIRST + SENT.len() as u64).map(Seq) {
        let record_id = RecordId([seq.0 as u8; 16]);
        let leaf = Leaf {
            kind: LeafKind::Record,
            record_id,
            accepted_at: UnixMs(BEGIN + seq.0 * 1000),
            key_id: KeyId([0; 16]),
            header_digest: Digest::ZERO,
            signature_block_digest: Digest::ZERO,
            sealed_head_digest: Digest::ZERO,
            sealed_payload_digest: Digest::ZERO,
            attachments_digest: Digest::ZERO,
        };
        put(Table::Leaves, Bytes::copy_from_slice(&seq_key(seq)), leaf.encode().to_vec().into());
        if let Some((period, corrects)) = seq.0.checked_sub(FIRST).map(|at| SENT[at as usize]) {
            put(Table::Index, index_key(Side::Sender, &unit, &regime, period, seq), Bytes::new());
            let id = Bytes::copy_from_slice(record_id.as_ref());
            put(Table::Records, id, record_row(seq, if corrects { 2 } else { 1 }, period));
        }
    }
    let mut log = Memory::new();
    log.write(&Changes(changes));
    log
}

/// The rows of each step of so much work.
fn steps(by: StatsBy, as_of: UnixMs, work: u64) -> Vec<Vec<StatsRow>> {
    steps_of(by, as_of, work, 0)
}

/// The same, and of at most so many rows; 0: the usual.
fn steps_of(by: StatsBy, as_of: UnixMs, work: u64, page_size: u32) -> Vec<Vec<StatsRow>> {
    let tokens = TokenKey::new([1; 32]);
    let log = log(&tokens);
    let sans = Sans { units: [].into(), all_units: true, roles: vec!["reader".to_owned()], node: None };
    let (period_from, period_to) = ("2020-06-01".to_owned(), "2020-07-02".to_owned());
    let request = StatsRequest { period_from, period_to, by: by.into(), page_size, ..StatsRequest::default() };
    let question = Question::of(&Identity::of_sans(sans, Digest::ZERO), request, as_of).unwrap();
    let (catalogue, size) = (catalogue(), FIRST + SENT.len() as u64);
    let tally = Tally { view: &log, tokens: &tokens, catalogue: &catalogue, question: &question, size, as_of };
    let (mut steps, mut after) = (Vec::new(), None);
    loop {
        let (rows, last) = tally.run(after, &mut Budget::new(work, || false)).unwrap();
        steps.push(rows);
        match last {
            None => return steps,
            // as a token has it
            Some(last) => after = Some(Last::of(&last.place()).unwrap()),
        }
        assert!(steps.len() < 1000, "no step goes on");
    }
}

fn sum(steps: Vec<Vec<StatsRow>>) -> Vec<(String, String, [u64; 9])> {
    let mut sums: Vec<(String, String, [u64; 9])> = Vec::new();
    for row in steps.into_iter().flatten() {
        let c = row.counts.unwrap();
        let more =
            [c.expected, c.on_time, c.late, c.missing, c.open, c.corrected, c.superseded, c.unscheduled, c.records];
        match sums.iter_mut().find(|(period, ..)| *period == row.period) {
            Some((_, deadline, counts)) => {
                assert_eq!(*deadline, row.deadline);
                counts.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
            None => sums.push((row.period, row.deadline, more)),
        }
    }
    sums
}

/// A step kept its turn until the whole cell was counted, however large, and each attempt began at it again.
#[test]
fn a_step_ends_inside_a_cell_and_the_next_goes_on_there() {
    let by = StatsBy::UnitRegimePeriod;
    let later = UnixMs(BEGIN + 30 * 24 * 3_600_000);
    let whole = sum(steps(by, later, 1_000_000));
    let counts: Vec<_> = whole.iter().map(|(period, _, counts)| (period.as_str(), *counts)).collect();
    let expected = [
        ("2020-06-01", [1, 0, 1, 0, 0, 1, 3, 0, 6]),
        ("2020-06-02", [1, 0, 0, 1, 0, 0, 0, 0, 0]),
        ("2020-06-03", [1, 1, 0, 0, 0, 1, 1, 0, 2]),
    ];
    assert_eq!(counts[..3], expected, "{counts:?}");
    assert_eq!((counts.len(), counts[31]), (32, ("2020-07-02", [1, 0, 0, 0, 1, 0, 0, 0, 0])), "{counts:?}");
    for as_of in [later, UnixMs(BEGIN + 13_000), UnixMs(BEGIN + 5_000), UnixMs(BEGIN)] {
        let whole = sum(steps(by, as_of, 1_000_000));
        let total = sum(steps(StatsBy::Total, as_of, 1_000_000));
        for work in 0..120 {
            assert_eq!(sum(steps(by, as_of, work)), whole, "as of {as_of:?}, {work} of work a step");
            assert_eq!(sum(steps(StatsBy::Total, as_of, work)), total, "as of {as_of:?}, {work} of work a step");
        }
    }
    for step in steps(by, later, 1) {
        let records: u64 = step.iter().filter_map(|row| row.counts).map(|counts| counts.records).sum();
        assert!(records <= 1, "{step:?}");
    }
}

/// Behind what was not there yet, a step wrote down its cell and the next that nothing was sent for.
#[test]
fn a_step_has_no_more_rows_than_were_asked_for() {
    let by = StatsBy::UnitRegimePeriod;
    for as_of in [BEGIN + 30 * 24 * 3_600_000, BEGIN + 13_000, BEGIN + 5_000].map(UnixMs) {
        let whole = sum(steps(by, as_of, 1_000_000));
        for (page_size, work) in (1..=3).flat_map(|rows| (0..120).map(move |work| (rows, work))) {
            let steps = steps_of(by, as_of, work, page_size);
            let most = steps.iter().map(Vec::len).max();
            assert!(
                most <= Some(page_size as usize),
                "as of {as_of:?}, {work} of work a step: {most:?} of {page_size}"
            );
            assert_eq!(sum(steps), whole, "as of {as_of:?}, {work} of work a step, {page_size} rows");
        }
    }
}
