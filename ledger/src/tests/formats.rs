//! Golden bytes: an entry, and every row that it writes, against vectors made by another program.

use bytes::Bytes;
use kho_proto::digest::Digest;
use serde_json::Value;

use super::build::*;
use crate::edge::Edge;
use crate::row::{Damaged, Fault, TileRow};
use crate::{Outcome, Table, View, ViewError, read, table};

const VECTORS: &str = include_str!("../../../docs/formats/vectors/command.json");

fn entry() -> kho_proto::pb::ledger::v1::Entry {
    let second = record(2, "BYT").series("figures").supersedes(1).with(|submit| {
        submit.receiver_tokens.push(Bytes::copy_from_slice(token("second receiver").as_ref()));
        submit.new_certificates.clear();
    });
    let first = record(1, "BYT").series("figures");
    entry_of(1_593_568_800_000, vec![genesis(), create_key("BYT", 1), first.command(), second.command()])
}

#[test]
fn an_entry_and_its_rows_are_the_golden_bytes() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    assert_eq!(vectors["entry"], hex::encode(encoded(&entry())));
    let mut ledger = Ledger::empty();
    let effects = ledger.apply_entry(&entry());
    let outcomes = effects.outcomes.iter().map(|outcome| match outcome {
        Outcome::Accepted { seq, .. } => format!("accepted {seq}"),
        Outcome::Done => "done".to_owned(),
        other => format!("{other:?}"),
    });
    assert_eq!(vectors["outcomes"], Value::from(outcomes.collect::<Vec<_>>()));
    assert_eq!((&vectors["size"], &vectors["root"]), (&effects.size.into(), &effects.root.to_string().into()));
    assert_eq!(vectors["origin"], ledger.tip.origin().expect("formed").to_string());
    assert_eq!(vectors["genesis_digest"], ledger.tip.genesis_digest().expect("formed").to_string());
    let rows = ledger.rows.rows().map(|(table, key, value)| {
        serde_json::json!({ "table": table.name(), "key": hex::encode(key), "value": hex::encode(value) })
    });
    assert_eq!(vectors["rows"].as_array().expect("a list"), &rows.collect::<Vec<_>>());
}

#[test]
fn a_tile_row_is_a_version_and_the_tile() {
    let hashes: Vec<Digest> = (0..=255).map(|n| Digest([n; 32])).collect();
    let mut edge = Edge::default();
    let mut rows = Vec::new();
    for hash in &hashes {
        edge.push(*hash, |level, index, tile| rows.push((table::tile_key(level, index), TileRow::of(tile))));
    }
    let [(key, value)] = &rows[..] else { panic!("one tile") };
    assert_eq!((key, value.len(), value[0]), (&[0; 9], 1 + 8192, 1));
    assert!(value[1..].chunks(32).zip(&hashes).all(|(chunk, hash)| chunk == hash.as_ref()));
    assert_eq!(hex::encode(table::tile_key(2, 0x0102)), "020000000000000102");
}

#[test]
fn table_names_are_fixed() {
    let names: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
    let expect =
        ["meta", "bodies", "leaves", "records", "index", "series", "tiles", "keys", "certificates", "sizes", "objects"];
    assert_eq!(names, expect);
}

/// A view where every row has the same value.
struct Everywhere(Vec<u8>);

impl View for Everywhere {
    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Bytes>, ViewError> {
        Ok(Some(self.0.clone().into()))
    }
    fn at_or_after(&self, _: Table, _: &[u8], key: &[u8]) -> Result<Option<crate::view::Row>, ViewError> {
        Ok(Some((Bytes::copy_from_slice(key), self.0.clone().into())))
    }
    fn before(&self, table: Table, _: &[u8], key: &[u8]) -> Result<Option<crate::view::Row>, ViewError> {
        self.at_or_after(table, &[], key)
    }
}

/// A damaged row is an error with the row's name in it, whatever its bytes.
#[test]
fn rows_cut_short_or_of_another_version_are_refused() {
    let mut ledger = Ledger::empty();
    ledger.apply_entry(&entry());
    let id = record_id(1);
    for (_, _, value) in ledger.rows.rows() {
        for length in 0..value.len() {
            read_all(&Everywhere(value[..length].to_vec()));
        }
        let mut newer = value.to_vec();
        newer[0] = 2;
        read_all(&Everywhere(newer));
    }
    let error = read::record_row(&Everywhere(vec![2; 200]), &id).expect_err("another version");
    let crate::view::ReadError::Damaged(damaged) = error else { panic!("damaged") };
    assert_eq!(
        damaged,
        Damaged { table: Table::Records, key: id.as_ref().to_vec(), fault: Fault::Version { found: 2 } }
    );
    assert_eq!(
        damaged.to_string(),
        format!("row {} of table records: expected version 1, found 2", hex::encode(id.as_ref()))
    );
}

/// Reads through every decoder; only panics count here.
fn read_all(view: &dyn View) {
    let (seq, unit) = (kho_proto::id::Seq(1), token("BYT"));
    let _ = read::genesis(view);
    let _ = read::record_row(view, &record_id(1));
    let _ = read::leaf(view, seq);
    let _ = read::body(view, seq);
    let _ = read::entry_end(view, seq);
    let _ = read::data_key(view, &unit);
    let _ = read::data_key_by_id(view, &key_id("BYT", 1));
    let _ = read::certificate(view, &unit, &Digest::ZERO);
    let _ = read::series_head(view, &unit);
    let _ = read::crl_head(view, &Digest::ZERO);
    let _ = read::crl(view, 1);
    let id = kho_proto::id::ObjectId([1; 32]);
    let _ = read::object(view, &id);
    let _ = read::complete_object(view, &id);
    let _ = read::chunk_facts(view, &id, 0);
    let _ = read::attachments(view, seq);
    let _ = read::object_touched(view, &id);
}
