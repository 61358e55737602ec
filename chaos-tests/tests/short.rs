//! Short attacks, each on a cluster of its own and each on one promise, so that a planted bug (docs/mutants.md) meets a
//! test that takes seconds. Afterwards everything must hold. R-A2, R-A5, R-B4.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::history::Recorded;
use kho_chaos_tests::invariants::{Breach, must_hold, one_leader};
use kho_chaos_tests::load;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};

const WORKERS: usize = 6;
const SEED: u64 = 0x5407;
/// Acknowledgements between two steps.
const ACKNOWLEDGED: usize = 30;
/// Followers answer what they had begun before they stood still.
const IN_FLIGHT: Duration = Duration::from_millis(300);
/// As long as some elections.
const WITHOUT_MAJORITY: Duration = Duration::from_millis(1200);
/// Files that a node's flush has begun when the kill comes. Each table with new rows gets one, in a fixed order: with these
/// the table that tells retries from new records would be on disk, and neither the tree's tiles nor the applied index. A
/// cut further ahead would be healed by applying again, which is why kills at random times often show nothing.
const TABLES_BEGUN: RangeInclusive<usize> = 5..=7;
/// A flush takes milliseconds; a slow disk needs longer.
const FLUSH_LIMIT: Duration = Duration::from_secs(20);
const KILLS: usize = 5;
/// Pauses of a leader, and reads that meet it when it wakes.
const PAUSES: usize = 5;
const AT_ITS_DOOR: usize = 8;
/// Between looks at a node that should end.
const REFUSED_POLL: Duration = Duration::from_millis(200);

async fn leader(cluster: &DevCluster) -> Result<NodeId> {
    cluster.leader().await?.context("a leader")
}

/// I3: a leader that stood still while others elected another answers no read out of its past, nor does one that handed over.
#[test]
fn a_leader_that_was_paused_reads_nothing_stale() -> Result<()> {
    attack::on_a_cluster("paused", SEED, async |rig, all| {
        for round in 0..PAUSES {
            let (known, history) = (all.clone(), Arc::clone(&rig.senders.history));
            let step = async |cluster: &mut DevCluster, progress: &Progress| {
                let old = leader(cluster).await?;
                let client = cluster.client_of(old)?;
                cluster.pause(old)?;
                // proof of effect: nothing is acknowledged without a leader
                progress.more(ACKNOWLEDGED).await?;
                // they wait at its door: answered out of its past, they are of a log that is too short
                let asked = known.iter().rev().take(AT_ITS_DOOR).map(|one| load::get(&client, &history, one));
                let resume = async {
                    tokio::time::sleep(IN_FLIGHT).await;
                    cluster.resume(old)
                };
                let (resumed, _) = tokio::join!(resume, join_all(asked));
                resumed?;
                progress.more(ACKNOWLEDGED).await?;
                let new = cluster.wait_ready().await?;
                ensure!(new != old, "node {old} stood still and leads");
                let handed = cluster.admin(new)?.transfer_leader(Some(old)).await?;
                progress.more(ACKNOWLEDGED).await?;
                println!("round {round}: node {old} paused, {new} led, handed over to {}", handed.leader_id);
                Ok(())
            };
            let (outcomes, ()) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, step).await?;
            attack::keep(rig, outcomes, all).await?;
        }
        Ok(())
    })
}

/// I7: a leader whose followers stand still acknowledges nothing, and nothing that it did is lost with it.
#[test]
fn a_leader_without_a_majority_acknowledges_nothing() -> Result<()> {
    attack::on_a_cluster("alone", SEED, async |rig, all| {
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            let old = leader(cluster).await?;
            let others: Vec<_> = cluster.nodes().filter(|node| *node != old).collect();
            others.iter().try_for_each(|node| cluster.pause(*node))?;
            tokio::time::sleep(IN_FLIGHT).await;
            let (from, before) = (progress.now_us(), progress.acknowledged());
            tokio::time::sleep(WITHOUT_MAJORITY).await;
            let (to, told) = (progress.now_us(), progress.acknowledged() - before);
            cluster.kill(old)?;
            others.iter().try_for_each(|node| cluster.resume(*node))?;
            println!("node {old} alone for {} ms: {told} acknowledgements", (to - from) / 1000);
            if told == 0 {
                progress.more(ACKNOWLEDGED).await?;
            }
            cluster.start(old)?;
            Ok((from, to))
        };
        let (outcomes, (from, to)) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, step).await?;
        must_hold(one_leader::without_majority(from, to, &Recorded::read(&rig.history())?.operations));
        rig.cluster.wait_ready().await?;
        attack::keep(rig, outcomes, all).await
    })
}

/// I1, I2, I5: a node that was away for longer than the log reaches back gets a snapshot, and is as good as the others: as
/// a leader it knows every record again.
#[test]
fn a_straggler_gets_a_snapshot_and_leads() -> Result<()> {
    attack::on_a_cluster("straggler", SEED, async |rig, all| {
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            let leader = leader(cluster).await?;
            let away = cluster.nodes().find(|node| *node != leader).context("three nodes")?;
            cluster.kill(away)?;
            progress.more(ACKNOWLEDGED).await?;
            let made = cluster.admin(leader)?.trigger_snapshot().await?.snapshot;
            // What comes behind the snapshot is in the log alone.
            progress.more(ACKNOWLEDGED).await?;
            // The leader holds the log for as long as a request that carries it is on its way to the straggler: who comes
            // back before needs no snapshot.
            cluster
                .wait_until("the leader to purge its log", kho::dev::READY_TIMEOUT, |statuses, _| {
                    statuses.get(&leader).is_some_and(|status| status.purged >= made)
                })
                .await?;
            cluster.start(away)?;
            Ok((away, made))
        };
        let (outcomes, (away, made)) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, step).await?;
        rig.cluster
            .wait_until("the straggler to catch up", kho::dev::READY_TIMEOUT, |statuses, expected| {
                let applied: Vec<_> = statuses.values().map(|status| status.applied).collect();
                applied.len() == expected && applied.windows(2).all(|pair| pair[0] == pair[1])
            })
            .await?;
        let status = rig.cluster.admin(away)?.status().await?;
        // proof of effect: its log begins behind the snapshot
        ensure!(status.snapshot >= made && status.purged >= made, "node {away} came back without a snapshot");
        attack::keep(rig, outcomes, all).await?;
        let leader = leader(&rig.cluster).await?;
        if leader != away {
            rig.cluster.admin(leader)?.transfer_leader(Some(away)).await?;
            rig.cluster.wait_ready().await?;
        }
        println!("node {away} came back to a snapshot at {made}, and leads");
        rig.check_exactly_once(all, all).await
    })
}

/// I1, I5: all nodes killed at once, one at a known place in a flush and the others wherever they are in theirs: what is
/// on a disk is the state after one entry.
#[test]
fn killed_in_the_midst_of_flushes() -> Result<()> {
    attack::on_a_cluster("flushes", SEED, async |rig, all| {
        let mut random = StdRng::seed_from_u64(SEED);
        for _ in 0..KILLS {
            let step = async |cluster: &mut DevCluster, _: &Progress| {
                let admins = cluster.nodes().map(|node| cluster.admin(node)).collect::<Result<Vec<_>, _>>()?;
                let nodes: Vec<_> = cluster.nodes().collect();
                let aimed = *nodes.choose(&mut random).context("a node")?;
                let begun = random.random_range(TABLES_BEGUN);
                let log = cluster.layout().data_dir(aimed).join("logs/1");
                let before = table_files(&log)?;
                // whether they end is of no interest: the kill comes first
                let flushes =
                    tokio::spawn(async move { join_all(admins.iter().map(|admin| admin.trigger_snapshot())).await });
                // the thread that sees it kills at once: a flush is over before another would have its turn
                tokio::task::block_in_place(|| {
                    flush_has_begun(&log, &before, begun)?;
                    cluster.kill(aimed)?;
                    anyhow::Ok(cluster.kill_all()?)
                })?;
                flushes.abort();
                println!("all killed when node {aimed} had begun {begun} files");
                Ok(())
            };
            let (outcomes, ()) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, step).await?;
            rig.cluster.start_all()?;
            rig.cluster.wait_ready().await?;
            rig.check_durable(&outcomes.acknowledged).await?;
            attack::keep(rig, outcomes, all).await?;
        }
        Ok(())
    })
}

/// I7: a follower whose log was damaged does not open it: what it had confirmed may be gone. With the log as it was it
/// comes back.
#[test]
fn a_damaged_log_is_not_opened() -> Result<()> {
    attack::on_a_cluster("damaged", SEED, async |rig, all| {
        let step = async |cluster: &mut DevCluster, progress: &Progress| {
            let leader = leader(cluster).await?;
            let victim = cluster.nodes().find(|node| *node != leader).context("three nodes")?;
            cluster.kill(victim)?;
            let log = write_ahead_log(&cluster.layout().data_dir(victim).join("logs/1/raft"))?;
            let sound = std::fs::read(&log)?;
            let mut damaged = sound.clone();
            damaged[sound.len() / 2] ^= 1;
            std::fs::write(&log, damaged)?;
            cluster.start(victim)?;
            let status = loop {
                match cluster.wait_ended(victim, REFUSED_POLL).await {
                    Ok(status) => break status,
                    Err(kho::dev::Error::Timeout { .. }) if cluster.admin(victim)?.status().await.is_err() => {}
                    Err(kho::dev::Error::Timeout { .. }) => {
                        let what = format!("node {victim} serves with a log that was damaged in its middle");
                        must_hold([Breach { invariant: "I7", what }]);
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            ensure!(!status.success(), "node {victim} ended with {status}");
            println!("node {victim} ended with {status} on a damaged log of {} bytes", sound.len());
            progress.more(ACKNOWLEDGED).await?;
            std::fs::write(&log, sound)?;
            Ok(cluster.start(victim)?)
        };
        let (outcomes, ()) = attack::under_load(rig, WORKERS, ACKNOWLEDGED, step).await?;
        rig.cluster.wait_ready().await?;
        attack::keep(rig, outcomes, all).await
    })
}

/// The files of the live state's tables, and of those of states to come.
fn table_files(log: &Path) -> Result<HashSet<PathBuf>> {
    let mut files = HashSet::new();
    for state in std::fs::read_dir(log)? {
        let state = state?;
        if !state.file_name().to_string_lossy().starts_with("state-") {
            continue;
        }
        for file in std::fs::read_dir(state.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "sst") {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// Returns at the moment when `begun` files are there that were not there before.
fn flush_has_begun(log: &Path, before: &HashSet<PathBuf>, begun: usize) -> Result<()> {
    let deadline = Instant::now() + FLUSH_LIMIT;
    while table_files(log)?.difference(before).count() < begun {
        ensure!(Instant::now() < deadline, "no flush began {begun} files within {FLUSH_LIMIT:?}");
    }
    Ok(())
}

/// The largest of a database.
fn write_ahead_log(database: &Path) -> Result<PathBuf> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(database)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            logs.push((entry.metadata()?.len(), entry.path()));
        }
    }
    Ok(logs.into_iter().max().context("a write-ahead log")?.1)
}
