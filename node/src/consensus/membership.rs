//! Replacing a member: the new node learns all there is, then takes the old one's vote, in one joint change.
//!
//! A step at a time, and each may be repeated: whoever asks goes on asking until it is done, also after a change of leader.

use std::collections::BTreeSet;
use std::time::Duration;

use kho_proto::id::{LogIndex, NodeId};
use openraft::Instant;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};

use super::handle::Consensus;
use super::types::{MemberAddress, TypeConfig};

/// A learner whose log is this close to the leader's may vote: some seconds of load at most.
const CAUGHT_UP_ENTRIES: u64 = 256;
/// Two entries, each on a majority.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// A member counts as alive if it answered within so many election time-outs.
const ALIVE_ELECTIONS: u64 = 4;

/// How far a replacement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// The new member learns: it has the log up to `matched`, the leader up to `last`.
    CatchingUp {
        /// Last entry that the new member has on disk.
        matched: LogIndex,
        /// Last entry of the leader.
        last: LogIndex,
    },
    /// The new member votes, and the old one is no member any more.
    Done,
}

/// Why a member is not replaced. Nothing has changed, unless it says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// Ask the leader.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<NodeId>,
    },
    /// The leader does not vote itself out.
    #[error("node {0} leads; hand leadership over first")]
    Leads(NodeId),
    /// Only voters can be replaced.
    #[error("node {old} is no voting member")]
    NotVoter {
        /// Who was to go.
        old: NodeId,
        /// Who votes.
        voters: Vec<NodeId>,
    },
    /// The id is taken.
    #[error("node {0} is a voting member already")]
    IsVoter(NodeId),
    /// Too few members answer: afterwards, or on the way, there would be no majority.
    #[error("too few voting members answer: the cluster could lose its majority")]
    QuorumAtRisk {
        /// Who answers.
        alive: Vec<NodeId>,
        /// How many must.
        needed: usize,
    },
    /// Another change of members is under way.
    #[error("another change of members is under way")]
    InProgress,
    /// It may yet take effect; ask again.
    #[error("the change was not confirmed within {CHANGE_TIMEOUT:?}; ask again")]
    TimedOut,
    /// The node shuts down.
    #[error("the node is shutting down")]
    Stopping,
}

fn majority(of: usize) -> usize {
    of / 2 + 1
}

/// Whether both sets of voters keep a majority, given who is alive.
fn check_quorum(
    before: &BTreeSet<NodeId>,
    after: &BTreeSet<NodeId>,
    alive: &BTreeSet<NodeId>,
) -> Result<(), ReplaceError> {
    for voters in [before, after] {
        let needed = majority(voters.len());
        if voters.intersection(alive).count() < needed {
            let alive = voters.intersection(alive).copied().collect();
            return Err(ReplaceError::QuorumAtRisk { alive, needed });
        }
    }
    Ok(())
}

impl Consensus {
    /// The next step of replacing the voter `old` by `new`, which listens at `address`. On the leader only.
    pub async fn replace(&self, old: NodeId, new: NodeId, address: MemberAddress) -> Result<Replacing, ReplaceError> {
        let status = self.status();
        if status.leader != Some(status.node_id) {
            return Err(ReplaceError::NotLeader { leader: status.leader });
        }
        let voters = &status.voters;
        match (voters.contains(&old), voters.contains(&new)) {
            (false, true) => return Ok(Replacing::Done),
            (false, false) => return Err(ReplaceError::NotVoter { old, voters: voters.iter().copied().collect() }),
            (true, true) if !status.joint => return Err(ReplaceError::IsVoter(new)),
            (true, _) if old == status.node_id => return Err(ReplaceError::Leads(old)),
            (true, _) => {}
        }
        if status.members.get(&new) != Some(&address) {
            self.changed(self.inner.raft.add_learner(new.0, address, false)).await?;
        }
        let matched = self.status().matched.get(&new).copied().unwrap_or(LogIndex(0));
        if matched.0 + CAUGHT_UP_ENTRIES < status.last_log.0 || matched.0 == 0 {
            return Ok(Replacing::CatchingUp { matched, last: status.last_log });
        }
        let mut after = voters.clone();
        after.remove(&old);
        after.insert(new);
        check_quorum(voters, &after, &self.alive())?;
        let ids: BTreeSet<u64> = after.iter().map(|id| id.0).collect();
        self.changed(self.inner.raft.change_membership(ids, false)).await?;
        tracing::info!(%old, %new, "a member was replaced");
        Ok(Replacing::Done)
    }

    /// Members that answered lately; on the leader.
    fn alive(&self) -> BTreeSet<NodeId> {
        let within = Duration::from_millis(ALIVE_ELECTIONS * self.inner.config.timing.election_timeout_max_ms);
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let answered = metrics.heartbeat.iter().flatten().filter_map(|(id, at)| Some((id, (*at)?)));
        let lately = answered.filter(|(_, at)| at.elapsed() < within).map(|(id, _)| NodeId(*id));
        lately.chain([NodeId(metrics.id)]).collect()
    }

    async fn changed<T>(
        &self,
        change: impl Future<Output = Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>>,
    ) -> Result<(), ReplaceError> {
        match tokio::time::timeout(CHANGE_TIMEOUT, change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(ReplaceError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => match error {
                ChangeMembershipError::InProgress(_) => Err(ReplaceError::InProgress),
                // It is not a learner yet: ask again.
                error => {
                    tracing::warn!(%error, "members were not changed");
                    Err(ReplaceError::TimedOut)
                }
            },
            Ok(Err(RaftError::APIError(_))) | Err(_) => Err(ReplaceError::TimedOut),
            Ok(Err(RaftError::Fatal(_))) => Err(ReplaceError::Stopping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_majority_is_kept_before_and_after() {
        let check = |before: &[u64], after: &[u64], alive: &[u64]| check_quorum(&set(before), &set(after), &set(alive));
        assert_eq!(check(&[1, 2, 3], &[1, 3, 4], &[1, 3, 4]), Ok(()));
        assert_eq!(check(&[1, 2, 3], &[1, 3, 4], &[1, 2, 4]), Ok(()), "who goes may still help");
        let at_risk = |alive: &[u64]| {
            Err(ReplaceError::QuorumAtRisk { alive: alive.iter().copied().map(NodeId).collect(), needed: 2 })
        };
        assert_eq!(check(&[1, 2, 3], &[1, 3, 4], &[1, 2]), at_risk(&[1]), "afterwards one of three");
        assert_eq!(check(&[1, 2, 3], &[1, 3, 4], &[1, 4]), at_risk(&[1]), "on the way one of three");
    }
}
