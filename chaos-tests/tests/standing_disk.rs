//! A disk that neither answers nor fails: writes wait for it, and nothing else is wrong with its node. As a follower's it
//! holds up nobody; as the leader's it must not hold up all others for as long as it stands still. R-A2, R-A3, R-B1; I1, I2,
//! I4, I5. Needs root.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::load::{self, Outcomes};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;

const SEED: u64 = 0x57a2d;
const WORKERS: usize = 8;
const ACKNOWLEDGED: usize = 40;
/// It stands still for so long: longer than anyone waits for an answer.
const LASTS: Duration = Duration::from_secs(8);
/// Longest time without an acknowledgement: a second until the leader hands over, an election, and what the disks of a shared
/// machine take by themselves.
const GAP_MAX: Duration = Duration::from_secs(6);
/// Acknowledgements meanwhile. Where all waited for one disk there were 28 (what was on its way, asked for again at another
/// node), where they did not over 3,000.
const MEANWHILE: usize = 200;

async fn load_and_stand_still(rig: &mut Rig, victim: NodeId, disk: &Disk) -> Result<Outcomes> {
    let fault = async |cluster: &mut DevCluster, progress: &Progress| {
        // the command itself waits for writes, and they for it
        let (start, before) = (Instant::now(), progress.acknowledged());
        let standing = disk.stand_still()?;
        let mut last = (start, before);
        let mut longest = Duration::ZERO;
        while start.elapsed() < LASTS {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if progress.acknowledged() > last.1 {
                longest = longest.max(last.0.elapsed());
                last = (Instant::now(), progress.acknowledged());
            }
        }
        longest = longest.max(last.0.elapsed());
        let acknowledged = progress.acknowledged() - before;
        drop(standing);
        println!(
            "disk of node {victim} stood still for {LASTS:?}: {acknowledged} records meanwhile, longest gap {longest:?}"
        );
        let went_on = longest < GAP_MAX && acknowledged >= MEANWHILE;
        ensure!(went_on, "{acknowledged} records, and none for {longest:?}: all waited for one disk");
        cluster.check_alive()?;
        progress.more(ACKNOWLEDGED).await
    };
    let (outcomes, ()) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, fault).await?;
    Ok(outcomes)
}

#[test]
fn a_disk_that_stands_still_holds_up_nobody_and_loses_nothing() -> Result<()> {
    if !skip::can_run("standing_disk", true, disks::TOOLS) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("standing-disk", SEED, toml::Table::new())?;
        let Some(disks) = rig.disks("standing_disk")? else { return rig.finish().await };
        rig.launch().await?;
        let mut all = Vec::new();
        for of_leader in [false, true] {
            let leader = rig.cluster.wait_ready().await?;
            let other = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
            let victim = if of_leader { leader } else { other };
            let outcomes = load_and_stand_still(&mut rig, victim, &disks[victim.0 as usize - 1]).await?;
            rig.cluster.wait_ready().await?;
            let log = std::fs::read_to_string(rig.cluster.layout().log_file(victim))?;
            ensure!(log.contains("the disk of the log stands still"), "node {victim} said nothing of its disk");
            let asked = ["handed leadership over", "asked it to lead"].iter().any(|said| log.contains(said));
            ensure!(!of_leader || asked, "node {victim} led, and did not hand over");
            let (acknowledged, unknown) = (outcomes.acknowledged.len(), outcomes.unknown.len());
            println!("{acknowledged} acknowledged, {unknown} unknown");
            all.extend(load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?);
            all.extend(outcomes.acknowledged);
        }
        rig.check_all(&all).await?;
        println!("{} records on every node", all.len());
        rig.cluster.terminate_all().await?;
        drop(disks);
        rig.finish().await
    })
}
