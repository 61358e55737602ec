//! Rows per record.

use super::build::*;
use crate::bounds::ROWS_PER_RECORD_MAX;
use crate::{Change, Table, apply};

/// Rows written by an entry, by table.
fn rows(ledger: &Ledger, commands: Vec<kho_proto::pb::ledger::v1::Command>) -> Vec<Table> {
    let applied = apply(&ledger.rows, &ledger.tip, &encoded(&entry_of(1, commands))).expect("applies");
    applied
        .changes
        .iter()
        .map(|change| match change {
            Change::Put { table, .. } => *table,
            Change::Delete { .. } => panic!("a record deletes nothing"),
        })
        .collect()
}

#[test]
fn a_record_of_one_receiver_writes_six_rows_and_its_entry_one() {
    let mut ledger = Ledger::formed(&["BYT"]);
    ledger.one(record(0, "BYT").command());
    let of_one = rows(&ledger, vec![record(1, "BYT").command()]);
    assert_eq!(of_one.iter().filter(|table| **table != Table::Sizes).count(), ROWS_PER_RECORD_MAX);
    assert_eq!(of_one.len(), ROWS_PER_RECORD_MAX + 1);
    let of_hundred = rows(&ledger, (1..=100).map(|n| record(n, "BYT").command()).collect());
    assert_eq!(of_hundred.len(), 100 * ROWS_PER_RECORD_MAX + 1);
}

#[test]
fn each_further_receiver_is_one_row_and_a_new_certificate_another() {
    let mut ledger = Ledger::formed(&["BYT"]);
    let with_certificate = rows(&ledger, vec![record(1, "BYT").command()]);
    assert_eq!(with_certificate.iter().filter(|table| **table == Table::Certificates).count(), 1);
    ledger.one(record(0, "BYT").command());
    for receivers in 0..4 {
        let token = |n: usize| bytes::Bytes::copy_from_slice(token(&n.to_string()).as_ref());
        let record = record(1, "BYT").with(|s| s.receiver_tokens = (0..receivers).map(token).collect());
        assert_eq!(rows(&ledger, vec![record.command()]).len(), ROWS_PER_RECORD_MAX + receivers);
    }
}
