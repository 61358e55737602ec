//! Metrics of clocks. R-D4.

use std::collections::BTreeMap;

use kho_proto::id::NodeId;

const OFFSET: &str = "kho_clock_offset_seconds";
const PEER_OFFSET: &str = "kho_clock_peer_offset_seconds";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(OFFSET, metrics::Unit::Seconds, "how far this node's clock is ahead of the median of all");
    metrics::describe_gauge!(
        PEER_OFFSET,
        metrics::Unit::Seconds,
        "how far another node's clock is ahead of this one's"
    );
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

pub(super) fn observe(offset_ms: i64, peers: &BTreeMap<NodeId, i64>) {
    metrics::gauge!(OFFSET).set(seconds(offset_ms));
    for (node, ahead) in peers {
        metrics::gauge!(PEER_OFFSET, "node" => node.to_string()).set(seconds(*ahead));
    }
}
