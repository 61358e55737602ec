//! I12: a sync that fails. The node stops at once with its own exit code and confirms nothing more, the other two go on, and
//! on a sound disk it comes back with all that was acknowledged. R-A3, R-A5. Needs root and strace.
//!
//! The kernel keeps the pages of a sync that strace made fail, and would read them back: so power is cut as well, and a
//! node that had confirmed what its sync refused would come back without it.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::invariants::fail_stop::Failed;
use kho_chaos_tests::load::Outcomes;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use tokio::process::{Child, Command};

const WORKERS: usize = 8;
const SEED: u64 = 0xe10;
/// Acknowledgements before the fault, and again after it.
const ACKNOWLEDGED: usize = 40;

/// From now on each sync of the process fails with EIO.
fn fail_syncs(pid: u32, trace: &Path) -> Result<Child> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o"]);
    strace.arg(trace).args(["-p", &pid.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
    strace.spawn().context("strace")
}

/// Load; the disk of `victim` fails; the load goes on without it.
async fn load_and_fail(rig: &mut Rig, disk: &Disk, victim: NodeId) -> Result<(Outcomes, Failed)> {
    let trace = rig.path().join(format!("strace{victim}"));
    let fault = async |cluster: &mut DevCluster, progress: &Progress| {
        let pid = cluster.pid(victim).context("the victim runs")?;
        let mut strace = fail_syncs(pid, &trace)?;
        let failed = attack::storage_failed(cluster, progress, victim).await?;
        disks::lose_power(&[disk]).await?;
        strace.wait().await?;
        let injected = std::fs::read_to_string(&trace)?.matches("(INJECTED)").count();
        ensure!(injected > 0, "strace changed no sync: there was no fault");
        println!("node {victim} ended after {injected} failed syncs");
        progress.more(ACKNOWLEDGED).await?;
        disk.remount()?;
        Ok(failed)
    };
    attack::under_load(rig, WORKERS, ACKNOWLEDGED, fault).await
}

#[test]
fn a_node_whose_sync_fails_stops_and_loses_nothing() -> Result<()> {
    if !skip::can_run("io_error", true, &[disks::TOOLS, &["strace"]].concat()) {
        return Ok(());
    }
    attack::disk_of_a_follower_then_of_the_leader("io_error", SEED, load_and_fail)
}
