//! A node whose disk is gone is replaced under load by one with a new id, by the commands that an operator has. Everything
//! acknowledged is on the new node, and its vote counts. R-A3, R-A5; I1, I2, I4, I5.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, READY_TIMEOUT};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::load;
use kho_chaos_tests::rig::Rig;

const WORKERS: usize = 8;
const SEED: u64 = 0x4e9;
/// Documented exit code of a node that refuses to start (EX_CONFIG).
const REFUSED: i32 = 78;
/// Acknowledgements before each step.
const ACKNOWLEDGED: usize = 60;
/// An operator starts the new node and asks at once, or the other way round.
const ASKED_EARLY: Duration = Duration::from_millis(700);

#[test]
fn a_node_without_its_disk_is_replaced_under_load() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("replace", SEED, toml::Table::new())?;
        let leader = rig.launch().await?;
        let gone = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
        let replace = async |cluster: &mut DevCluster, progress: &Progress| {
            cluster.kill(gone)?;
            std::fs::remove_dir_all(cluster.layout().data_dir(gone))?;
            // under its old id it would have forgotten how it voted
            cluster.start(gone)?;
            let status = cluster.wait_ended(gone, READY_TIMEOUT).await?;
            ensure!(status.code() == Some(REFUSED), "started without its disk: {status}");
            let log = std::fs::read_to_string(cluster.layout().log_file(gone))?;
            ensure!(log.contains("data-dir-missing"), "{log}");
            progress.more(ACKNOWLEDGED).await?;
            let new = cluster.add_node(gone, &toml::Table::new())?;
            let mut kho = Command::new(cluster.executable());
            kho.args(["cluster", "replace", &gone.to_string(), &new.to_string(), "--config"]);
            kho.arg(cluster.layout().client_file()).arg("--node-config").arg(cluster.layout().node_file(new));
            // asked before the new node listens
            let asked = tokio::task::spawn_blocking(move || kho.output());
            tokio::time::sleep(ASKED_EARLY).await;
            cluster.start(new)?;
            let output = asked.await??;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
            ensure!(text.contains(&format!("node {new} votes, and node {gone} is no member any more")), "{text}");
            // asked again, also with a node that never was: nothing is claimed
            for old in [gone.0, 9] {
                let mut kho = Command::new(cluster.executable());
                kho.args(["cluster", "replace", &old.to_string(), &new.to_string(), "--config"]);
                kho.arg(cluster.layout().client_file()).arg("--node-config").arg(cluster.layout().node_file(new));
                let output = tokio::task::spawn_blocking(move || kho.output()).await??;
                let (text, expected) = (
                    String::from_utf8_lossy(&output.stdout).into_owned(),
                    format!("node {old} is no member; node {new} votes: nothing to do\n"),
                );
                ensure!(output.status.success() && text == expected, "{}: {text}", output.status);
            }
            progress.more(ACKNOWLEDGED).await?;
            Ok(new)
        };
        let (outcomes, new) = attack::under_load(&mut rig, WORKERS, ACKNOWLEDGED, replace).await?;
        rig.cluster.wait_equal().await?;
        let mut all = load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?;
        all.extend(outcomes.acknowledged);
        rig.check_all(&all).await?;

        // without another of the old three: both that are left must vote
        let other = rig.cluster.leader().await?.context("a leader")?;
        let other = if other == new { rig.cluster.nodes().find(|node| *node != new).context("others")? } else { other };
        let kill = async |cluster: &mut DevCluster, progress: &Progress| {
            cluster.kill(other)?;
            progress.more(ACKNOWLEDGED).await
        };
        let (outcomes, ()) = attack::under_load(&mut rig, WORKERS, ACKNOWLEDGED, kill).await?;
        // from here on all run with the new configurations
        rig.cluster.terminate_all().await?;
        rig.cluster.start_all()?;
        rig.cluster.wait_ready().await?;
        all.extend(load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?);
        all.extend(outcomes.acknowledged);
        rig.check_all(&all).await?;
        println!("{} records; node {gone} replaced by node {new}, then node {other} killed", all.len());
        rig.finish().await
    })
}
