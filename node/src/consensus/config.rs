//! Configuration of consensus, its defaults and their bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kho_proto::id::{ClusterId, Epoch, NodeId};

pub use super::types::MemberAddress;

/// Shortest heartbeat interval, milliseconds: below, heartbeats cost more than they tell.
pub const HEARTBEAT_MS_MIN: u64 = 10;
/// Longest election time-out, milliseconds.
pub const ELECTION_TIMEOUT_MS_MAX: u64 = 60_000;
/// An election time-out is at least this many heartbeats: one may be lost.
pub const ELECTION_HEARTBEATS_MIN: u64 = 2;

/// Times of heartbeats and elections, milliseconds.
///
/// A follower waits for the leader's lease (`election_timeout_max`) and then for a random time between the two
/// time-outs before it asks for votes. With the defaults a new leader is there about 0.5 to 0.7 s after the
/// old one was killed, and a stall of 0.48 s of the whole machine costs no election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between heartbeats.
    pub heartbeat_ms: u64,
    /// Shortest random wait.
    pub election_timeout_min_ms: u64,
    /// Longest random wait, and the leader's lease.
    pub election_timeout_max_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 75, election_timeout_min_ms: 160, election_timeout_max_ms: 320 }
    }
}

/// When a snapshot is made and the log purged. Large, so that a short outage is caught up from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTrigger {
    /// Bytes of log since the last snapshot.
    pub bytes: u64,
    /// Time since the last snapshot.
    pub age: Duration,
    /// Between two looks at bytes and age.
    pub check: Duration,
}

impl Default for SnapshotTrigger {
    fn default() -> Self {
        Self { bytes: 20 << 30, age: Duration::from_secs(24 * 60 * 60), check: Duration::from_secs(10) }
    }
}

/// What a node must know to take part.
#[derive(Debug, Clone)]
pub struct ConsensusConfig {
    /// Cluster.
    pub cluster_id: ClusterId,
    /// This node.
    pub node_id: NodeId,
    /// Primacy; 1 until a site is promoted.
    pub epoch: Epoch,
    /// Data directory of the node; the log's own is `logs/1` in it.
    pub data_dir: PathBuf,
    /// This node took part before, so its log must be there.
    pub took_part: bool,
    /// All members, this node too.
    pub members: BTreeMap<NodeId, MemberAddress>,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// Snapshots.
    pub snapshot: SnapshotTrigger,
}

/// A value out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// Field.
    pub field: &'static str,
    /// Allowed range.
    pub expected: String,
    /// Value.
    pub found: String,
}

fn wrong(field: &'static str, expected: impl Into<String>, found: impl ToString) -> Result<(), ConfigError> {
    Err(ConfigError { field, expected: expected.into(), found: found.to_string() })
}

impl ConsensusConfig {
    /// A configuration with default times and snapshots.
    pub fn new(
        cluster_id: ClusterId,
        node_id: NodeId,
        data_dir: impl Into<PathBuf>,
        members: BTreeMap<NodeId, MemberAddress>,
    ) -> Self {
        Self {
            cluster_id,
            node_id,
            epoch: Epoch(1),
            data_dir: data_dir.into(),
            took_part: false,
            members,
            timing: Timing::default(),
            snapshot: SnapshotTrigger::default(),
        }
    }

    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Timing { heartbeat_ms, election_timeout_min_ms, election_timeout_max_ms } = self.timing;
        if heartbeat_ms < HEARTBEAT_MS_MIN {
            return wrong("raft.heartbeat_ms", format!("at least {HEARTBEAT_MS_MIN}"), heartbeat_ms);
        }
        let shortest = heartbeat_ms * ELECTION_HEARTBEATS_MIN;
        if election_timeout_min_ms < shortest {
            let expected = format!("at least {shortest} ({ELECTION_HEARTBEATS_MIN} heartbeats)");
            return wrong("raft.election_timeout_min_ms", expected, election_timeout_min_ms);
        }
        if election_timeout_max_ms <= election_timeout_min_ms || election_timeout_max_ms > ELECTION_TIMEOUT_MS_MAX {
            let expected = format!("{} to {ELECTION_TIMEOUT_MS_MAX}", election_timeout_min_ms + 1);
            return wrong("raft.election_timeout_max_ms", expected, election_timeout_max_ms);
        }
        if self.snapshot.bytes == 0 {
            return wrong("raft.snapshot_bytes", "at least 1", 0);
        }
        if self.snapshot.age.is_zero() {
            return wrong("raft.snapshot_age_s", "at least 1", 0);
        }
        if !self.members.contains_key(&self.node_id) {
            return wrong("members", format!("an entry for this node, {}", self.node_id), "none");
        }
        Ok(())
    }

    pub(super) fn raft(&self) -> Result<openraft::Config, openraft::ConfigError> {
        let Timing { heartbeat_ms, election_timeout_min_ms, election_timeout_max_ms } = self.timing;
        openraft::Config {
            cluster_name: self.cluster_id.to_string(),
            heartbeat_interval: heartbeat_ms,
            election_timeout_min: election_timeout_min_ms,
            election_timeout_max: election_timeout_max_ms,
            enable_pre_vote: Some(true),
            // Lease and one election time-out; a smaller value would let a cut-off leader keep its followers.
            quorum_loss_probe_interval: Some(2 * election_timeout_max_ms),
            enable_leader_restore: Some(false),
            snapshot_policy: openraft::SnapshotPolicy::Never,
            // Purging is ours (trigger.rs): by count it would know nothing of bytes.
            max_in_snapshot_log_to_keep: u64::MAX,
            // A follower is caught up from the log for as long as the log has what it lacks.
            replication_lag_threshold: u64::MAX,
            install_snapshot_timeout: 60 * 60 * 1000,
            max_payload_entries: 256,
            backoff: "50ms 100ms 200ms ...1s".to_owned(),
            ..openraft::Config::default()
        }
        .validate()
    }
}
