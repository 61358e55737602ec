//! Metrics of clocks, and of a disk that does not answer. R-A2, R-D4.

use std::collections::BTreeMap;
use std::time::Duration;

use kho_proto::id::NodeId;

const OFFSET: &str = "kho_clock_offset_seconds";
const PEER_OFFSET: &str = "kho_clock_peer_offset_seconds";

const STANDING: &str = "kho_log_standing_seconds";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(OFFSET, metrics::Unit::Seconds, "how far this node's clock is ahead of the median of all");
    metrics::describe_gauge!(
        PEER_OFFSET,
        metrics::Unit::Seconds,
        "how far another node's clock is ahead of this one's"
    );
    let standing = "for how long the write of the log that is under way has waited for its disk";
    metrics::describe_gauge!(STANDING, metrics::Unit::Seconds, standing);
}

/// For how long the disk has not answered.
pub(super) fn observe_standstill(standing: Duration) {
    metrics::gauge!(STANDING).set(standing.as_secs_f64());
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
