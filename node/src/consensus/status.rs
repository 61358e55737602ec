//! What a node knows of its cluster.

use std::collections::{BTreeMap, BTreeSet};

use kho_proto::id::{LogIndex, NodeId, Term};
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::handle::Consensus;
use super::types::{LogId, MemberAddress, Vote};

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Replicates, has no vote; also a node before its cluster is formed.
    Learner,
    /// Follows a leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Shuts down.
    Stopping,
}

impl Role {
    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Learner => "learner",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
            Role::Stopping => "stopping",
        }
    }
}

/// A node's view of consensus. Indexes are 0 where there is nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// This node.
    pub node_id: NodeId,
    /// What it does.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Last entry of its log.
    pub last_log: LogIndex,
    /// Last entry it knows to be committed.
    pub committed: LogIndex,
    /// That entry's term, as of the next three.
    pub committed_term: Term,
    /// Last entry in its state.
    pub applied: LogIndex,
    /// Its term.
    pub applied_term: Term,
    /// Last entry purged from its log.
    pub purged: LogIndex,
    /// Its term.
    pub purged_term: Term,
    /// Last entry in its newest snapshot.
    pub snapshot: LogIndex,
    /// Its term.
    pub snapshot_term: Term,
    /// The vote on its disk: term, for whom, and whether that node won.
    pub vote: (Term, NodeId, bool),
    /// Whether the cluster is formed, as far as it knows.
    pub initialized: bool,
    /// Who votes; while members change, those of before and after.
    pub voters: BTreeSet<NodeId>,
    /// Members are being changed.
    pub joint: bool,
    /// On the leader: members that lost entries which they had confirmed, and must be replaced.
    pub lost: BTreeSet<NodeId>,
    /// Members and where they listen.
    pub members: BTreeMap<NodeId, MemberAddress>,
    /// On the leader: the last entry that each member has on disk.
    pub matched: BTreeMap<NodeId, LogIndex>,
}

/// Before the first it is one in term 0.
fn vote(vote: &Vote) -> (Term, NodeId, bool) {
    (Term(vote.leader_id.term), NodeId(vote.leader_id.voted_for), vote.committed)
}

impl Consensus {
    /// What this node knows now.
    pub fn status(&self) -> ConsensusStatus {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<LogId>| LogIndex(id.map_or(0, |id| id.index()));
        let term = |id: Option<LogId>| Term(id.map_or(0, |id| id.committed_leader_id().term));
        let membership = metrics.membership_config.membership();
        ConsensusStatus {
            node_id: NodeId(metrics.id),
            role: match metrics.state {
                ServerState::Learner => Role::Learner,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Leader => Role::Leader,
                ServerState::Shutdown => Role::Stopping,
            },
            term: Term(metrics.current_term),
            leader: metrics.current_leader.map(NodeId),
            last_log: LogIndex(metrics.last_log_index.unwrap_or(0)),
            committed: index(metrics.local_committed),
            committed_term: term(metrics.local_committed),
            applied: index(metrics.last_applied),
            applied_term: term(metrics.last_applied),
            purged: index(metrics.purged),
            purged_term: term(metrics.purged),
            snapshot: index(metrics.snapshot),
            snapshot_term: term(metrics.snapshot),
            vote: vote(&metrics.vote),
            initialized: membership.voter_ids().next().is_some(),
            voters: membership.voter_ids().map(NodeId).collect(),
            lost: self.inner.network.confirmed.lost(),
            joint: membership.get_joint_config().len() > 1,
            members: membership.nodes().map(|(id, address)| (NodeId(*id), address.clone())).collect(),
            matched: metrics.replication.iter().flatten().map(|(id, matched)| (NodeId(*id), index(*matched))).collect(),
        }
    }
}
