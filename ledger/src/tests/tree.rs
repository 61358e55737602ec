//! A tree with full tiles at two levels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kho_proto::id::Seq;
use kho_proto::merkle::{Frontier, verify_consistency, verify_inclusion};

use super::build::*;
use crate::{Prover, Raised, RaisedTiles, Table, Tip, View, inclusion, read, rewind};

const ENTRY_RECORDS: u64 = 1000;
const LEAVES: u64 = 66_001;

fn large() -> (Ledger, Vec<kho_proto::digest::Digest>) {
    let mut ledger = Ledger::formed(&["BYT"]);
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    while ledger.tip.size() < LEAVES {
        let from = ledger.tip.size();
        ledger.apply((from..from + ENTRY_RECORDS).map(|n| record(n, "BYT").command()).collect());
    }
    for seq in 0..LEAVES {
        frontier.push(read::leaf(&ledger.rows, Seq(seq)).expect("sound").expect("there").hash());
        roots.push(frontier.root());
    }
    (ledger, roots)
}

#[test]
fn proofs_load_and_rewind_hold_across_tile_levels() {
    let (mut ledger, roots) = large();
    assert_eq!((ledger.tip.size(), ledger.tip.root()), (LEAVES, roots[LEAVES as usize]));
    assert_eq!(ledger.rows.count(Table::Tiles), 257 + 1);
    assert_eq!(Tip::load(&ledger.rows).expect("sound"), ledger.tip);
    let sizes = [1, 2, 255, 256, 257, 4096, 65_535, 65_536, 65_537, 65_792, LEAVES - 1, LEAVES];
    let prover = Prover::new(&ledger.rows, &ledger.tip);
    for size in sizes {
        let root = roots[size as usize];
        assert_eq!(prover.root_at(size).expect("in range"), root, "{size}");
        for seq in [0, size / 3, size / 2, size.saturating_sub(300), size - 1] {
            let proof = prover.inclusion(Seq(seq), size).expect("in range");
            let leaf = read::leaf(&ledger.rows, Seq(seq)).expect("sound").expect("there");
            assert_eq!(verify_inclusion(&leaf.hash(), seq, size, &proof, &root), Ok(()), "{seq} in {size}");
        }
        for old in sizes.into_iter().filter(|old| *old <= size) {
            let proof = prover.consistency(old, size).expect("in range");
            assert_eq!(verify_consistency(old, size, &roots[old as usize], &root, &proof), Ok(()), "{old} in {size}");
        }
    }
    for size in [65_793, 65_536, 65_535, 300] {
        let changes = rewind(&ledger.rows, &ledger.tip, size).expect("sound");
        ledger.rows.write(&changes);
        ledger.tip = Tip::load(&ledger.rows).expect("sound");
        assert_eq!((ledger.tip.size(), ledger.tip.root()), (size, roots[size as usize]));
        assert_eq!(ledger.rows.count(Table::Tiles) as u64, size / 256 + size / 65_536);
        assert_eq!(ledger.rows.count(Table::Records) as u64, size - 1);
    }
}

#[derive(Default)]
struct Kept {
    tiles: Mutex<BTreeMap<(u8, u64), Arc<Raised>>>,
    raised: AtomicUsize,
}

impl RaisedTiles for Kept {
    fn find(&self, level: u8, index: u64) -> Option<Arc<Raised>> {
        self.tiles.lock().expect("no test panicked with it").get(&(level, index)).cloned()
    }

    fn keep(&self, level: u8, index: u64, tile: Arc<Raised>) {
        self.raised.fetch_add(1, Ordering::Relaxed);
        self.tiles.lock().expect("no test panicked with it").insert((level, index), tile);
    }
}

#[test]
fn kept_tiles_are_raised_once_and_count_only_for_their_rows() {
    let mut ledger = Ledger::formed(&["BYT"]);
    ledger.apply((0..600).map(|n| record(n, "BYT").command()).collect());
    let size = ledger.tip.size();
    let kept = Kept::default();
    let (first, last) = (Seq(3), Seq(300));
    for _ in 0..3 {
        for seq in [first, last] {
            let proof = Prover::over(&ledger.rows, &ledger.tip, &kept).inclusion(seq, size).expect("in range");
            assert_eq!(proof, inclusion(&ledger.rows, &ledger.tip, seq, size).expect("in range"), "{seq}");
        }
    }
    assert_eq!(kept.raised.load(Ordering::Relaxed), 2, "tiles 0 and 1, once each");
    let key = Bytes::copy_from_slice(&crate::table::tile_key(0, 0));
    let mut value = ledger.rows.get(Table::Tiles, &key).expect("sound").expect("there").to_vec();
    *value.last_mut().expect("not empty") ^= 1;
    let change = crate::Change::Put { table: Table::Tiles, key, value: value.into() };
    ledger.rows.write(&crate::Changes(vec![change]));
    let proof = Prover::over(&ledger.rows, &ledger.tip, &kept).inclusion(first, size).expect("in range");
    assert_eq!(proof, inclusion(&ledger.rows, &ledger.tip, first, size).expect("in range"), "of the row as it is now");
    assert_eq!(kept.raised.load(Ordering::Relaxed), 3);
}

#[test]
fn a_changed_leaf_or_a_missing_row_is_found_at_load() {
    let mut ledger = Ledger::formed(&["BYT"]);
    ledger.apply((0..300).map(|n| record(n, "BYT").command()).collect());
    let damaged = |table: Table, key: &[u8], value: Option<Vec<u8>>| {
        let mut rows = ledger.rows.clone();
        let key = bytes::Bytes::copy_from_slice(key);
        let change = match value {
            Some(value) => crate::Change::Put { table, key, value: value.into() },
            None => crate::Change::Delete { table, key },
        };
        rows.write(&crate::Changes(vec![change]));
        Tip::load(&rows)
    };
    let mut leaf = read::leaf(&ledger.rows, Seq(299)).expect("sound").expect("there");
    leaf.accepted_at.0 += 1;
    let key = crate::table::seq_key(Seq(299));
    assert!(damaged(Table::Leaves, &key, Some(leaf.encode().to_vec())).is_err());
    assert!(damaged(Table::Leaves, &key, Some(vec![1])).is_err());
    assert!(damaged(Table::Leaves, &key, None).is_err());
    assert!(damaged(Table::Leaves, &crate::table::seq_key(Seq(300)), None).is_err());
    assert!(damaged(Table::Tiles, &crate::table::tile_key(0, 0), None).is_err());
    assert!(damaged(Table::Meta, crate::table::GENESIS_KEY, None).is_err());
    assert!(damaged(Table::Sizes, &crate::table::size_key(301), None).is_err());
}
