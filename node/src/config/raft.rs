//! Timing of the consensus.

use serde::Deserialize;

use super::error::{Error, within};

/// Timing of the consensus, and when to make snapshots.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftConfig {
    /// Between heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest time without a heartbeat before an election, in milliseconds.
    pub election_timeout_min_ms: u64,
    /// Longest, in milliseconds.
    pub election_timeout_max_ms: u64,
    /// Bytes of log after which a snapshot is made.
    pub snapshot_bytes: u64,
    /// Age of the log in seconds after which a snapshot is made.
    pub snapshot_age_s: u64,
}

impl RaftConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("raft.heartbeat_ms", self.heartbeat_ms, 10, 5_000)?;
        // One lost heartbeat must not yet mean an election.
        within("raft.election_timeout_min_ms", self.election_timeout_min_ms, 2 * self.heartbeat_ms, 60_000)?;
        within(
            "raft.election_timeout_max_ms",
            self.election_timeout_max_ms,
            self.election_timeout_min_ms + 1,
            120_000,
        )?;
        within("raft.snapshot_bytes", self.snapshot_bytes, 64 << 10, 1 << 50)?;
        within("raft.snapshot_age_s", self.snapshot_age_s, 1, 366 * 24 * 60 * 60)
    }
}
