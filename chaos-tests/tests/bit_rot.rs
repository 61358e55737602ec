//! Bit rot in every kind of file of a node.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kho::dev::{Error, NodeId};
use kho_chaos_tests::attack::{self};
use kho_chaos_tests::load;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::rot::{self, Rot};

const CASES: &[(&str, Rot)] = &[
    ("logs/1/raft/*.log", Rot::Flip(300)),
    ("logs/1/raft/*.log", Rot::Flip(999)),
    ("logs/1/raft/*.log", Rot::Cut),
    ("logs/1/raft/*.sst", Rot::Flip(300)),
    ("logs/1/raft/*.sst", Rot::Flip(900)),
    ("logs/1/raft/*.sst", Rot::Cut),
    ("logs/1/raft/MANIFEST-*", Rot::Flip(500)),
    ("logs/1/raft/MANIFEST-*", Rot::Cut),
    ("logs/1/raft/CURRENT", Rot::Flip(500)),
    ("logs/1/state-*/*.sst", Rot::Flip(300)),
    ("logs/1/state-*/*.sst", Rot::Cut),
    ("logs/1/state-*/MANIFEST-*", Rot::Flip(500)),
    ("logs/1/state-*/MANIFEST-*", Rot::Cut),
    ("logs/1/state-*/CURRENT", Rot::Flip(500)),
    ("logs/1/CURRENT", Rot::Flip(500)),
    ("logs/1/snapshots/*/db/MANIFEST-*", Rot::Flip(500)),
    ("identity", Rot::Flip(500)),
];

async fn case(pattern: &str, rot: Rot) -> Result<()> {
    let mut rig = Rig::create("rot", 5, toml::Table::new())?;
    let leader = rig.launch().await?;
    let victim: NodeId = rig.cluster.nodes().find(|node| *node != leader).context("three")?;
    let mut all = Vec::new();
    for round in 0..2 {
        let (outcomes, ()) = attack::under_load(&mut rig, 8, 150, async |_, _| Ok(())).await?;
        all.extend(load::settle(&rig.cluster.client()?, &rig.senders.history, &outcomes.unknown).await?);
        all.extend(outcomes.acknowledged);
        rig.cluster.wait_equal().await?;
        if round == 0 {
            rig.cluster.admin(victim)?.trigger_snapshot().await?;
            rig.cluster.admin(leader)?.trigger_snapshot().await?;
            rig.cluster.terminate(victim).await?;
            rig.cluster.start(victim)?;
            rig.cluster.wait_ready().await?;
        }
    }
    rig.cluster.kill(victim)?;
    let path = rot::damage(&rig.cluster.layout().data_dir(victim), pattern, rot)?;
    println!("=== {rot:?} {}", path.strip_prefix(rig.path())?.display());
    rig.cluster.start(victim)?;
    let start = Instant::now();
    let mut ended = None;
    while start.elapsed() < Duration::from_secs(4) && ended.is_none() {
        match rig.cluster.check_alive() {
            Ok(()) => {}
            Err(Error::Ended { status, tail, .. }) => ended = Some((status, tail)),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    match ended {
        Some((status, tail)) => println!("    ended: {status}: {}", tail.lines().last().unwrap_or_default()),
        None => {
            let client = rig.cluster.client_of(victim)?;
            let mut errors = std::collections::BTreeMap::new();
            let reads: Vec<_> = all.iter().map(|one| load::get(&client, &rig.senders.history, one)).collect();
            use futures::StreamExt;
            let answers: Vec<_> = futures::stream::iter(reads).buffered(100).collect().await;
            for answer in answers {
                if let Err(error) = answer {
                    let text = error.split(": ").skip(1).collect::<Vec<_>>().join(": ");
                    *errors.entry(text).or_insert(0) += 1;
                }
                if rig.cluster.check_alive().is_err() {
                    break;
                }
            }
            println!("    reads of {} gave errors {errors:?}", all.len());
            match rig.cluster.check_alive() {
                Ok(()) => println!("    running, {:?}", rig.cluster.wait_equal().await.map(|(size, _)| size)),
                Err(error) => println!("    {error}"),
            }
        }
    }
    Ok(())
}

#[test]
fn explore() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for (pattern, rot) in CASES {
            if let Err(error) = case(pattern, *rot).await {
                println!("    case failed: {error:#}");
            }
        }
        Ok(())
    })
}
