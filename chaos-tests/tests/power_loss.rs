//! Power loss on real file systems: each node on an ext4 of its own whose power is cut under load (what was
//! not synced is gone), one node, a quorum, all at once, in turn. The same invariants as after SIGKILL.
//! R-A3, R-A5. Needs root.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use kho::dev::NodeId;
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::load::{self, Outcomes};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

/// Cuts, unless `KHO_POWER_CYCLES` says otherwise; a multiple of three gives each kind its share.
const CYCLES: usize = 6;
const WORKERS: usize = 16;
const ACKNOWLEDGED: std::ops::Range<usize> = 60..160;
const SEED: u64 = 0xb1ac_0047;
const POLL: Duration = Duration::from_millis(2);

/// One node, a quorum, all.
fn victims(cycle: usize, random: &mut StdRng) -> Vec<NodeId> {
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    nodes.choose_multiple(random, cycle % 3 + 1).copied().collect()
}

/// Load until `enough` acknowledgements; then the victims lose power. The others go on.
async fn load_and_cut(rig: &mut Rig, disks: &[Disk], victims: &[NodeId], enough: usize) -> Result<Outcomes> {
    let (stop, stopped) = watch::channel(false);
    let acknowledged = AtomicUsize::new(0);
    let client = rig.cluster.client()?;
    let Rig { cluster, senders, .. } = rig;
    let cut = async {
        while acknowledged.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(POLL).await;
        }
        let dark: Vec<&Disk> = victims.iter().map(|node| &disks[node.0 as usize - 1]).collect();
        // Power ends a machine's thoughts and its disk's at one instant. A process that ran on could be told by a sync
        // in flight that it had succeeded (jbd2 finds the aborted transaction gone and returns 0), and say so to others.
        for node in victims {
            cluster.pause(*node)?;
        }
        disks::lose_power(&dark).await?;
        for node in victims {
            cluster.kill(*node)?;
        }
        stop.send_replace(true);
        dark.iter().try_for_each(|disk| disk.remount())
    };
    let (outcomes, cut) = tokio::join!(load::run(&client, senders, WORKERS, stopped, &acknowledged), cut);
    cut?;
    outcomes
}

#[test]
fn power_loss_of_one_a_quorum_and_all() -> Result<()> {
    if !skip::can_run("power_loss", true, disks::TOOLS) {
        return Ok(());
    }
    let cycles = std::env::var("KHO_POWER_CYCLES").map_or(Ok(CYCLES), |text| text.parse())?;
    let mut random = StdRng::seed_from_u64(SEED);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("power", SEED, toml::Table::new())?;
        let layout = rig.cluster.layout().clone();
        let image = |node: NodeId| rig.path().join(format!("disk{node}.img"));
        let disks: Result<Vec<Disk>> =
            rig.cluster.nodes().map(|node| Disk::create(&image(node), &layout.data_dir(node))).collect();
        let disks = match disks {
            Ok(disks) => disks,
            Err(error) => {
                skip::skip("power_loss", &format!("no loop-mounted ext4 here: {error:#}"));
                return rig.finish().await;
            }
        };
        rig.launch().await?;
        let mut all = Vec::new();
        for cycle in 0..cycles {
            let victims = victims(cycle, &mut random);
            let outcomes = load_and_cut(&mut rig, &disks, &victims, random.random_range(ACKNOWLEDGED)).await?;
            rig.cluster.start_all()?;
            rig.cluster.wait_ready().await?;
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
        rig.cluster.terminate_all().await?;
        drop(disks);
        rig.finish().await
    })
}
