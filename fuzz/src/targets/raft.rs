//! What a disk or a peer hands to consensus. What is taken encodes to something that is taken again, and then to the same.

use std::path::Path;

use kho_node::consensus::fuzz::{
    append_request, append_response, log_entry as entry, metadata as decode_metadata, seal, snapshot_manifest,
};

use kho_proto::pb::peer::v1::SnapshotManifest;
use prost::Message;

fn stable(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<Vec<u8>, String>) -> bool {
    let Ok(once) = decode(bytes) else { return false };
    let twice = decode(&once).expect("what this version wrote, it reads");
    assert_eq!(once, twice, "one value has one encoding");
    true
}

/// A log entry.
pub fn log_entry(bytes: &[u8]) -> bool {
    stable(bytes, entry)
}

/// Input: kind (1), then what stands on disk; from kind 128 on the body, to which the checksum is made.
pub fn metadata(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    let bytes = if *kind < 128 { rest.to_vec() } else { seal(rest) };
    stable(&bytes, |bytes| decode_metadata(*kind, bytes))
}

/// A snapshot's manifest: none leads out of its directory.
pub fn manifest(bytes: &[u8]) -> bool {
    let taken = stable(bytes, snapshot_manifest);
    if taken {
        let manifest = SnapshotManifest::decode(bytes).expect("it was taken");
        for file in &manifest.files {
            let plain = Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
            assert!(plain, "a file of a snapshot is called {:?}", file.name);
        }
    }
    taken
}

/// Input: 0 for a request, 1 for an answer (1), then the message.
pub fn message(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        Some((0, message)) => stable(message, append_request),
        Some((1, message)) => stable(message, append_response),
        _ => false,
    }
}
