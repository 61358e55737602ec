//! What each follower has confirmed, and who turned out not to have it any more.
//!
//! A disk that forgot what it had synced, or a data directory that was emptied: such a follower says that it lacks entries
//! which it confirmed in the same term. openraft takes that for a bug of its own and stops the leader (or, without debug
//! assertions, goes on with a broken search), so it never hears of it: the member counts as unreachable until it is
//! replaced under a new id.

use std::collections::{BTreeMap, BTreeSet};

use kho_proto::id::NodeId;
use openraft::errors::Unreachable;
use openraft::raft::{StreamAppendError, StreamAppendResult};
use parking_lot::Mutex;

use super::RpcError;
use crate::consensus::types::TypeConfig;

/// Shared by all connections of a node.
#[derive(Default)]
pub(crate) struct Confirmed {
    /// Term of this leader, and the last entry that a follower confirmed in it.
    last: Mutex<BTreeMap<NodeId, (u64, u64)>>,
    lost: Mutex<BTreeSet<NodeId>>,
}

impl Confirmed {
    /// Members that lost what they had confirmed, as far as this node knows.
    pub(crate) fn lost(&self) -> BTreeSet<NodeId> {
        self.lost.lock().clone()
    }

    /// Takes note of an answer to this node as the leader of `term`; an error if it must not be believed.
    pub(super) fn check(
        &self,
        from: NodeId,
        term: u64,
        answer: &StreamAppendResult<TypeConfig>,
    ) -> Result<(), RpcError> {
        let mut last = self.last.lock();
        match answer {
            Ok(Some(matched)) => {
                let entry = last.entry(from).or_insert((term, 0));
                *entry = (*entry).max((term, matched.index()));
                self.lost.lock().remove(&from);
                Ok(())
            }
            Err(StreamAppendError::Conflict(at)) => match last.get(&from) {
                Some(&(then, confirmed)) if then == term && at.index() <= confirmed => {
                    let text = format!("node {from} lacks entry {}, and had confirmed {confirmed}", at.index());
                    if self.lost.lock().insert(from) {
                        tracing::error!("{text}: it lost its log; replace it by a node with a new id");
                    }
                    Err(Unreachable::from_string(text).into())
                }
                _ => Ok(()),
            },
            Ok(None) | Err(StreamAppendError::HigherVote(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::types::log_id;

    #[test]
    fn a_confirmed_entry_that_is_gone_is_not_believed() {
        let confirmed = Confirmed::default();
        let check = |term, answer| confirmed.check(NodeId(2), term, &answer).is_ok();
        let conflict = |index| Err(StreamAppendError::Conflict(log_id(1, index)));
        assert!(check(1, conflict(9)), "nothing was confirmed yet");
        assert!(check(1, Ok(Some(log_id(1, 5)))));
        assert!(check(1, conflict(6)), "behind what it confirmed");
        assert!(!check(1, conflict(5)));
        assert_eq!(confirmed.lost(), BTreeSet::from([NodeId(2)]));
        assert!(check(2, conflict(5)), "a new leader asks from the beginning");
        assert!(check(2, Ok(Some(log_id(2, 3)))));
        assert_eq!(confirmed.lost(), BTreeSet::new());
        assert!(check(2, conflict(4)), "what was confirmed in an older term may be cut off");
    }
}
