//! The public log out of the rows: every tile that a tree has, at the sizes where tiles fill.

use std::sync::LazyLock;

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::id::Seq;
use kho_proto::leaf::Leaf;
use kho_proto::merkle::{TILE_WIDTH, leaf_hash, root_of};
use kho_proto::tlog::{Bundle, Comparison, TILE_LEVELS, Tile, Tiles, compare, tiles_to_compare};

use super::build::*;
use crate::{Change, Changes, Prover, Table, publish, read, rewind, table};

/// A tree with two full tiles at level 1 is large for a test: one, and a leaf more than the next tile.
const LEAVES: u64 = 65_793;
const SIZES: [u64; 11] = [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, LEAVES];

/// Ledgers of all sizes, largest first: each the one before, rewound.
static LEDGERS: LazyLock<Vec<Ledger>> = LazyLock::new(|| {
    let mut ledger = Ledger::formed(&["BYT"]);
    while ledger.tip.size() < LEAVES {
        let from = ledger.tip.size();
        ledger.apply((from..LEAVES.min(from + 1000)).map(|n| record(n, "BYT").command()).collect());
    }
    let mut all = vec![ledger.clone()];
    for size in SIZES.into_iter().rev().skip(1) {
        ledger.rows.write(&rewind(&ledger.rows, &ledger.tip, size).expect("sound"));
        ledger.tip = crate::Tip::load(&ledger.rows).expect("sound");
        all.push(ledger.clone());
    }
    all
});

fn tile(ledger: &Ledger, tile: Tile) -> Option<Bytes> {
    publish::tile(&ledger.rows, &ledger.tip, tile).expect("sound")
}

fn bundle(ledger: &Ledger, bundle: Bundle) -> Option<Bytes> {
    publish::bundle(&ledger.rows, &ledger.tip, bundle).expect("sound")
}

#[test]
fn exactly_the_tiles_of_a_size_are_there_and_lead_to_its_root() {
    let mut frontiers = Vec::new();
    for ledger in LEDGERS.iter() {
        let size = ledger.tip.size();
        // level by level: what one holds are the roots of the full tiles below
        let mut below: Vec<Digest> =
            (0..size).map(|seq| read::leaf(&ledger.rows, Seq(seq)).expect("sound").expect("there").hash()).collect();
        for level in 0..TILE_LEVELS {
            for (index, hashes) in (0..).zip(below.chunks(TILE_WIDTH)) {
                let width = hashes.len() as u16;
                assert_eq!(Tile::at(level, index, size), Some(Tile { level, index, width }));
                let bytes = tile(ledger, Tile { level, index, width }).expect("a tile of this tree");
                assert_eq!(bytes, hashes.concat_bytes(), "tile {level} {index} of {size}");
                // and every narrower one, that of a smaller tree
                for narrower in [1, width / 2, width - 1].into_iter().filter(|width| *width > 0) {
                    let found = tile(ledger, Tile { level, index, width: narrower });
                    assert_eq!(found, Some(bytes.slice(..32 * usize::from(narrower))));
                }
                if width < 256 {
                    assert_eq!(tile(ledger, Tile { level, index, width: width + 1 }), None);
                }
            }
            let after = below.len().div_ceil(TILE_WIDTH) as u64;
            for index in [after, after + 1, 1 << 40, u64::MAX] {
                assert_eq!(tile(ledger, Tile { level, index, width: 1 }), None, "tile {level} {index} of {size}");
            }
            below = below.as_chunks::<TILE_WIDTH>().0.iter().map(|full| root_of(full)).collect();
        }
        for level in [TILE_LEVELS, 63, u8::MAX] {
            assert_eq!(tile(ledger, Tile { level, index: 0, width: 1 }), None);
        }
        frontiers.push(size);
    }
    frontiers.reverse();
    assert_eq!(frontiers, SIZES);
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Bytes;
}

impl ConcatBytes for [Digest] {
    fn concat_bytes(&self) -> Bytes {
        self.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

#[test]
fn bundles_hold_the_leaves_that_the_tiles_hash() {
    for ledger in LEDGERS.iter() {
        let size = ledger.tip.size();
        let last = (size - 1) / 256;
        for index in [0, last / 2, last] {
            let place = Bundle::holding(index * 256, size).expect("within the tree");
            let bytes = bundle(ledger, place).expect("a bundle of this tree");
            assert!(bytes.len() <= publish::PUBLISHED_LENGTH_MAX);
            let leaves = place.decode(&bytes).expect("a bundle");
            let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
            let width = place.width;
            assert_eq!(tile(ledger, Tile { level: 0, index, width }), Some(hashes.concat_bytes()), "{index} of {size}");
            for (seq, leaf) in (index * 256..).zip(&leaves) {
                let leaf = Leaf::decode(leaf).expect("a leaf");
                assert_eq!(read::leaf(&ledger.rows, Seq(seq)).expect("sound"), Some(leaf));
            }
            if width < 256 {
                assert_eq!(bundle(ledger, Bundle { width: width + 1, ..place }), None);
                assert_eq!(bundle(ledger, Bundle { width: 256, ..place }), None);
            }
        }
        for index in [last + 1, 1 << 40, u64::MAX / 256, u64::MAX] {
            assert_eq!(bundle(ledger, Bundle { index, width: 1 }), None);
        }
    }
}

/// What a monitor does: two checkpoints, and the tiles between them, asked of the larger tree.
#[test]
fn any_two_sizes_are_proven_consistent_by_the_published_tiles() {
    let largest = &LEDGERS[0];
    let prover = Prover::new(&largest.rows, &largest.tip);
    let origin = largest.tip.origin().expect("formed");
    let point = |size| kho_proto::checkpoint::Checkpoint {
        origin: origin.clone(),
        size,
        root: prover.root_at(size).expect("in range"),
    };
    for new in SIZES {
        for old in SIZES.into_iter().filter(|old| *old <= new) {
            let mut tiles = Tiles::of_size(new);
            for wanted in tiles_to_compare(old, new) {
                tiles.insert(wanted, &tile(largest, wanted).expect("published")).expect("a tile");
            }
            let found = compare(&tiles, &point(old), &point(new)).expect("the right tiles");
            let proof = prover.consistency(old, new).expect("in range");
            assert_eq!(found, Comparison::Consistent { proof }, "{old} in {new}");
        }
    }
}

#[test]
fn a_row_that_is_gone_or_cut_is_an_error_and_not_an_absent_tile() {
    let ledger = &LEDGERS[LEDGERS.len() - 5]; // 257 leaves: one full tile
    assert_eq!(ledger.tip.size(), 257);
    let with = |change| {
        let mut rows = ledger.rows.clone();
        rows.write(&Changes(vec![change]));
        rows
    };
    let key = |key: &[u8]| Bytes::copy_from_slice(key);
    let full = Tile { level: 0, index: 0, width: 256 };
    let (tiles, leaves) = (key(&table::tile_key(0, 0)), key(&table::seq_key(Seq(3))));
    for rows in [
        with(Change::Delete { table: Table::Tiles, key: tiles.clone() }),
        with(Change::Put { table: Table::Tiles, key: tiles, value: Bytes::from_static(&[1; 32]) }),
    ] {
        assert!(publish::tile(&rows, &ledger.tip, full).is_err());
    }
    for rows in [
        with(Change::Delete { table: Table::Leaves, key: leaves.clone() }),
        with(Change::Put { table: Table::Leaves, key: leaves, value: Bytes::from_static(&[1; 32]) }),
    ] {
        assert!(publish::bundle(&rows, &ledger.tip, Bundle { index: 0, width: 256 }).is_err());
    }
}
