use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Checkpoint, Origin};
use crate::digest::Digest;
use crate::error::Code;
use crate::id::{ClusterId, Epoch};
use crate::merkle::{
    Frontier, TILE_WIDTH, consistency_proof, inclusion_proof, leaf_hash, root_of, verify_consistency, verify_inclusion,
};

/// Sizes on both sides of what fills a tile of a level.
const SIZES: [u64; 13] = [1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_793];

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(format!("leaf {n}").as_bytes())).collect()
}

/// All tiles over these leaves, level by level, as the specification says.
fn published(leaves: &[Digest]) -> Vec<(Tile, Vec<u8>)> {
    let mut tiles = Vec::new();
    let mut row = leaves.to_vec();
    for level in 0.. {
        if row.is_empty() {
            break;
        }
        for (index, hashes) in (0..).zip(row.chunks(TILE_WIDTH)) {
            let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            tiles.push((Tile { level, index, width: hashes.len() as u16 }, bytes));
        }
        row = row.as_chunks::<TILE_WIDTH>().0.iter().map(|full| root_of(full)).collect();
    }
    tiles
}

/// The tiles of `leaves` that a comparison wants.
fn got(leaves: &[Digest], old: u64) -> Tiles {
    let size = leaves.len() as u64;
    let wanted = tiles_to_compare(old, size);
    let mut tiles = Tiles::of_size(size);
    for (tile, bytes) in published(leaves).into_iter().filter(|(tile, _)| wanted.contains(tile)) {
        tiles.insert(tile, &bytes).expect("a tile");
    }
    tiles
}

fn checkpoint(leaves: &[Digest]) -> Checkpoint {
    let origin = Origin::new(ClusterId([1; 16]), Epoch(1), Digest::of(b"genesis"));
    Checkpoint { origin, size: leaves.len() as u64, root: root_of(leaves) }
}

#[test]
fn every_path_has_one_text() {
    let full = |level, index| Resource::Tile(Tile { level, index, width: 256 });
    let entries = |index, width| Resource::Entries(Bundle { index, width });
    let good = [
        ("checkpoint", Resource::Checkpoint),
        ("tile/0/000", full(0, 0)),
        ("tile/63/001", full(63, 1)),
        ("tile/1/999", full(1, 999)),
        ("tile/0/x001/000", full(0, 1000)),
        ("tile/0/x001/x234/067", full(0, 1_234_067)),
        ("tile/0/x018/x446/x744/x073/x709/x551/615", full(0, u64::MAX)),
        ("tile/0/x001/x234/067.p/8", Resource::Tile(Tile { level: 0, index: 1_234_067, width: 8 })),
        ("tile/2/000.p/255", Resource::Tile(Tile { level: 2, index: 0, width: 255 })),
        ("tile/entries/000", entries(0, 256)),
        ("tile/entries/x001/x234/067", entries(1_234_067, 256)),
        ("tile/entries/001.p/1", entries(1, 1)),
    ];
    for (text, resource) in good {
        assert_eq!(text.parse(), Ok(resource));
        assert_eq!(resource.to_string(), text);
    }
    let malformed = [
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0//",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1234",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/256/000",
        "tile//000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/8/0/000",
        "tile/0/x000",
        "tile/0/x001",
        "tile/0/x000/001",
        "tile/0/x000/x001/001",
        "tile/0/001/000",
        "tile/0/X001/000",
        "tile/0/x01/000",
        "tile/0/x1/000",
        "tile/0/xx01/000",
        "tile/0/x001//000",
        "tile/0//000",
        "tile/0/000/",
        "tile/0/+01",
        "tile/0/-01",
        "tile/0/\u{0661}",
        "tile/0/00%30",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/65537",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/.p/1",
        "tile/0/x001.p/1/000",
        "tile/entries/",
        "tile/entries/1",
        "tile/entries/000.p/256",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
        "tile/../checkpoint",
    ];
    for text in malformed {
        let error = text.parse::<Resource>().expect_err(text);
        assert_eq!(error.code(), Code::LogPathMalformed, "{text}");
    }
    for text in ["", "/", "checkpoint/", "/checkpoint", "Checkpoint", "tile", "tiles/0/000", "metrics", "x\n"] {
        let error = text.parse::<Resource>().expect_err(text);
        assert_eq!(error.code(), Code::LogPathUnknown, "{text}");
    }
    let longest = Resource::Entries(Bundle { index: u64::MAX, width: 255 }).to_string();
    assert_eq!(longest.len(), PATH_LENGTH_MAX);
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(entries: bool, level in 0u8..64, index: u64, width in 1u16..=256) {
        let resource =
            if entries { Resource::Entries(Bundle { index, width }) } else { Resource::Tile(Tile { level, index, width }) };
        prop_assert_eq!(resource.to_string().parse(), Ok(resource));
    }

    #[test]
    fn what_reads_is_printed_as_it_was(text in "tile/(0?[0-9]|6[0-9]|entries)(/x[0-9]{2,4}){0,3}/[0-9]{2,4}(\\.p/[0-9]{1,3})?") {
        if let Ok(resource) = text.parse::<Resource>() {
            prop_assert_eq!(resource.to_string(), text);
        }
    }

    #[test]
    fn bundles_read_back_and_nothing_else_does(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..257), cut in any::<prop::sample::Index>()) {
        let bytes = Bundle::encode(&entries);
        let bundle = Bundle { index: 0, width: entries.len() as u16 };
        let read: Vec<Vec<u8>> = bundle.decode(&bytes).expect("a bundle").into_iter().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(&read, &entries);
        let narrower = Bundle { width: 1 + cut.index(entries.len()) as u16, ..bundle };
        prop_assert_eq!(narrower.decode(&bytes).expect("a wider bundle").len(), usize::from(narrower.width));
        // whatever it is cut down to, it has fewer entries or ends within one
        prop_assert!(bundle.decode(&bytes[..cut.index(bytes.len())]).is_err());
    }
}

#[test]
fn a_bundle_has_at_most_256_entries() {
    let bundle = Bundle { index: 0, width: 256 };
    assert_eq!(bundle.decode(&Bundle::encode([b"x"; 256])).expect("a full bundle").len(), 256);
    let error = bundle.decode(&Bundle::encode([b"x"; 257])).expect_err("too many");
    assert_eq!((error, error.code()), (BundleError::Count { expected: 256, found: 257 }, Code::LogTilesInvalid));
    let cut = bundle.decode(&[0]).expect_err("half a length");
    assert_eq!(cut, BundleError::Cut { entry: 0, expected: 2, found: 1 });
    assert_eq!(Bundle::holding(255, 256), Some(Bundle { index: 0, width: 256 }));
    assert_eq!(Bundle::holding(256, 257), Some(Bundle { index: 1, width: 1 }));
    assert_eq!(Bundle::holding(256, 256), None);
}

#[test]
fn a_tree_has_the_tiles_of_the_specification() {
    let at = |level, index, size| Tile::at(level, index, size).map(|tile| tile.width);
    // the example of the specification: 273 full tiles and one of 112; one full and one of 17; one of 1
    let size = 70_000;
    assert_eq!([at(0, 272, size), at(0, 273, size), at(0, 274, size)], [Some(256), Some(112), None]);
    assert_eq!([at(1, 0, size), at(1, 1, size), at(1, 2, size)], [Some(256), Some(17), None]);
    assert_eq!([at(2, 0, size), at(2, 1, size), at(3, 0, size)], [Some(1), None, None]);
    assert_eq!([at(0, 0, 256), at(1, 0, 256), at(0, 1, 256)], [Some(256), Some(1), None]);
    assert_eq!([at(0, 0, 0), at(7, 0, u64::MAX), at(8, 0, u64::MAX)], [None, Some(255), None]);
    assert_eq!(at(0, u64::MAX, u64::MAX), None);
    assert!(
        Tile { level: 0, index: 273, width: 112 }.is_in(size) && !Tile { level: 0, index: 273, width: 113 }.is_in(size)
    );
}

#[test]
fn proofs_come_out_of_tiles() {
    let all = leaves(SIZES[SIZES.len() - 1]);
    for size in SIZES {
        let hashes = &all[..size as usize];
        let root = root_of(hashes);
        let mut tiles = Tiles::of_size(size);
        for (tile, bytes) in published(hashes) {
            tiles.insert(tile, &bytes).expect("a tile");
        }
        let frontier = Frontier::at(&tiles, size).expect("all tiles are there");
        assert_eq!((frontier.size(), frontier.root()), (size, root));
        assert_eq!(Frontier::of_peaks(size, frontier.peaks().to_vec()), Some(frontier.clone()));
        assert_eq!(
            Frontier::of_peaks(size + 1, frontier.peaks().to_vec()).is_some(),
            size.count_ones() == (size + 1).count_ones()
        );
        for index in [0, size / 2, size - 1] {
            let proof = inclusion_proof(&tiles, index, size).expect("all tiles are there");
            assert_eq!(
                verify_inclusion(&hashes[index as usize], index, size, &proof, &root),
                Ok(()),
                "{index} of {size}"
            );
        }
        for old in SIZES.into_iter().filter(|old| *old <= size) {
            let proof = consistency_proof(&tiles, old, size).expect("all tiles are there");
            let old_root = root_of(&all[..old as usize]);
            assert_eq!(verify_consistency(old, size, &old_root, &root, &proof), Ok(()), "{old} in {size}");
        }
    }
}

#[test]
fn a_fork_is_told_from_tiles_that_are_wrong() {
    let all = leaves(SIZES[SIZES.len() - 1]);
    for (old, new) in
        [(1, 2), (3, 257), (255, 256), (256, 257), (256, 513), (257, 65_537), (65_536, 65_537), (65_535, 65_793)]
    {
        let (before, after) = (&all[..old], &all[..new]);
        let (old_point, new_point) = (checkpoint(before), checkpoint(after));
        let tiles = got(after, old as u64);
        let consistent = compare(&tiles, &old_point, &new_point).expect("the right tiles");
        let Comparison::Consistent { proof } = &consistent else { panic!("{old} in {new}: {consistent:?}") };
        assert_eq!(verify_consistency(old as u64, new as u64, &old_point.root, &new_point.root, proof), Ok(()));

        // the log took another leaf back, before the older checkpoint's end
        for changed in [0, old / 2, old - 1] {
            let mut forked = after.to_vec();
            forked[changed] = leaf_hash(b"another");
            let fork = checkpoint(&forked);
            let Ok(Comparison::Forked { proof, root }) = compare(&got(&forked, old as u64), &old_point, &fork) else {
                panic!("{old} in {new}, leaf {changed}")
            };
            assert_eq!(root, root_of(&forked[..old]));
            // the evidence stands without tiles
            assert_eq!(verify_consistency(old as u64, new as u64, &root, &fork.root, &proof), Ok(()));
            // tiles of the honest tree prove nothing about the fork
            let error = compare(&tiles, &old_point, &fork).expect_err("other tiles");
            assert_eq!(error.code(), Code::LogTilesInvalid);
        }
    }
}

#[test]
fn equal_sizes_and_the_empty_tree_need_no_tiles() {
    let none = Tiles::of_size(0);
    let (five, empty) = (checkpoint(&leaves(5)), checkpoint(&[]));
    assert!(tiles_to_compare(5, 5).is_empty() && tiles_to_compare(0, 300).is_empty());
    let consistent = Ok(Comparison::Consistent { proof: Vec::new() });
    assert_eq!(compare(&none, &five, &five), consistent);
    assert_eq!(compare(&none, &empty, &five), consistent);
    let other = Checkpoint { root: Digest::of(b"another"), ..five.clone() };
    assert_eq!(compare(&none, &other, &five), Ok(Comparison::Forked { proof: Vec::new(), root: five.root }));
    assert_eq!(compare(&none, &five, &empty).map_err(|error| error.code()), Err(Code::LogShrank));
}

#[test]
fn missing_and_malformed_tiles_are_named() {
    let all = leaves(300);
    let (old, new) = (checkpoint(&all[..10]), checkpoint(&all));
    let error = compare(&Tiles::of_size(300), &old, &new).expect_err("no tiles");
    assert_eq!(error.to_string(), "expected tile/0/000, found none");
    let mut tiles = Tiles::of_size(300);
    let tile = Tile { level: 0, index: 1, width: 44 };
    let error = tiles.insert(tile, &[0; 31]).expect_err("no tile");
    assert_eq!(error.to_string(), "tile/0/001.p/44: expected 1408 bytes, found 31");
    assert_eq!(tiles.insert(tile, &[0; 32 * 256]), Ok(()), "the full one serves as well");
}
