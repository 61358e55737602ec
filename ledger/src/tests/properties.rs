//! What holds for every history.

use std::cell::RefCell;

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::Seq;
use kho_proto::leaf::Leaf;
use kho_proto::merkle::{root_of, verify_consistency, verify_inclusion};
use kho_proto::pb::ledger::v1::Entry;
use proptest::prelude::*;
use proptest::sample::Index;

use super::build::*;
use super::history::{histories, histories_that_keep, run, run_to};
use crate::view::Row;
use crate::{Changes, Outcome, Prover, Table, Tip, View, ViewError, apply, entry_end, read, rewind};

fn leaf_hashes(ledger: &Ledger) -> Vec<Digest> {
    let leaves = ledger.rows.rows().filter(|(table, _, _)| *table == Table::Leaves);
    leaves.map(|(_, _, value)| Leaf::decode(value).expect("a leaf").hash()).collect()
}

fn rewound(ledger: &Ledger, size: u64) -> Ledger {
    let mut ledger = ledger.clone();
    let changes = rewind(&ledger.rows, &ledger.tip, size).expect("a sound state");
    ledger.rows.write(&changes);
    ledger.tip = Tip::load(&ledger.rows).expect("a sound state");
    ledger
}

/// A view that counts its calls.
struct Counting<'a>(&'a dyn View, RefCell<u64>);

impl View for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        *self.1.borrow_mut() += 1;
        self.0.get(table, key)
    }
    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        *self.1.borrow_mut() += 1;
        self.0.at_or_after(table, prefix, key)
    }
    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        *self.1.borrow_mut() += 1;
        self.0.before(table, prefix, key)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Same entries, same changes: with the tip carried along, and with the tip reloaded from rows at any entry.
    #[test]
    fn apply_is_a_function_of_rows_and_entry(entries in histories(), reload in any::<u64>()) {
        let (mut carried, mut reloaded) = (Ledger::empty(), Ledger::empty());
        for (n, entry) in entries.iter().enumerate() {
            if reload >> (n % 64) & 1 == 1 {
                reloaded.tip = Tip::load(&reloaded.rows).expect("a sound state");
            }
            let bytes = encoded(entry);
            let one = apply(&carried.rows, &carried.tip, &bytes).expect("applies");
            let two = apply(&reloaded.rows, &reloaded.tip, &bytes).expect("applies");
            prop_assert_eq!(&one, &two);
            let mut rows: Vec<_> = one.changes.iter().map(|change| match change {
                crate::Change::Put { table, key, .. } | crate::Change::Delete { table, key } => (*table, key.clone()),
            }).collect();
            let count = rows.len();
            rows.sort();
            rows.dedup();
            prop_assert_eq!(rows.len(), count, "a row changed twice");
            for (ledger, applied) in [(&mut carried, one), (&mut reloaded, two)] {
                ledger.rows.write(&applied.changes);
                ledger.tip = applied.tip;
            }
            prop_assert_eq!(&Tip::load(&carried.rows).expect("a sound state"), &carried.tip);
        }
    }

    #[test]
    fn the_tree_is_the_one_over_the_leaves(entries in histories(), at in any::<Index>(), end in any::<Index>()) {
        let (ledger, effects) = run(&entries);
        let hashes = leaf_hashes(&ledger);
        let size = ledger.tip.size();
        prop_assert_eq!(hashes.len() as u64, size);
        prop_assert_eq!(root_of(&hashes), ledger.tip.root());
        for effects in &effects {
            prop_assert_eq!(root_of(&hashes[..effects.size as usize]), effects.root);
        }
        if size > 0 {
            let prover = Prover::new(&ledger.rows, &ledger.tip);
            let seq = at.index(size as usize) as u64;
            let within = seq + 1 + end.index((size - seq) as usize) as u64;
            let root = prover.root_at(within).expect("in range");
            prop_assert_eq!(root, root_of(&hashes[..within as usize]));
            let proof = prover.inclusion(Seq(seq), within).expect("in range");
            prop_assert_eq!(verify_inclusion(&hashes[seq as usize], seq, within, &proof, &root), Ok(()));
            let proof = prover.consistency(within, size).expect("in range");
            prop_assert_eq!(verify_consistency(within, size, &root, &ledger.tip.root(), &proof), Ok(()));
            prop_assert!(prover.root_at(size + 1).is_err() && prover.inclusion(Seq(within), within).is_err());
        }
    }

    /// One id, one leaf: accepted once, and what was accepted comes back as a duplicate that changes nothing.
    #[test]
    fn what_was_accepted_is_never_accepted_again(entries in histories()) {
        let (mut ledger, effects) = run(&entries);
        let mut again = Vec::new();
        let mut expect = Vec::new();
        for (entry, effects) in entries.iter().zip(&effects) {
            for (command, outcome) in entry.commands.iter().zip(&effects.outcomes) {
                if let (Outcome::Accepted { seq, leaf }, false) = (outcome, accepted(outcome) == Some(Seq(0))) {
                    prop_assert_eq!(read::leaf(&ledger.rows, *seq).expect("sound"), Some(*leaf));
                    prop_assert_eq!(entry_end(&ledger.rows, *seq).expect("sound"), Some(effects.size));
                    again.push(command.clone());
                    expect.push(Outcome::Duplicate { seq: *seq });
                }
            }
        }
        let mut ids: Vec<_> = ledger.rows.rows().filter(|row| row.0 == Table::Records).map(|row| row.1.clone()).collect();
        ids.dedup();
        prop_assert_eq!(ids.len(), expect.len());
        let before = ledger.rows.clone();
        let again = Entry { version: 2, ..entry_of(1_593_568_800_000, again) };
        prop_assert_eq!(ledger.apply_entry(&again).outcomes, expect);
        prop_assert_eq!(ledger.rows, before);
    }

    #[test]
    fn rewinding_is_never_having_gone_on(entries in histories_that_keep(), to in any::<Index>(), by in any::<Index>()) {
        let (ledger, effects) = run(&entries);
        let size = to.index(ledger.tip.size() as usize + 1) as u64;
        let expect = run_to(&entries, &effects, size);
        let direct = rewound(&ledger, size);
        prop_assert_eq!(&direct.rows, &expect.rows);
        prop_assert_eq!(&direct.tip, &expect.tip);
        // In two steps as in one.
        let middle = size + by.index((ledger.tip.size() - size) as usize + 1) as u64;
        prop_assert_eq!(&rewound(&rewound(&ledger, middle), size).rows, &expect.rows);
        prop_assert_eq!(rewind(&expect.rows, &expect.tip, size).expect("sound"), Changes::default());
        prop_assert!(rewind(&ledger.rows, &ledger.tip, ledger.tip.size() + 1).is_err());
    }

    /// Where entries are cut does not matter to anything but the ends of entries.
    #[test]
    fn an_entry_in_two_pieces_is_the_same_entry(entries in histories(), at in any::<Index>()) {
        let halves: Vec<Entry> = entries.iter().flat_map(|entry| {
            let (first, second) = entry.commands.split_at(at.index(entry.commands.len() + 1));
            [first, second].map(|commands| Entry { commands: commands.to_vec(), ..entry.clone() })
        }).collect();
        let ((whole, _), (cut, _)) = (run(&entries), run(&halves));
        prop_assert_eq!(&whole.tip, &cut.tip);
        let rows = |ledger: &Ledger| -> Vec<(Table, Bytes, Bytes)> {
            let rows = ledger.rows.rows().filter(|row| row.0 != Table::Sizes);
            rows.map(|(table, key, value)| (table, key.clone(), value.clone())).collect()
        };
        prop_assert_eq!(rows(&whole), rows(&cut));
    }

    #[test]
    fn apply_answers_any_bytes(noise in prop::collection::vec(any::<u8>(), 0..300), entries in histories(), at in any::<Index>(), flips in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let (ledger, _) = run(&entries);
        let _ = apply(&ledger.rows, &ledger.tip, &noise.clone().into());
        let mut bytes = encoded(&entries[at.index(entries.len())]).to_vec();
        for (place, byte) in flips {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= byte;
            }
        }
        let bytes = Bytes::from(bytes);
        let (one, two) = (apply(&ledger.rows, &ledger.tip, &bytes), apply(&ledger.rows, &ledger.tip, &bytes));
        prop_assert_eq!(one.ok(), two.ok());
    }
}

/// A thousand records of one unit read its key and certificate once.
#[test]
fn reads_per_record_are_bounded() {
    let ledger = Ledger::formed(&["BYT"]);
    let commands = (0..1000).map(|n| record(n, "BYT").command()).collect();
    let view = Counting(&ledger.rows, RefCell::new(0));
    apply(&view, &ledger.tip, &encoded(&entry_of(1, commands))).expect("applies");
    // Record and series of each, one key, one certificate until it is in the entry.
    let reads = view.1.into_inner();
    assert!(reads <= 2 * 1000 + 2, "{reads} reads");
}
