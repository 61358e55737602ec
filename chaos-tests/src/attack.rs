//! A fault in the midst of a load. Whatever goes wrong, the load ends and the test fails: nothing waits for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kho::dev::{DevCluster, NodeId};
use tokio::sync::watch;

use crate::disks::Disk;
use crate::load::{self, Outcomes, Workers};
use crate::rig::Rig;

/// Acknowledgements that do not come within this do not come: an election takes a second.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
/// Documented exit code of a node whose storage failed (EX_IOERR).
pub const STORAGE_FAILED: i32 = 74;

/// How far the load has come.
#[derive(Default)]
pub struct Progress {
    acknowledged: AtomicUsize,
}

impl Progress {
    /// One came.
    pub fn one_more(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

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
    let loaded = load::run(&client, senders, Workers::busy(workers), stopped, |_| progress.one_more());
    let (outcomes, faulted) = tokio::join!(loaded, faulted);
    let faulted = faulted?;
    Ok((outcomes?, faulted))
}

/// A new cluster on disks of its own: first the disk of a follower fails by `fail`, which loads the cluster meanwhile, then
/// the leader's. Each node comes back on a sound disk, and nothing is lost. Skipped as `test` where there are no such disks.
pub fn disk_of_a_follower_then_of_the_leader(
    test: &str,
    seed: u64,
    fail: impl AsyncFn(&mut Rig, &Disk, NodeId) -> Result<Outcomes>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create(test, seed, toml::Table::new())?;
        let Some(disks) = rig.disks(test)? else { return rig.finish().await };
        let leader = rig.launch().await?;
        let follower = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
        let mut all = Vec::new();
        for victim in [follower, leader] {
            let outcomes = fail(&mut rig, &disks[victim.0 as usize - 1], victim).await?;
            rig.cluster.start(victim)?;
            rig.cluster.wait_ready().await?;
            rig.check_durable(&outcomes.acknowledged).await?;
            let settled = load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?;
            all.extend(outcomes.acknowledged);
            all.extend(settled);
        }
        rig.check_all(&all).await?;
        rig.cluster.terminate_all().await?;
        drop(disks);
        rig.finish().await
    })
}
