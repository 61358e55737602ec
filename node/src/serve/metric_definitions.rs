//! Metrics of listeners and of the log's state.

use crate::consensus::ConsensusStatus;
use crate::tls::Plane;

/// Open connections, by `plane`.
pub const CONNECTIONS: &str = "kho_connections";
/// Connections that came to nothing, by `plane` and `reason`.
pub const REJECTED: &str = "kho_connections_rejected_total";
const TERM: &str = "kho_raft_term";
const LEADS: &str = "kho_raft_leads";
const LAST_LOG: &str = "kho_raft_last_log_index";
const COMMITTED: &str = "kho_raft_committed_index";
const APPLIED: &str = "kho_raft_applied_index";
const PURGED: &str = "kho_raft_purged_index";
const SNAPSHOT: &str = "kho_raft_snapshot_index";
const TREE_SIZE: &str = "kho_tree_size";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(CONNECTIONS, "open connections");
    metrics::describe_counter!(REJECTED, "connections that came to nothing");
    metrics::describe_gauge!(TERM, "Raft term");
    metrics::describe_gauge!(LEADS, "1 while this node leads");
    metrics::describe_gauge!(LAST_LOG, "last log index");
    metrics::describe_gauge!(COMMITTED, "committed log index");
    metrics::describe_gauge!(APPLIED, "applied log index");
    metrics::describe_gauge!(PURGED, "purged log index");
    metrics::describe_gauge!(SNAPSHOT, "log index of the last snapshot");
    metrics::describe_gauge!(TREE_SIZE, "leaves of the log's tree");
}

/// One more or one less connection of a plane.
pub(super) struct Connection(Plane);

impl Connection {
    pub fn open(plane: Plane) -> Self {
        metrics::gauge!(CONNECTIONS, "plane" => plane.as_str()).increment(1);
        Self(plane)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS, "plane" => self.0.as_str()).decrement(1);
    }
}

/// A connection that came to nothing.
pub(super) fn rejected(plane: Plane, reason: &'static str) {
    metrics::counter!(REJECTED, "plane" => plane.as_str(), "reason" => reason).increment(1);
}

/// Sets the gauges of the log.
pub(super) fn observe(status: &ConsensusStatus, tree_size: u64) {
    metrics::gauge!(TERM).set(status.term.0 as f64);
    metrics::gauge!(LEADS).set(if status.leader == Some(status.node_id) { 1.0 } else { 0.0 });
    metrics::gauge!(LAST_LOG).set(status.last_log.0 as f64);
    metrics::gauge!(COMMITTED).set(status.committed.0 as f64);
    metrics::gauge!(APPLIED).set(status.applied.0 as f64);
    metrics::gauge!(PURGED).set(status.purged.0 as f64);
    metrics::gauge!(SNAPSHOT).set(status.snapshot.0 as f64);
    metrics::gauge!(TREE_SIZE).set(tree_size as f64);
}
