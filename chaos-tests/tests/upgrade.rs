//! A cluster of an older build is upgraded node by node under load, goes back, and the two builds live beside each other:
//! as leader and follower either way round, and with a snapshot of the one installed by the other. R-A2, R-A3, R-B5; I1 to
//! I7, I11. `make test-upgrade` builds the older one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, NodeId, READY_TIMEOUT};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::history::{Kind, Outcome, Recorded};
use kho_chaos_tests::invariants::Acknowledged;
use kho_chaos_tests::load::Workers;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;

const SEED: u64 = 0x0b5e;
const WORKERS: Workers = Workers { count: 6, rest: Duration::from_millis(60) };
/// Acknowledgements between two steps.
const ACKNOWLEDGED: usize = 40;
/// The older build's `kho`.
const OLD: &str = "KHO_OLD_BIN";

/// A build and what it says of itself.
#[derive(Debug, Clone)]
struct Build {
    path: PathBuf,
    says: String,
}

impl Build {
    fn at(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| path.display().to_string())?;
        let output = Command::new(&path).arg("version").output()?;
        let says = String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned();
        ensure!(output.status.success() && says.starts_with("kho "), "{} is no kho: {says}", path.display());
        Ok(Self { path, says })
    }
}

/// Takes out of a node's configuration what the older build does not know, as an operator who may want to go back does.
fn known_to_both(cluster: &DevCluster, node: NodeId) -> Result<()> {
    let path = cluster.layout().node_file(node);
    let mut file: toml::Table = std::fs::read_to_string(&path)?.parse()?;
    file.remove("disk");
    for table in ["listen", "tls"] {
        file.get_mut(table).and_then(toml::Value::as_table_mut).with_context(|| table.to_owned())?.remove("log");
    }
    Ok(std::fs::write(&path, toml::to_string(&file)?)?)
}

/// Stops a node in good order and starts it as `build`. Returns when it has caught up with what was applied then.
async fn become_build(cluster: &mut DevCluster, node: NodeId, build: &Build) -> Result<()> {
    let status = cluster.terminate(node).await?;
    ensure!(status.success(), "node {node}, told to stop: {status}");
    start_as(cluster, node, build).await
}

async fn start_as(cluster: &mut DevCluster, node: NodeId, build: &Build) -> Result<()> {
    let others = cluster.statuses().await?;
    let reached = others.values().map(|status| status.applied).max().unwrap_or(0);
    cluster.set_executable(&build.path);
    cluster.start(node)?;
    let caught_up = |statuses: &std::collections::BTreeMap<NodeId, kho_proto::pb::admin::v1::NodeStatusResponse>, _| {
        statuses.get(&node).is_some_and(|status| status.applied >= reached && status.leader_id > 0)
    };
    cluster.wait_until("a node of another build to catch up", READY_TIMEOUT, caught_up).await?;
    let runs = std::fs::read_link(format!("/proc/{}/exe", cluster.pid(node).context("it runs")?))?;
    ensure!(runs == build.path, "node {node} runs {}", runs.display());
    Ok(())
}

/// All nodes, the leader last (docs/runbooks/upgrade.md).
async fn roll(cluster: &mut DevCluster, progress: &Progress, build: &Build) -> Result<()> {
    let leader = cluster.wait_ready().await?;
    let followers: Vec<_> = cluster.nodes().filter(|node| *node != leader).collect();
    for node in followers.iter().copied().chain([leader]) {
        become_build(cluster, node, build).await?;
        progress.more(ACKNOWLEDGED).await?;
    }
    println!("all nodes run {}", build.says);
    Ok(())
}

/// Hands leadership to `to`; the cluster goes on under it.
async fn lead(cluster: &mut DevCluster, progress: &Progress, to: NodeId) -> Result<()> {
    let leader = cluster.wait_ready().await?;
    if leader != to {
        cluster.admin(leader)?.transfer_leader(Some(to)).await?;
        let leader = cluster.wait_ready().await?;
        ensure!(leader == to, "leadership went to node {leader}, not to node {to}");
    }
    progress.more(ACKNOWLEDGED).await
}

/// One node becomes `build` and gets a snapshot that another made: its log no longer reaches back.
async fn across(cluster: &mut DevCluster, progress: &Progress, from: NodeId, to: NodeId, build: &Build) -> Result<()> {
    lead(cluster, progress, from).await?;
    cluster.kill(to)?;
    progress.more(ACKNOWLEDGED).await?;
    let made = cluster.admin(from)?.trigger_snapshot().await?.snapshot;
    progress.more(ACKNOWLEDGED).await?;
    start_as(cluster, to, build).await?;
    let status = cluster.admin(to)?.status().await?;
    ensure!(status.snapshot >= made && status.purged >= made, "node {to} came back without a snapshot: {status:?}");
    println!("node {to} as {} installed a snapshot at {made} of node {from}", build.says);
    // and leads on top of it
    lead(cluster, progress, to).await
}

async fn under_load(
    rig: &mut Rig,
    all: &mut Vec<Acknowledged>,
    step: impl AsyncFnOnce(&mut DevCluster, &Progress) -> Result<()>,
) -> Result<()> {
    let (outcomes, ()) = attack::under_load_of(rig, WORKERS, ACKNOWLEDGED, step).await?;
    println!(
        "{} acknowledged, {} unknown, {} not in",
        outcomes.acknowledged.len(),
        outcomes.unknown.len(),
        outcomes.not_in
    );
    rig.cluster.wait_ready().await?;
    rig.check_durable(&outcomes.acknowledged).await?;
    attack::keep(rig, outcomes, all).await
}

/// Longest time without an acknowledgement, in milliseconds, within loads: pauses between two loads do not count.
fn longest_gap(rig: &Rig) -> Result<u64> {
    let operations = Recorded::read(&rig.history())?.operations;
    let submitted = operations.iter().filter(|one| one.kind == Kind::Submit && one.outcome == Outcome::Ok);
    let mut told: Vec<(u64, u64)> = submitted.map(|one| (one.returned_us, one.invoked_us)).collect();
    told.sort_unstable();
    // a record that was asked for long after the one before was acknowledged: nobody asked in between
    let gap = |pair: &[(u64, u64)]| pair[1].0 - pair[0].0.max(pair[1].1.min(pair[1].0));
    Ok(told.windows(2).map(gap).max().unwrap_or(0) / 1000)
}

#[test]
fn upgraded_and_downgraded_under_load() -> Result<()> {
    let Some(old) = std::env::var_os(OLD) else {
        skip::leave_out("upgrade", &format!("{OLD} names no older build: make test-upgrade"));
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("upgrade", SEED, toml::Table::new())?;
        let (old, new) = (Build::at(Path::new(&old))?, Build::at(rig.cluster.executable())?);
        ensure!(old.says != new.says, "both builds are {}", new.says);
        println!("from {} to {} and back", old.says, new.says);
        rig.cluster.set_executable(&old.path);
        for node in rig.cluster.nodes() {
            known_to_both(&rig.cluster, node)?;
        }
        rig.launch().await?;
        let mut all = Vec::new();

        under_load(&mut rig, &mut all, async |cluster, progress| {
            // two of the old build, one of the new: each leads the other
            let leader = cluster.wait_ready().await?;
            let first = cluster.nodes().find(|node| *node != leader).context("three nodes")?;
            become_build(cluster, first, &new).await?;
            lead(cluster, progress, first).await?;
            lead(cluster, progress, leader).await?;
            roll(cluster, progress, &new).await
        })
        .await?;
        under_load(&mut rig, &mut all, async |cluster, progress| roll(cluster, progress, &old).await).await?;

        under_load(&mut rig, &mut all, async |cluster, progress| {
            let [first, second, _] = [1, 2, 3].map(NodeId);
            // all are old: the second becomes new by a snapshot of the old, then the first old by one of the new
            across(cluster, progress, first, second, &new).await?;
            across(cluster, progress, second, first, &old).await
        })
        .await?;
        rig.check_all(&all).await?;

        // what both have written is read by each
        under_load(&mut rig, &mut all, async |cluster, progress| roll(cluster, progress, &new).await).await?;
        rig.check_all(&all).await?;
        println!("{} records on every node; longest gap {} ms", all.len(), longest_gap(&rig)?);
        rig.finish().await
    })
}
