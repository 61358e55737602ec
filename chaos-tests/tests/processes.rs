//! Ring 2: real processes on real links, each in a network namespace of its own, under a load and faults that a seed
//! draws. Each fault is proven to have taken effect; then everything must hold. R-A1 to R-A3, R-A5; I1 to I7, I11.
//!
//! `KHO_SEED=0x2a KHO_SECONDS=90 cargo test --workspace --test processes -- --nocapture faults`

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
