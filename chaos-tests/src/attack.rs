//! A fault in the midst of a load. Whatever goes wrong, the load ends and the test fails: nothing waits for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kho::dev::DevCluster;
use tokio::sync::watch;

use crate::load::{self, Outcomes};
use crate::rig::Rig;

/// Acknowledgements that do not come within this do not come: an election takes a second.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

/// How far the load has come.
#[derive(Default)]
pub struct Progress {
    acknowledged: AtomicUsize,
}

impl Progress {
    /// Acknowledgements so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for `count` more acknowledgements.
    pub async fn more(&self, count: usize) -> Result<()> {
        let enough = self.acknowledged() + count;
        let reached = async {
            while self.acknowledged() < enough {
                tokio::time::sleep(POLL).await;
            }
        };
        let waited = tokio::time::timeout(PROGRESS_LIMIT, reached).await;
        waited.with_context(|| {
            format!("{count} more acknowledgements within {PROGRESS_LIMIT:?}, found {}", self.acknowledged())
        })
    }
}

/// Loads the cluster by `workers`; after `before` acknowledgements comes `fault`; when that has ended, so does the load.
///
/// A node that ended by itself before the fault is an error: the fault would only hide it.
pub async fn under_load<T>(
    rig: &mut Rig,
    workers: usize,
    before: usize,
    fault: impl AsyncFnOnce(&mut DevCluster, &Progress) -> Result<T>,
) -> Result<(Outcomes, T)> {
    let (stop, stopped) = watch::channel(false);
    let client = rig.cluster.client()?;
    let Rig { cluster, senders, .. } = rig;
    let progress = Progress::default();
    let faulted = async {
        let faulted = async {
            progress.more(before).await?;
            cluster.check_alive()?;
            fault(cluster, &progress).await
        };
        let faulted = faulted.await;
        stop.send_replace(true);
        faulted
    };
    let loaded = load::run(&client, senders, workers, stopped, &progress.acknowledged);
    let (outcomes, faulted) = tokio::join!(loaded, faulted);
    let faulted = faulted?;
    Ok((outcomes?, faulted))
}
