//! A fault in the midst of a load. Whatever goes wrong, the load ends and the test fails: nothing waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kho::dev::{DevCluster, NodeId};
use tokio::sync::watch;

use crate::disks::Disk;
use crate::history::{History, Recorded};
use crate::invariants::fail_stop::{self, Failed};
use crate::invariants::{Acknowledged, must_hold};
use crate::load::{self, Outcomes, Workers};
use crate::reads;
use crate::rig::Rig;

/// Acknowledgements that do not come within this do not come: an election takes a second.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
/// A node whose storage failed ends within this.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How far the load has come.
pub struct Progress {
    acknowledged: AtomicUsize,
    history: Arc<History>,
}

impl Progress {
    /// None came yet.
    pub fn new(history: &Arc<History>) -> Self {
        Self { acknowledged: AtomicUsize::new(0), history: Arc::clone(history) }
    }

    /// One came.
    pub fn one_more(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Acknowledgements so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Microseconds since the history began.
    pub fn now_us(&self) -> u64 {
        self.history.now_us()
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
    under_load_of(rig, Workers::busy(workers), before, fault).await
}

/// The same by workers that may rest.
pub async fn under_load_of<T>(
    rig: &mut Rig,
    workers: Workers,
    before: usize,
    fault: impl AsyncFnOnce(&mut DevCluster, &Progress) -> Result<T>,
) -> Result<(Outcomes, T)> {
    let (stop, stopped) = watch::channel(false);
    let client = rig.cluster.client()?;
    let readers = reads::clients(&rig.cluster)?;
    rig.sampler.follow(&rig.cluster)?;
    let Rig { cluster, senders, .. } = rig;
    let progress = Progress::new(&senders.history);
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
    let read = reads::run(&readers, senders, stopped.clone());
    let loaded = load::run(&client, senders, workers, stopped, |_| progress.one_more());
    let (outcomes, faulted, ()) = tokio::join!(loaded, faulted, read);
    let faulted = faulted?;
    Ok((outcomes?, faulted))
}

/// A new cluster under `attack`, which adds to what it is given every record that it has submitted; then everything must hold.
pub fn on_a_cluster(
    test: &str,
    seed: u64,
    attack: impl AsyncFnOnce(&mut Rig, &mut Vec<Acknowledged>) -> Result<()>,
) -> Result<()> {
    on_a_prepared_cluster(test, seed, |_| Ok(()), attack)
}

/// The same on one that `prepare` changes before it runs.
pub fn on_a_prepared_cluster(
    test: &str,
    seed: u64,
    prepare: impl FnOnce(&Rig) -> Result<()>,
    attack: impl AsyncFnOnce(&mut Rig, &mut Vec<Acknowledged>) -> Result<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create(test, seed, toml::Table::new())?;
        prepare(&rig)?;
        rig.launch().await?;
        let mut all = Vec::new();
        attack(&mut rig, &mut all).await?;
        rig.check_all(&all).await?;
        println!("{} records on every node", all.len());
        rig.finish().await
    })
}

/// What came of a load goes to what came of those before; the unknown is settled first.
pub async fn keep(rig: &Rig, outcomes: Outcomes, all: &mut Vec<Acknowledged>) -> Result<()> {
    all.extend(load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?);
    all.extend(outcomes.acknowledged);
    Ok(())
}

/// Waits until `node`, whose storage failed, has ended; it must (I12).
pub async fn storage_failed(cluster: &mut DevCluster, progress: &Progress, node: NodeId) -> Result<Failed> {
    let code = match cluster.wait_ended(node, END_LIMIT).await {
        Ok(status) => status.code(),
        Err(kho::dev::Error::Timeout { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let failed = Failed { node: node.0, code, ended_us: progress.now_us(), restarted_us: u64::MAX };
    must_hold(fail_stop::judge(&failed, &[]));
    Ok(failed)
}

/// A new cluster on disks of its own: first the disk of a follower fails by `fail`, which loads the cluster meanwhile, then
/// the leader's. Each node comes back on a sound disk, and nothing is lost. Skipped as `test` where there are no such disks.
pub fn disk_of_a_follower_then_of_the_leader(
    test: &str,
    seed: u64,
    fail: impl AsyncFn(&mut Rig, &Disk, NodeId) -> Result<(Outcomes, Failed)>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create(test, seed, toml::Table::new())?;
        let Some(disks) = rig.disks(test)? else { return rig.finish().await };
        let leader = rig.launch().await?;
        let follower = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
        let mut all = Vec::new();
        for victim in [follower, leader] {
            let (outcomes, mut failed) = fail(&mut rig, &disks[victim.0 as usize - 1], victim).await?;
            failed.restarted_us = rig.senders.history.now_us();
            must_hold(fail_stop::judge(&failed, &Recorded::read(&rig.history())?.operations));
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
