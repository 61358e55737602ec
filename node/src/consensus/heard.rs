//! How far this node may be behind, for reads that do not ask the leader.

use std::time::Duration;

use openraft::Instant;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;

use super::handle::Consensus;

/// What leaders said to this node, and when (by its monotonic clock).
#[derive(Default)]
pub(super) struct Heard(Mutex<Times>);

#[derive(Default)]
struct Times {
    /// When a leader last said something that is wholly applied.
    caught_up: Option<Duration>,
    /// The oldest word that is not: when it came, and what must be applied.
    waiting: Option<(Duration, u64)>,
}

impl Heard {
    /// At `at` a leader of the latest term said that entries up to `committed` are. The state holds those up to `applied`.
    pub(super) fn hear(&self, at: Duration, committed: Option<u64>, applied: Option<u64>) {
        let mut times = self.0.lock();
        times.settle(applied);
        match committed {
            Some(committed) if Some(committed) > applied => {
                // the older word stays: it is what the state catches up with first
                times.waiting.get_or_insert((at, committed));
            }
            _ => times.caught_up = times.caught_up.max(Some(at)),
        }
    }

    fn caught_up(&self, applied: Option<u64>) -> Option<Duration> {
        let mut times = self.0.lock();
        times.settle(applied);
        times.caught_up
    }
}

impl Times {
    fn settle(&mut self, applied: Option<u64>) {
        if let Some((at, committed)) = self.waiting
            && applied >= Some(committed)
        {
            self.caught_up = self.caught_up.max(Some(at));
            self.waiting = None;
        }
    }
}

impl Consensus {
    /// For how long this node may have missed what others know: on a follower, since a leader last said how far the log is
    /// committed, if all of that is applied here (the message's own way is not counted); on the leader, since a majority
    /// last followed it. None: nobody was heard since the node started.
    pub fn age(&self) -> Option<Duration> {
        let inner = &self.inner;
        let metrics = inner.raft.metrics();
        let acknowledged = {
            let metrics = metrics.borrow_watched();
            let leads = metrics.state == openraft::ServerState::Leader;
            let caught_up = metrics.last_applied >= metrics.local_committed;
            metrics.last_quorum_acked.filter(|_| leads && caught_up).map(|at| at.into_inner().elapsed())
        };
        acknowledged.or_else(|| {
            let at = inner.heard.caught_up(inner.state.applied())?;
            Some(inner.clock.monotonic().saturating_sub(at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_is_applied_makes_a_node_younger() {
        let heard = Heard::default();
        assert_eq!(heard.caught_up(None), None);
        heard.hear(at(1), Some(5), Some(5));
        assert_eq!(heard.caught_up(Some(5)), Some(at(1)));
        heard.hear(at(2), Some(7), Some(5));
        heard.hear(at(3), Some(9), Some(6));
        assert_eq!(heard.caught_up(Some(6)), Some(at(1)), "7 was committed at 2 and is not applied");
        assert_eq!(heard.caught_up(Some(7)), Some(at(2)));
        heard.hear(at(4), Some(9), Some(9));
        assert_eq!(heard.caught_up(Some(9)), Some(at(4)));
    }

    #[test]
    fn a_leader_that_has_committed_nothing_is_heard_as_well() {
        let heard = Heard::default();
        heard.hear(at(1), None, None);
        assert_eq!(heard.caught_up(None), Some(at(1)));
    }
}
