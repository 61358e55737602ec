//! What a node said of itself at one moment.

use std::collections::{BTreeMap, BTreeSet};

use kho_proto::pb::admin::v1::NodeStatusResponse;
use serde::{Deserialize, Serialize};

/// A log entry's name. Index 0: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Of the leader that proposed it.
    pub term: u64,
    /// Place in the Raft log.
    pub index: u64,
}

/// A vote as it lies on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vote {
    /// 0: never voted.
    pub term: u64,
    /// For which node.
    pub node: u64,
    /// That node has won.
    pub committed: bool,
}

/// A node's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Microseconds since the history began.
    pub asked_us: u64,
    /// Microseconds since the history began.
    pub answered_us: u64,
    /// Which node.
    pub node: u64,
    /// Counts its processes: what was only in memory may go back from one to the next.
    pub life: u64,
    /// Counts its states: with one that is lost and built anew, its snapshots are lost.
    #[serde(default, skip_serializing_if = "is_first")]
    pub states: u64,
    /// `leader`, `follower`, `candidate`, `learner`, `uninitialized`.
    pub role: String,
    /// Its term; in memory before it is on disk.
    pub term: u64,
    /// Its vote, on disk.
    pub vote: Vote,
    /// Who leads, as far as it knows; 0: nobody.
    pub leader: u64,
    /// Index of the last entry of its log.
    pub last: u64,
    /// Last entry that it knows to be committed.
    pub committed: Entry,
    /// Last entry in its state.
    pub applied: Entry,
    /// Last entry in its newest snapshot.
    pub snapshot: Entry,
    /// Last entry that its log has given up.
    pub purged: Entry,
    /// Leaves.
    pub tree_size: u64,
    /// Root over them, hex.
    pub tree_root: String,
    /// On the leader: what each voter has on disk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matched: BTreeMap<u64, u64>,
    /// Voters are being changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joint: bool,
    /// On the leader: members that lost what they had confirmed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<u64>,
}

impl Observation {
    /// Out of the admin plane's answer.
    pub fn of(status: &NodeStatusResponse, asked_us: u64, answered_us: u64, life: u64) -> Self {
        let entry = |term, index| Entry { term, index };
        let leads = status.role == LEADER;
        let voters = status.peers.iter().filter(|peer| leads && peer.voter);
        Self {
            asked_us,
            answered_us,
            node: status.node_id,
            life,
            states: 0,
            role: status.role.clone(),
            term: status.term,
            vote: Vote { term: status.vote_term, node: status.vote_for, committed: status.vote_committed },
            leader: status.leader_id,
            last: status.last_log,
            committed: entry(status.committed_term, status.committed),
            applied: entry(status.applied_term, status.applied),
            snapshot: entry(status.snapshot_term, status.snapshot),
            purged: entry(status.purged_term, status.purged),
            tree_size: status.tree_size,
            tree_root: hex::encode(&status.tree_root),
            matched: voters.map(|peer| (peer.node_id, peer.matched)).collect(),
            joint: status.joint,
            lost: status.peers.iter().filter(|peer| peer.lost).map(|peer| peer.node_id).collect(),
        }
    }

    /// Whether the node knew of its cluster: before that, and while it starts, it says nothing.
    pub fn formed(&self) -> bool {
        self.role != UNINITIALIZED
    }

    /// Whether it leads, in its own eyes.
    pub fn leads(&self) -> bool {
        self.role == LEADER
    }

    /// The same words as before.
    pub fn repeats(&self, before: &Self) -> bool {
        let Self { asked_us, answered_us, .. } = *self;
        Self { asked_us, answered_us, ..before.clone() } == *self
    }
}

fn is_first(states: &u64) -> bool {
    *states == 0
}

const LEADER: &str = "leader";
const UNINITIALIZED: &str = "uninitialized";
