use std::sync::OnceLock;

use kho_proto::digest::Digest;
use kho_proto::merkle::{TILE_WIDTH, consistency_proof, leaf_hash, root_of, verify_consistency};
use kho_proto::tlog::{Bundle, Resource, Tile, Tiles};
use serde_json::{Value, json};

use crate::{bytes, number, refusal, text};

/// As many as the largest case has.
const LEAVES: u64 = 70_000;

#[test]
fn tlog() {
    crate::check("tlog.json", output);
}

fn output(input: &Value) -> Value {
    if input.get("old").is_some() {
        consistency(number(input, "old"), number(input, "new"))
    } else if input.get("size").is_some() {
        tile(number(input, "size"), number(input, "level") as u8, number(input, "index"))
    } else if input.get("bundle").is_some() {
        bundle(&bytes(input, "bundle"))
    } else {
        path(text(input, "path"))
    }
}

fn leaves(size: u64) -> &'static [Digest] {
    static LEAVES_ALL: OnceLock<Vec<Digest>> = OnceLock::new();
    let all = LEAVES_ALL.get_or_init(|| (0..LEAVES).map(|n| leaf_hash(format!("leaf {n}").as_bytes())).collect());
    &all[..size as usize]
}

/// The hashes of a tile: perfect subtrees of as many leaves as its level says.
fn hashes(tile: Tile) -> Vec<u8> {
    let span = TILE_WIDTH.pow(tile.level.into());
    let from = tile.index as usize * TILE_WIDTH * span;
    let perfect = leaves(LEAVES)[from..].chunks(span).take(tile.width.into());
    perfect.flat_map(|leaves| *root_of(leaves).as_bytes()).collect()
}

fn consistency(old: u64, new: u64) -> Value {
    let wanted = Tiles::wanted(new, |tiles| consistency_proof(tiles, old, new).is_ok());
    let mut tiles = Tiles::of_size(new);
    for tile in wanted {
        tiles.insert(tile, &hashes(tile)).expect("a tile");
    }
    let proof = consistency_proof(&tiles, old, new).expect("all tiles that are wanted");
    let (old_root, new_root) = (root_of(leaves(old)), root_of(leaves(new)));
    assert_eq!(verify_consistency(old, new, &old_root, &new_root, &proof), Ok(()));
    let proof: Vec<String> = proof.iter().map(Digest::to_string).collect();
    json!({ "old_root": old_root.to_string(), "new_root": new_root.to_string(), "proof": proof })
}

fn tile(size: u64, level: u8, index: u64) -> Value {
    let tile = Tile::at(level, index, size).expect("a tile of this tree");
    json!({
        "path": Resource::Tile(tile).to_string(),
        "width": tile.width,
        "sha256": Digest::of(&hashes(tile)).to_string(),
    })
}

fn bundle(bytes: &[u8]) -> Value {
    let mut width = 1;
    // as many as there are
    let entries = loop {
        match (Bundle { index: 0, width }).decode(bytes) {
            Ok(entries) if Bundle::encode(&entries) == bytes => break entries,
            Ok(_) => width += 1,
            Err(error) => return refusal(error.code()),
        }
    };
    json!({ "entries": entries.iter().map(hex::encode).collect::<Vec<_>>() })
}

fn path(text: &str) -> Value {
    match text.parse() {
        Ok(Resource::Tile(tile)) => {
            json!({ "level": tile.level, "index": tile.index.to_string(), "width": tile.width })
        }
        Ok(Resource::Entries(bundle)) => {
            json!({ "level": "entries", "index": bundle.index.to_string(), "width": bundle.width })
        }
        Ok(Resource::Checkpoint) => json!({}),
        Err(error) => refusal(error.code()),
    }
}
