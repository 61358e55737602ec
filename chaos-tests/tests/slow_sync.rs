//! A disk that is slow, not broken: each sync of one node takes a fifth of a second. As a follower's, the other two go on
//! without waiting for it; as the leader's, records are acknowledged slowly, or by another leader, and rightly. R-A2, R-A3;
//! I1, I2, I4, I5. Needs root and strace.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::load::{self, Outcomes};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

const SEED: u64 = 0x510;
const WORKERS: usize = 8;
const ACKNOWLEDGED: usize = 40;
/// Of each sync, in microseconds.
const DELAY_US: u32 = 200_000;
/// How long it goes on.
const LASTS: Duration = Duration::from_secs(5);

fn slow_syncs(pid: u32, trace: &Path) -> Result<Child> {
    let mut strace = Command::new("strace");
    let inject = format!("inject=fsync,fdatasync:delay_enter={DELAY_US}");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", &inject, "-o"]);
    strace.arg(trace).args(["-p", &pid.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
    strace.spawn().context("strace")
}

async fn load_and_slow_down(rig: &mut Rig, victim: NodeId) -> Result<Outcomes> {
    let trace = rig.path().join(format!("strace{victim}"));
    let fault = async |cluster: &mut DevCluster, progress: &Progress| {
        let pid = cluster.pid(victim).context("the victim runs")?;
        let mut strace = slow_syncs(pid, &trace)?;
        let (start, before) = (Instant::now(), progress.acknowledged());
        progress.more(ACKNOWLEDGED).await?;
        tokio::time::sleep(LASTS.saturating_sub(start.elapsed())).await;
        let acknowledged = progress.acknowledged() - before;
        // it lets go in good order; a node whose tracer is killed goes on as well, but may keep a stop
        let tracer = strace.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("strace runs")?;
        rustix::process::kill_process(tracer, Signal::TERM)?;
        strace.wait().await?;
        let delayed = std::fs::read_to_string(&trace)?.matches("(DELAYED)").count();
        ensure!(delayed > 0, "strace delayed no sync: there was no fault");
        println!("{delayed} syncs of node {victim} took {} ms more; {acknowledged} records meanwhile", DELAY_US / 1000);
        cluster.check_alive()?;
        progress.more(ACKNOWLEDGED).await
    };
    let (outcomes, ()) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, fault).await?;
    Ok(outcomes)
}

#[test]
fn a_node_whose_syncs_are_slow_holds_up_nobody_and_loses_nothing() -> Result<()> {
    if !skip::can_run("slow_sync", true, &["strace"]) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("slow-sync", SEED, toml::Table::new())?;
        let leader = rig.launch().await?;
        let follower = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
        let mut all = Vec::new();
        for victim in [follower, leader] {
            let outcomes = load_and_slow_down(&mut rig, victim).await?;
            rig.cluster.wait_ready().await?;
            all.extend(load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?);
            all.extend(outcomes.acknowledged);
        }
        rig.check_all(&all).await?;
        println!("{} records on every node", all.len());
        rig.finish().await
    })
}
