//! ReadIndex: the leader names the log index that a linearizable read must have applied, once a majority has said, after
//! the read began, that it still follows.
//!
//! The majority is asked here and not by openraft: it counts an answer to an older append as one to the newest that ends at
//! the same entry. A leader that stood still finds such answers when it wakes, and would take them for a confirmation of
//! today (docs/postmortems/0003).

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kho_proto::id::{LogIndex, NodeId};
use openraft::LinearizerOption;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};

use super::error::ReadError;
use super::handle::{Consensus, leader_of};
use super::types::{Membership, Vote};

/// Time for a majority to confirm the leader of a read.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);

impl Consensus {
    /// The index that a linearizable read must have applied. On the leader only; asks a majority each time (no lease).
    pub async fn read_index(&self) -> Result<LogIndex, ReadError> {
        tokio::time::timeout(READ_INDEX_TIMEOUT, self.confirmed_index()).await.unwrap_or(Err(ReadError::NoQuorum))
    }

    /// Whatever was acknowledged before the call was committed by this leader or an older one, unless there is a later
    /// leader. The index covers the former; the majority, asked after it was named, rules out the latter.
    async fn confirmed_index(&self) -> Result<LogIndex, ReadError> {
        let raft = &self.inner.raft;
        let leader = raft.as_leader().map_err(|forward| ReadError::NotLeader { leader: leader_of(&forward) })?;
        let vote = Vote::new_committed(leader.to_committed_leader_id().term, self.inner.config.node_id.0);
        // Any answer within the lease will do: this is not the proof.
        let option = LinearizerOption::new(None, true).with_wait_timeout(READ_INDEX_TIMEOUT);
        let index = match raft.get_read_log_id(option).await {
            Ok((read, _)) => LogIndex(read.log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                return Err(ReadError::NotLeader { leader: leader_of(&forward) });
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => return Err(ReadError::NoQuorum),
            Err(RaftError::Fatal(_)) => return Err(ReadError::Stopping),
        };
        self.confirm(vote).await?;
        // This node counted itself: that holds if it has not followed or voted for another meanwhile. (Its vote for another
        // goes out after it is on disk, and what is asked here changes before that.)
        match raft.as_leader() {
            Ok(still) if still.to_committed_leader_id() == leader.to_committed_leader_id() => Ok(index),
            Ok(_) => Err(ReadError::NoQuorum),
            Err(forward) => Err(ReadError::NotLeader { leader: leader_of(&forward) }),
        }
    }

    /// Asks all voters whether they follow `vote`, until a majority does.
    async fn confirm(&self, vote: Vote) -> Result<(), ReadError> {
        let own = self.inner.config.node_id.0;
        let membership = self.inner.raft.server_metrics().borrow_watched().membership_config.membership().clone();
        let mut asked: FuturesUnordered<_> = membership
            .nodes()
            .filter(|(id, _)| **id != own && membership.voter_ids().any(|voter| voter == **id))
            .map(|(id, node)| async move { (*id, self.inner.network.follows(NodeId(*id), node, vote).await) })
            .collect();
        let mut following = BTreeSet::from([own]);
        while !majority(&membership, &following) {
            match asked.next().await {
                Some((voter, Ok(true))) => drop(following.insert(voter)),
                Some((_, Ok(false) | Err(_))) => {}
                None => return Err(ReadError::NoQuorum),
            }
        }
        Ok(())
    }
}

/// Of each configuration, while there are two.
fn majority(membership: &Membership, following: &BTreeSet<u64>) -> bool {
    let configs = membership.get_joint_config();
    configs.iter().all(|voters| 2 * voters.intersection(following).count() > voters.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::consensus::types::MemberAddress;

    #[test]
    fn while_members_change_both_majorities_count() {
        let nodes: BTreeMap<u64, _> = (1..=5).map(|id| (id, MemberAddress::default())).collect();
        let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
        let membership = Membership::new(configs, nodes).unwrap();
        let holds = |following: &[u64]| majority(&membership, &following.iter().copied().collect());
        assert!(holds(&[1, 3, 4]) && holds(&[1, 2, 4, 5]));
        assert!(!holds(&[1, 2, 3]) && !holds(&[1, 4, 5]) && !holds(&[3]));
    }
}
