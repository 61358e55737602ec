//! The cases.

use std::hint::black_box;

use bytes::Bytes;
use kho_ledger::memory::Memory;
use kho_ledger::{Applied, Prover, Tip, apply};
use kho_proto::certificate::Signer as Judged;
use kho_proto::digest::Digest;
use kho_proto::id::Seq;
use kho_proto::pb::ledger::v1::Entry;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record::{VerifiedRecord, verify_record, verify_record_with};
use kho_proto::sealed::{DataKey, Part, seal};
use prost::Message;

use crate::made::{self, NOW, Opened, Signer};

/// Records in the ledger before anything is measured: two tiles and a half.
const BEFORE: u64 = 640;
/// Records of a batch under load.
const BATCH: u64 = 64;

/// One piece of work.
pub struct Case {
    pub name: &'static str,
    /// How many records it is for.
    pub of: u64,
    pub what: &'static str,
    pub run: fn(),
}

pub const CASES: &[Case] = &[
    Case { name: "verify", of: 1, what: "header, payload, signature of a known signer", run: verify },
    Case { name: "verify-chain", of: 1, what: "the same of a signer that was not seen yet", run: verify_chain },
    Case { name: "seal", of: 1, what: "head and payload of 1 KiB", run: seal_parts },
    Case { name: "encode", of: BATCH, what: "a batch, once, for log, peers and apply", run: encode },
    Case { name: "apply-one", of: 1, what: "an entry of one record", run: apply_one },
    Case { name: "apply-batch", of: BATCH, what: "an entry of a batch", run: apply_batch },
    Case { name: "tile", of: 256, what: "leaves that fill a tile, and the tile", run: tile },
    Case { name: "prove", of: BATCH, what: "inclusion proofs of a batch", run: prove },
];

#[inline(never)]
fn measured_verify(record: &SignedRecord, known: Judged) -> VerifiedRecord {
    verify_record_with(record, |_| Ok(known)).expect("a sound record")
}

fn verify() {
    let signer = Signer::new();
    let record = signer.record(0);
    let known = signer.roots.verify_chain(&signer.chain, NOW).expect("a sound chain");
    black_box(measured_verify(&record, known));
}

#[inline(never)]
fn measured_verify_chain(record: &SignedRecord, signer: &Signer) -> VerifiedRecord {
    verify_record(record, &signer.roots, NOW).expect("a sound record")
}

fn verify_chain() {
    let signer = Signer::new();
    black_box(measured_verify_chain(&signer.record(0), &signer));
}

#[inline(never)]
fn measured_seal(opened: &Opened, key: &DataKey) -> [Bytes; 2] {
    [
        seal(&opened.context, Part::Head, key, [1; 12], &opened.head),
        seal(&opened.context, Part::Payload, key, [2; 12], &opened.payload),
    ]
}

fn seal_parts() {
    let opened = made::opened(Signer::new().record(0), 0);
    black_box(measured_seal(&opened, &made::data_key()));
}

/// An entry of records behind those that are there.
fn next(records: u64) -> Entry {
    let signer = Signer::new();
    let command = |n| made::command(&made::opened(signer.record(n), n), n);
    made::entry((BEFORE..BEFORE + records).map(command).collect())
}

#[inline(never)]
fn measured_encode(entry: &Entry) -> Bytes {
    entry.encode_to_vec().into()
}

fn encode() {
    black_box(measured_encode(&next(BATCH)));
}

#[inline(never)]
fn measured_apply(rows: &Memory, tip: &Tip, entry: &Bytes) -> Applied {
    apply(rows, tip, entry).expect("a sound entry")
}

fn apply_of(records: u64) -> Applied {
    let (rows, tip) = made::ledger(BEFORE);
    let applied = measured_apply(&rows, &tip, &encoded(next(records)));
    assert_eq!(applied.effects.size, tip.size() + records, "each is a leaf");
    applied
}

/// Encoding is no part of applying.
fn encoded(entry: Entry) -> Bytes {
    entry.encode_to_vec().into()
}

fn apply_one() {
    black_box(apply_of(1));
}

fn apply_batch() {
    black_box(apply_of(BATCH));
}

#[inline(never)]
fn measured_tile(tip: &mut Tip, hashes: &[Digest]) -> usize {
    hashes.iter().map(|hash| tip.push(*hash)).sum()
}

fn tile() {
    let mut tip = Tip::empty();
    let hashes: Vec<_> = (0..256_u32).map(|n| Digest::of(&n.to_be_bytes())).collect();
    assert_eq!(black_box(measured_tile(&mut tip, &hashes)), 1, "one tile is full");
}

#[inline(never)]
fn measured_prove(rows: &Memory, tip: &Tip, from: u64) -> Vec<Vec<Digest>> {
    let prover = Prover::new(rows, tip);
    (from..tip.size()).map(|seq| prover.inclusion(Seq(seq), tip.size()).expect("a leaf")).collect()
}

fn prove() {
    let (rows, tip) = made::ledger(BEFORE);
    black_box(measured_prove(&rows, &tip, tip.size() - BATCH));
}
