//! Ring 2: real processes on real links, each in a network namespace of its own, under a load and faults that a seed
//! draws. Each fault is proven to have taken effect; then everything must hold. R-A1 to R-A3, R-A5; I1 to I7, I11.
//!
//! `KHO_SEED=0x2a KHO_SECONDS=90 cargo test --workspace --test processes -- --nocapture faults`

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho::dev::Options;
use kho_chaos_tests::links::isolated;
use kho_chaos_tests::links::rules::{Rule, Rules};
use kho_chaos_tests::links::{self, Links};
use kho_chaos_tests::load;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::seed::number;
use kho_chaos_tests::{skip, swarm};

/// Unless `KHO_SEED` says otherwise: in each of them something was found once.
const SEED: u64 = 0x2a;
/// Unless `KHO_SECONDS` says otherwise.
const SECONDS: u64 = 30;

/// Says how to do it again, whatever ends the test.
struct Replay(u64, u64);

impl Drop for Replay {
    fn drop(&mut self) {
        let Self(seed, seconds) = self;
        eprintln!(
            "again: KHO_SEED={seed:#x} KHO_SECONDS={seconds} cargo test --workspace --test processes -- --nocapture faults"
        );
    }
}

fn block_on<T>(body: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(body)
}

#[test]
fn faults_that_a_seed_draws() -> Result<()> {
    if !skip::can_run("processes", true, links::TOOLS) {
        return Ok(());
    }
    isolated::run("faults_that_a_seed_draws", || {
        let (seed, seconds) = (number("KHO_SEED", SEED)?, number("KHO_SECONDS", SECONDS)?);
        let replay = Replay(seed, seconds);
        let able = swarm::able("processes");
        block_on(async {
            let links = Links::lay(1, 5).await?;
            swarm::run(&links, seed, seconds, able).await
        })?;
        std::mem::forget(replay);
        Ok(())
    })
}

/// Records on each of two clusters, one by one site.
#[test]
fn two_sites_and_the_link_between_them() -> Result<()> {
    if !skip::can_run("two sites", true, links::TOOLS) {
        return Ok(());
    }
    isolated::run("two_sites_and_the_link_between_them", || {
        block_on(async {
            let links = Links::lay(2, 3).await?;
            let mut rigs = Vec::new();
            for (site, seed) in links.sites.iter().zip(1..) {
                let hosts = site.machines.iter().map(|machine| machine.host).collect();
                let mut rig =
                    Rig::create_with("sites", seed, &Options { hosts, base_port: Some(7101), ..Options::default() })?;
                for (node, machine) in rig.cluster.nodes().zip(&site.machines) {
                    rig.cluster.set_launcher(node, machine.launcher());
                }
                rig.launch().await?;
                rigs.push(rig);
            }
            let (near, far) = (&links.sites[0].machines[0], links.sites[1].machines[0].host);
            let reach = async || {
                let connect = format!("exec 3<>/dev/tcp/{far}/7101");
                near.run(&["timeout", "1", "bash", "-c", &connect], "").await
            };
            reach().await.context("one site reaches the other")?;
            let cut = Rules::set(&links.router, &[Rule::DropPassing(near.host, far)]).await?;
            ensure!(reach().await.is_err(), "the link between the sites is cut, and something passes");
            for rig in &mut rigs {
                let client = rig.cluster.client()?;
                let record = rig.senders.next(&client).await?;
                let all = load::settle(&client, &rig.senders.history, &[record]).await?;
                rig.check_all(&all).await?;
            }
            let dropped = cut.lift().await?;
            ensure!(dropped > 0, "no packet met the cut");
            reach().await.context("one site reaches the other again")?;
            println!("two sites took records while the link between them was cut: {dropped} packets dropped");
            for rig in rigs {
                rig.finish().await?;
            }
            Ok(())
        })
    })
}

/// The drill's own commands, as an operator would give them: nft rules on the leader's machine, and their end.
const CUT: &str = r#"nsenter --net=/run/netns/a${KHO_LEADER_HOST##*.} nft "
table ip drill {
  counter cut { }
  chain arriving { type filter hook input priority 0; iifname eth0 counter name cut drop; }
  chain leaving { type filter hook output priority 0; oifname eth0 counter name cut drop; }
}""#;
/// Says what the rules met before it takes them away.
const HEAL: &str = r"on='nsenter --net=/run/netns/a'${KHO_LEADER_HOST##*.}
$on nft -j list counter ip drill cut && $on nft delete table ip drill";
/// No new leader can be elected sooner after the old one fell silent: its lease, less a heartbeat (docs/consensus.md).
const LEASE_MS: f64 = 320.0 - 75.0;

/// `kho drill isolate` cuts a leader off for real, from its peers and from clients, and what it says of that is true.
/// R-A2, R-A3, R-A5, R-B1.
#[test]
fn a_drill_cuts_real_links() -> Result<()> {
    if !skip::can_run("a drill that cuts links", true, links::TOOLS) {
        return Ok(());
    }
    isolated::run("a_drill_cuts_real_links", || {
        block_on(async {
            let links = Links::lay(1, 3).await?;
            let machines = &links.sites[0].machines;
            let hosts = machines.iter().map(|machine| machine.host).collect();
            let options = Options { hosts, base_port: Some(7101), ..Options::default() };
            let mut rig = Rig::create_with("drill", SEED, &options)?;
            for (node, machine) in rig.cluster.nodes().zip(machines) {
                rig.cluster.set_launcher(node, machine.launcher());
            }
            let leader = rig.launch().await?;
            let mut kho = Command::new(rig.cluster.executable());
            kho.args(["drill", "isolate", "--before", "2", "--outage", "4", "--after", "2"]);
            kho.args(["--cut-command", CUT, "--heal-command", HEAL, "--config"]).arg(rig.cluster.layout().drill_file());
            kho.arg("--out").arg(rig.path().join("reports"));
            let output = tokio::task::spawn_blocking(move || kho.output()).await??;
            let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
            ensure!(output.status.success(), "kho drill: {}: {said}", output.status);
            let file = said.lines().find(|line| line.ends_with(".json")).context("a report")?;
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
            let number =
                |place: &str| report.pointer(place).and_then(serde_json::Value::as_f64).context(place.to_owned());

            // the rules did something, and are gone
            let runs = report["fault"]["commands"].as_array().context("commands")?;
            ensure!(runs.iter().map(|run| &run["exit_code"]).eq([0, 0]), "{runs:?}");
            let met: serde_json::Value =
                serde_json::from_str(runs[1]["output"].as_str().context("what the heal said")?)?;
            let met = met["nftables"].as_array().context("nft lists")?;
            let met = met.iter().find_map(|one| one["counter"]["packets"].as_u64()).context("a counter")?;
            ensure!(met > 0, "no packet met the cut");
            for machine in machines {
                let left = machine.run(&["nft", "list", "tables"], "").await?;
                ensure!(left.is_empty(), "on {} there is {left}", machine.name);
            }

            ensure!(report["passed"] == true && report["fault"]["took_effect"] == true, "{report:#}");
            ensure!(report["fault"]["leader_before"] == leader.0 && report["fault"]["leader_after"] != leader.0);
            let (records, gap) = (number("/checks/records")?, number("/measured/longest_gap_ms")?);
            ensure!(records > 300.0 && number("/checks/receipts_verified")? == records, "{report:#}");
            ensure!(number("/checks/lost")? == 0.0 && number("/measured/failed")? == 0.0, "{report:#}");
            ensure!((LEASE_MS..3_000.0).contains(&gap), "longest gap {gap} ms");
            let verdicts = report["requirements"].as_array().context("requirements")?.iter();
            let verdicts: Vec<_> =
                verdicts.map(|one| format!("{} {}", one["id"], one["verdict"]).replace('"', "")).collect();
            ensure!(verdicts == ["R-A2 pass", "R-A3 pass", "R-A5 pass", "R-B1 pass"], "{verdicts:?}");
            // one leaf for each record, one for the probe, one for the genesis
            let (leaves, _) = rig.cluster.wait_equal().await?;
            ensure!(records + 2.0 == leaves as f64, "{records} records and {leaves} leaves");
            println!("node {leader} cut off by {met} dropped packets: longest gap {gap} ms, {records} records, lost 0");
            rig.finish().await
        })
    })
}
