//! The public log: paths of anybody's choosing, against a small tree; bundles as a server sends them.

use std::sync::OnceLock;

use kho_ledger::memory::Memory;
use kho_ledger::{Tip, publish};
use kho_proto::tlog::{Bundle, Resource, Tile};

use crate::vectors;

/// A ledger of one entry.
fn ledger() -> &'static (Memory, Tip) {
    static LEDGER: OnceLock<(Memory, Tip)> = OnceLock::new();
    LEDGER.get_or_init(|| {
        let (mut rows, mut tip) = (Memory::new(), Tip::empty());
        let entry = vectors::bytes(&vectors::command()["entry"]).into();
        rows.apply(&mut tip, &entry).expect("the vectors' entry begins a cluster");
        (rows, tip)
    })
}

/// A path: it has one text, and what is there has as many bytes as its width says, exactly if the tree is so large.
pub fn path(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(resource) = text.parse::<Resource>() else { return false };
    assert_eq!(resource.to_string(), text, "one text for each resource");
    let (rows, tip) = ledger();
    match resource {
        Resource::Checkpoint => {}
        Resource::Tile(tile) => {
            let found = publish::tile(rows, tip, tile).expect("a sound state");
            assert_eq!(found.map(|bytes| bytes.len()), tile.is_in(tip.size()).then(|| 32 * usize::from(tile.width)));
        }
        Resource::Entries(bundle) => {
            let found = publish::bundle(rows, tip, bundle).expect("a sound state");
            let leaves = Tile { level: 0, index: bundle.index, width: bundle.width };
            assert_eq!(found.is_some(), leaves.is_in(tip.size()));
            if let Some(found) = found {
                assert_eq!(bundle.decode(&found).map(|leaves| leaves.len()), Ok(bundle.width.into()));
            }
        }
    }
    true
}

/// Input: width less one (1), then a bundle of at least so many entries: they are what its bytes begin with.
pub fn bundle(bytes: &[u8]) -> bool {
    let Some((width, bytes)) = bytes.split_first() else { return false };
    let bundle = Bundle { index: 0, width: u16::from(*width) + 1 };
    let Ok(entries) = bundle.decode(bytes) else { return false };
    assert_eq!(entries.len(), usize::from(bundle.width));
    assert!(bytes.starts_with(&Bundle::encode(entries)), "what is read is what stands there");
    true
}
