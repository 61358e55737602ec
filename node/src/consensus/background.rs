//! What runs beside: following the leader, making snapshots by bytes and age, purging the log.

use std::sync::{Arc, Weak};
use std::time::Duration;

use kho_proto::id::UnixMs;
use openraft::async_runtime::watch::WatchReceiver;
use tokio_util::sync::CancellationToken;

use super::handle::{Consensus, Inner};
use super::log_store::LogStore;
use super::state::StateCore;
use crate::seams::{Seams, Tasks};

/// A snapshot shares its files with the state, so a quarter of an hour means that something is wrong.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Between two looks at whether a snapshot is made.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// From a start to the first look at all that is stored, and from one to the next.
const SCRUB_DELAY: Duration = Duration::from_secs(2);
const SCRUB_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// A disk reads some hundred times as fast: nobody should notice.
const SCRUB_BYTES_PER_S: f64 = (16 << 20) as f64;

/// How much of the log goes after a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purge {
    /// All that it covers.
    All,
    /// What the snapshot before it covers: so between one and two triggers' worth of log stay for who was away.
    Previous,
}

/// Starts all of it. Nothing here keeps the node alive.
pub(super) fn start(consensus: &Consensus, seams: &Seams) {
    let inner = &consensus.inner;
    let (raft, leader, fatal) = (inner.raft.clone(), inner.leader.clone(), inner.fatal.clone());
    let stop = inner.stop.clone();
    let following = async move {
        Consensus::follow_leader(raft, leader).await;
        if !stop.is_cancelled() {
            fatal.fire("raft stopped by itself");
        }
    };
    seams.tasks.spawn("follow-leader", Box::pin(following));

    seams.tasks.spawn(
        "scrub",
        Box::pin(scrub(inner.log.clone(), Arc::downgrade(&inner.state), Arc::clone(&seams.tasks), inner.stop.clone())),
    );

    let (weak, stop, clock) = (Arc::downgrade(inner), inner.stop.clone(), Arc::clone(&seams.clock));
    let check = inner.config.snapshot.check;
    let triggering = async move {
        let mut trigger = Trigger { appended: 0, at: clock.now(), started: clock.now() };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(check) => {}
            }
            let Some(inner) = Weak::upgrade(&weak) else { return };
            trigger.check(&Consensus { inner }, clock.now()).await;
        }
    };
    seams.tasks.spawn("snapshot-trigger", Box::pin(triggering));
}

/// Reads log and state once after the start and then once a day: damage is found before somebody needs what it hit. Who
/// meets it ends the node (`on_damage`).
async fn scrub(log: LogStore, state: Weak<StateCore>, tasks: Arc<dyn Tasks>, stop: CancellationToken) {
    let mut wait = SCRUB_DELAY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = SCRUB_INTERVAL,
        }
        let Some(state) = Weak::upgrade(&state) else { return };
        let (log, stopped) = (log.clone(), stop.clone());
        let read = tasks.blocking(move || {
            let pace = |bytes: usize| {
                std::thread::sleep(Duration::from_secs_f64(bytes as f64 / SCRUB_BYTES_PER_S));
                !stopped.is_cancelled()
            };
            log.scrub(pace).and_then(|()| state.scrub(pace))
        });
        match read.await {
            Ok(Ok(())) => tracing::debug!("log and state were read through"),
            // a state that is replaced meanwhile loses its files
            Ok(Err(error)) => tracing::warn!(%error, "log and state were not read through"),
            Err(_) => return,
        }
    }
}

/// When the last snapshot was, in log bytes and time.
struct Trigger {
    appended: u64,
    at: UnixMs,
    started: UnixMs,
}

impl Trigger {
    async fn check(&mut self, consensus: &Consensus, now: UnixMs) {
        let Inner { log, state, config, .. } = &*consensus.inner;
        let newest = state.snapshots().newest();
        self.at = newest.as_ref().map_or(self.started, |kept| kept.made_at);
        let applied = state.position().last.map_or(0, |last| last.index());
        if applied <= newest.map_or(0, |kept| kept.index) {
            return;
        }
        let appended = log.appended_bytes();
        let by_bytes = appended.saturating_sub(self.appended) >= config.snapshot.bytes;
        let by_age = u128::from(now.0.saturating_sub(self.at.0)) >= config.snapshot.age.as_millis();
        if by_bytes || by_age {
            self.appended = appended;
            consensus.snapshot_and_purge(Purge::Previous).await;
        }
    }
}

impl Consensus {
    /// Whether there is a snapshot of at least what was applied when it was called. Whatever is wrong is logged, or ends the node.
    pub(super) async fn snapshot_and_purge(&self, purge: Purge) -> bool {
        let Inner { raft, state, stop, .. } = &*self.inner;
        let Some(applied) = state.position().last else { return false };
        // Most of the flush happens here, beside apply; the checkpoint between two entries then has little to do.
        if let Err(error) = state.blocking(|core| core.flush()).await {
            self.inner.fatal.fire(&error.to_string());
            return false;
        }
        if raft.trigger().snapshot().await.is_err() {
            return false;
        }
        let made = async {
            while raft.metrics().borrow_watched().snapshot.is_none_or(|snapshot| snapshot < applied) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            () = made => {}
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(SNAPSHOT_TIMEOUT) => {
                tracing::error!("no snapshot within {SNAPSHOT_TIMEOUT:?}");
                return false;
            }
        }
        let Some(kept) = state.snapshots().newest() else { return false };
        let upto = match purge {
            Purge::All => kept.index,
            Purge::Previous => kept.previous,
        };
        tracing::info!(index = kept.index, purge = upto, "snapshot made");
        if upto > 0 && raft.trigger().purge_log(upto).await.is_err() {
            tracing::debug!("raft stopped before the log was purged");
        }
        true
    }
}
