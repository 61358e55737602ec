//! I1: every acknowledged record is readable, with the same digest, on every healed voter.

use kho_proto::pb::v1::SignedRecord;

use super::{Acknowledged, Breach};

/// What one node said when it was asked for an acknowledged record.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which node.
    pub node: u64,
    /// The record, or the error in words.
    pub answer: Result<SignedRecord, String>,
}

/// Holds one node's answer against the acknowledgement.
pub fn judge(acknowledged: &Acknowledged, seen: &Seen) -> Option<Breach> {
    let (id, node) = (&acknowledged.record_id, seen.node);
    let what = match &seen.answer {
        Err(error) => format!("record {id} was acknowledged and node {node} does not have it: {error}"),
        Ok(found) if found.header != acknowledged.record.header => {
            format!("record {id} on node {node} has another header")
        }
        Ok(found) if found.payload != acknowledged.record.payload => {
            format!("record {id} on node {node} has another payload")
        }
        // one header may be signed twice: a duplicate keeps the first signature
        Ok(found) if found.signature_block != acknowledged.record.signature_block && !acknowledged.duplicate => {
            format!("record {id} on node {node} has another signature block")
        }
        Ok(_) => return None,
    };
    Some(Breach { invariant: "I1", what })
}
