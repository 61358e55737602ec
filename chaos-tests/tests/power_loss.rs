//! Power loss on real file systems: each node on an ext4 of its own whose power is cut under load (what was
//! not synced is gone), one node, a quorum, all at once, in turn. The same invariants as after SIGKILL.
//! R-A3, R-A5. Needs root.

use std::time::Instant;

use anyhow::{Result, bail};
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::load::{self, Outcomes};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::seed::number;
use kho_chaos_tests::skip;
use kho_chaos_tests::summary::Summary;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Cuts, unless `KHO_POWER_CYCLES` says otherwise; a multiple of three gives each kind its share.
const CYCLES: u64 = 6;
const WORKERS: usize = 16;
const ACKNOWLEDGED: std::ops::Range<usize> = 60..160;
/// Acknowledgements that a majority gives while the others are dark.
const WITHOUT_THEM: usize = 60;
const SEED: u64 = 0xb1ac_0047;

/// One node, a quorum, all.
fn victims(cycle: u64, random: &mut StdRng) -> Vec<NodeId> {
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    nodes.choose_multiple(random, (cycle % 3 + 1) as usize).copied().collect()
}

/// Load; the victims lose power, and get it back with what was on their disks. If a majority is left, it goes on meanwhile.
async fn load_and_cut(rig: &mut Rig, disks: &[Disk], victims: &[NodeId], before: usize) -> Result<Outcomes> {
    let fault = async |cluster: &mut DevCluster, progress: &Progress| {
        let dark: Vec<&Disk> = victims.iter().map(|node| &disks[node.0 as usize - 1]).collect();
        // Power ends a machine's thoughts and its disk's at one instant. A process that ran on could be told by a sync
        // in flight that it had succeeded (jbd2 finds the aborted transaction gone and returns 0), and say so to others.
        for node in victims {
            cluster.pause(*node)?;
        }
        disks::lose_power(&dark).await?;
        println!("power cut: {victims:?}");
        for node in victims {
            cluster.kill(*node)?;
        }
        if victims.len() < disks.len().div_ceil(2) {
            progress.more(WITHOUT_THEM).await?;
        }
        dark.iter().try_for_each(|disk| disk.remount())
    };
    let (outcomes, ()) = attack::under_load(rig, WORKERS, before, fault).await?;
    Ok(outcomes)
}

/// A power cut damages nothing: a node that had to build its state anew lost what it should have synced, and the others
/// only hide it.
fn undamaged(rig: &Rig) -> Result<()> {
    for node in rig.cluster.nodes() {
        let log = std::fs::read_to_string(rig.cluster.layout().log_file(node))?;
        if let Some(line) = log.lines().find(|line| line.contains("is damaged, and built anew")) {
            bail!("node {node} after a power cut: {line}");
        }
    }
    Ok(())
}

#[test]
fn power_loss_of_one_a_quorum_and_all() -> Result<()> {
    if !skip::can_run("power_loss", true, disks::TOOLS) {
        return Ok(());
    }
    let (cycles, seed) = (number("KHO_POWER_CYCLES", CYCLES)?, number("KHO_SEED", SEED)?);
    let mut random = StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("power", seed, toml::Table::new())?;
        let Some(disks) = rig.disks("power_loss")? else { return rig.finish().await };
        rig.launch().await?;
        let (mut all, begun) = (Vec::new(), Instant::now());
        for cycle in 0..cycles {
            let victims = victims(cycle, &mut random);
            let outcomes = load_and_cut(&mut rig, &disks, &victims, random.random_range(ACKNOWLEDGED)).await?;
            rig.cluster.start_all()?;
            rig.cluster.wait_ready().await?;
            undamaged(&rig)?;
            rig.check_durable(&outcomes.acknowledged).await?;
            let settled = load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?;
            rig.check_receipts(&outcomes.acknowledged);
            rig.check_roots(&outcomes.acknowledged[..10]).await?;
            let (acknowledged, unknown) = (outcomes.acknowledged.len(), settled.len());
            println!("cycle {cycle}: power of {victims:?}; {acknowledged} acknowledged, {unknown} unknown and settled");
            all.extend(outcomes.acknowledged);
            all.extend(settled);
        }
        rig.check_all(&all).await?;
        println!("{} records on every node after {cycles} power losses", all.len());
        let kinds = ["one", "a quorum", "all"].into_iter().zip(0..);
        let summary = Summary {
            ring: "disks".to_owned(),
            seed,
            seeds: 1,
            seconds: begun.elapsed().as_secs_f64(),
            faults: kinds.map(|(kind, n)| (format!("power of {kind}"), (cycles + 2 - n) / 3)).collect(),
            counts: [("records".to_owned(), all.len() as u64)].into(),
            violations: Vec::new(),
        };
        summary.write()?;
        rig.cluster.terminate_all().await?;
        drop(disks);
        rig.finish().await
    })
}
