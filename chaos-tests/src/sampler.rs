//! Asks every node how it stands, again and again, for as long as a cluster is under attack.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kho::admin::Admin;
use kho::dev::{DevCluster, Error};
use kho_proto::id::NodeId;
use tokio::task::JoinHandle;

use crate::history::History;
use crate::observation::Observation;

/// Between two questions to one node. An election takes some 300 ms.
const PAUSE: Duration = Duration::from_millis(20);
/// A node tells its uptime in whole milliseconds.
const UPTIME_STEP_US: u64 = 2_000;

/// A running node answers within this.
const SEEN_LIMIT: Duration = Duration::from_secs(10);

/// A node that was never observed.
#[derive(Debug, thiserror::Error)]
#[error("node {0} never told how it stands: nothing was observed")]
pub struct Unseen(NodeId);

/// A task for each node; they end with this value.
pub struct Sampler {
    history: Arc<History>,
    asking: Mutex<BTreeMap<NodeId, JoinHandle<()>>>,
    seen: Arc<Mutex<BTreeSet<u64>>>,
}

impl Sampler {
    /// Nobody is asked yet.
    pub fn new(history: Arc<History>) -> Self {
        Self { history, asking: Mutex::default(), seen: Arc::default() }
    }

    /// Asks all nodes of `cluster` from now on, also those that are down now.
    pub fn follow(&self, cluster: &DevCluster) -> Result<(), Error> {
        let mut asking = self.asking.lock().expect("no thread panics while it holds this");
        for node in cluster.nodes() {
            if let Entry::Vacant(place) = asking.entry(node) {
                let (admin, history) = (cluster.admin(node)?, Arc::clone(&self.history));
                place.insert(tokio::spawn(ask(admin, history, Arc::clone(&self.seen))));
            }
        }
        Ok(())
    }

    /// Waits until each of `nodes` has answered once: who never did was not observed, and nothing is known of it.
    pub async fn wait_seen(&self, nodes: impl IntoIterator<Item = NodeId>) -> Result<(), Unseen> {
        let end = tokio::time::Instant::now() + SEEN_LIMIT;
        for node in nodes {
            while !self.seen.lock().expect("no thread panics while it holds this").contains(&node.0) {
                if tokio::time::Instant::now() > end {
                    return Err(Unseen(node));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let asking = self.asking.get_mut().expect("no thread panics while it holds this");
        asking.values().for_each(JoinHandle::abort);
    }
}

async fn ask(admin: Admin, history: Arc<History>, seen: Arc<Mutex<BTreeSet<u64>>>) {
    let mut lives = Lives::default();
    let mut last: Option<Observation> = None;
    loop {
        let asked = history.now_us();
        if let Ok(status) = admin.status().await {
            let answered = history.now_us();
            let life = lives.of(asked, answered, status.uptime_ms);
            let observation = Observation::of(&status, asked, answered, life);
            if last.as_ref().is_none_or(|last| !observation.repeats(last)) {
                history.observe(&observation);
            }
            seen.lock().expect("no thread panics while it holds this").insert(observation.node);
            last = Some(observation);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells one process of a node from the next: uptime that grew by less than the time between is another's.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    count: u64,
    last: Option<(u64, u64)>,
}

impl Lives {
    pub(crate) fn of(&mut self, asked_us: u64, answered_us: u64, uptime_ms: u64) -> u64 {
        let uptime = uptime_ms * 1_000;
        if let Some((answered_before, uptime_before)) = self.last
            && uptime + UPTIME_STEP_US < uptime_before + asked_us.saturating_sub(answered_before)
        {
            self.count += 1;
        }
        self.last = Some((answered_us, uptime));
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::Lives;

    #[test]
    fn a_restart_is_seen_even_if_nobody_asked_for_long() {
        let mut lives = Lives::default();
        assert_eq!(lives.of(0, 1_000, 100), 0);
        assert_eq!(lives.of(50_000, 51_000, 150), 0, "the same process, 50 ms later");
        assert_eq!(lives.of(1_051_000, 1_052_000, 900), 1, "1 s later, and only 0.75 s older");
        assert_eq!(lives.of(1_100_000, 1_101_000, 5), 2);
    }
}
