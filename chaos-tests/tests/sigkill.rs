//! SIGKILL of all nodes at once under load, restart, ten times: every acknowledged record is there with the
//! same digest on every node, resubmission gives the first receipt, receipts verify offline with code that
//! is not the server's, roots are equal. I1, I2, I4, I5; R-A2, R-A5.

use anyhow::Result;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::{attack, load};

/// Times that the power button of all machines is pressed.
const CYCLES: usize = 10;
/// Senders at once.
const WORKERS: usize = 16;
/// Acknowledgements before the kill: a different number each time, so that it meets other moments.
const ACKNOWLEDGED_MIN: usize = 120;
const SEED: u64 = 0x5167;

#[test]
fn all_nodes_killed_at_once_under_load_ten_times() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("sigkill", SEED, toml::Table::new())?;
        rig.launch().await?;
        let mut all = Vec::new();
        let (mut unknown_total, mut in_log_total) = (0, 0);
        for cycle in 0..CYCLES {
            let before = ACKNOWLEDGED_MIN + cycle * 37 % 100;
            let (outcomes, ()) =
                attack::under_load(&mut rig, WORKERS, before, async |cluster, _| Ok(cluster.kill_all()?)).await?;
            rig.cluster.start_all()?;
            rig.cluster.wait_ready().await?;
            // before anything is settled: what was acknowledged is there now
            rig.check_durable(&outcomes.acknowledged).await?;
            let settled = load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?;
            unknown_total += settled.len();
            in_log_total += settled.iter().filter(|one| one.duplicate).count();
            rig.check_receipts(&outcomes.acknowledged);
            rig.check_roots(&outcomes.acknowledged[..10]).await?;
            println!(
                "cycle {cycle}: {} acknowledged, {} unknown and settled",
                outcomes.acknowledged.len(),
                settled.len()
            );
            all.extend(outcomes.acknowledged);
            all.extend(settled);
        }
        // in the log when the kill came, not yet acknowledged
        assert!(in_log_total > 0, "every kill missed the writes in flight: nothing was tested");
        rig.check_all(&all).await?;
        println!(
            "{} records on every node, {CYCLES} kills of all nodes, {unknown_total} unknown outcomes settled, {in_log_total} of them were in the log",
            all.len()
        );
        rig.finish().await
    })
}
