//! Narrow doors for `fuzz/`: what decodes bytes from a disk or a peer. Each answers with the bytes that its value encodes
//! to again, or why there is none.

use bytes::Bytes;
use kho_proto::pb::peer::v1 as pb;
use prost::Message;

use super::types::{LogId, StoredMembership, Vote};
use super::{codec, wire};
use crate::snapshot::manifest;

/// Prefix of node-local metadata, for bodies that a fuzzer made.
pub use super::codec::seal;

type Decoded = Result<Vec<u8>, String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// A log entry, as it stands in the log and travels.
pub fn log_entry(bytes: &[u8]) -> Decoded {
    let entry = wire::decode_entry(Bytes::copy_from_slice(bytes)).map_err(text)?;
    Ok(wire::encode_entry(&entry).to_vec())
}

/// Node-local metadata: vote, log id, membership.
pub fn metadata(kind: u8, bytes: &[u8]) -> Decoded {
    match kind % 3 {
        0 => codec::decode::<Vote>(bytes).map(|value| codec::encode(&value)),
        1 => codec::decode::<Option<LogId>>(bytes).map(|value| codec::encode(&value)),
        _ => codec::decode::<StoredMembership>(bytes).map(|value| codec::encode(&value)),
    }
    .map_err(text)
}

/// A snapshot's manifest with its position and membership.
pub fn snapshot_manifest(bytes: &[u8]) -> Decoded {
    let message = pb::SnapshotManifest::decode(bytes).map_err(text)?;
    manifest::check(&message).map_err(text)?;
    let meta = wire::meta_from_pb(message.meta.as_ref().ok_or("no meta")?).map_err(text)?;
    Ok(pb::SnapshotManifest { meta: Some(wire::meta_to_pb(&meta)), ..message }.encode_to_vec())
}

/// A request to append, as a peer sends it.
pub fn append_request(bytes: &[u8]) -> Decoded {
    let message = pb::AppendRequest::decode(bytes).map_err(text)?;
    let origin = message.origin.clone().unwrap_or_default();
    Ok(wire::append_to_pb(origin, wire::append_from_pb(message).map_err(text)?).encode_to_vec())
}

/// A follower's answer to it.
pub fn append_response(bytes: &[u8]) -> Decoded {
    let message = pb::AppendResponse::decode(bytes).map_err(text)?;
    let epoch = message.epoch;
    Ok(wire::appended_to_pb(epoch, &wire::appended_from_pb(message).map_err(text)?).encode_to_vec())
}
