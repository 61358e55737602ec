//! A stream of records over real processes: the node that it is on is killed, then the leader; each record has one answer, and
//! its receipt. And what many records at once cost, against one at a time. R-A2, R-B1; I1, I2.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kho::dev::{DevCluster, Identity};
use kho_chaos_tests::rig::Rig;
use kho_client::{Client, Settled, Signed};
use kho_proto::id::RecordId;

const SEED: u64 = 0x57;
/// Of the stream that is attacked.
const RECORDS: usize = 900;
/// Of each way of sending.
const MEASURED: usize = 1500;
/// Single submits at once, as many as a stream has in flight.
const AT_ONCE: usize = 128;

async fn signed(rig: &Rig, client: &Client, count: usize) -> Result<Vec<Signed>> {
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        records.push(rig.senders.next(client).await?);
    }
    Ok(records)
}

#[test]
fn a_stream_goes_on_when_its_node_is_killed_and_when_the_leader_is() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("streams", SEED, toml::Table::new())?;
        let leader = rig.launch().await?;
        let mut config = rig.cluster.client_config(&Identity::Platform)?;
        // a killed node is away for some seconds here, and a record waits for an election at most
        config.timing.deadline = Duration::from_secs(10);
        // the first node is a follower: the stream begins there
        config
            .nodes
            .sort_by_key(|address| *address == rig.cluster.member(leader).map_or(String::new(), |m| m.client.clone()));
        let first = config.nodes[0].clone();
        let follower = rig.cluster.nodes().find(|node| rig.cluster.member(*node).is_ok_and(|m| m.client == first));
        let follower = follower.context("one of three")?;
        let client = Client::new(config)?;
        let records = signed(&rig, &client, RECORDS).await?;
        let (sender, mut results) = client.submit_stream();
        let sending = tokio::spawn(async move {
            for record in records {
                sender.send(record).await?;
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            Ok::<_, kho_client::StreamClosed>(())
        });
        let mut settled: BTreeMap<RecordId, Settled> = BTreeMap::new();
        let mut killed = None;
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        while let Some(one) = results.next().await {
            (longest, last) = (longest.max(last.elapsed()), Instant::now());
            let again = settled.insert(one.record.record_id(), one);
            ensure!(again.is_none(), "a second answer");
            match settled.len() {
                n if n == RECORDS / 4 => drop(rig.cluster.kill(follower)?),
                n if n == RECORDS / 2 => {
                    rig.cluster.start(follower)?;
                    rig.cluster.wait_ready().await?;
                    let leader = rig.cluster.leader().await?.context("a leader")?;
                    rig.cluster.kill(leader)?;
                    killed = Some(leader);
                }
                _ => {}
            }
        }
        sending.await??;
        ensure!(settled.len() == RECORDS, "{} answers to {RECORDS} records", settled.len());
        for (id, one) in &settled {
            let done = one.answer.as_ref().map_err(|error| anyhow::anyhow!("record {id}: {error}"))?;
            ensure!(done.record_id == *id && done.checkpoint.is_some(), "a receipt of its own, verified");
        }
        let verified = client.checkpoints_verified();
        println!(
            "{RECORDS} records, longest pause between two answers {} ms, {verified} checkpoints",
            longest.as_millis()
        );
        ensure!((verified as usize) < RECORDS, "the records of one entry share a checkpoint");
        rig.cluster.start(killed.context("both were killed")?)?;
        rig.cluster.wait_equal().await?;
        rig.finish().await
    })
}

/// CPU seconds of all nodes.
fn cpu(cluster: &DevCluster) -> Result<f64> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut sum = 0.0;
    for pid in cluster.nodes().filter_map(|node| cluster.pid(node)) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("a stat line")?.split_whitespace().collect();
        sum += (fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / ticks;
    }
    Ok(sum)
}

#[test]
fn many_records_at_once_cost_less_than_one_by_one() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("batches", SEED, toml::Table::new())?;
        rig.launch().await?;
        let mut config = rig.cluster.client_config(&Identity::Platform)?;
        config.timing.deadline = Duration::from_secs(20);
        config.timing.attempt = Duration::from_secs(5);
        let client = Client::new(config)?;
        // data keys and certificates are there before
        let warm = signed(&rig, &client, 300).await?;
        ensure!(client.submit_many(&warm).await.iter().all(Result::is_ok));

        let mut rows = Vec::new();
        for way in ["single submits", "submit_many", "submit_stream"] {
            let records = signed(&rig, &client, MEASURED).await?;
            let (start, before) = (Instant::now(), cpu(&rig.cluster)?);
            let taken = match way {
                "single submits" => single(&client, &records).await,
                "submit_many" => client.submit_many(&records).await.iter().filter(|answer| answer.is_ok()).count(),
                _ => streamed(&client, records).await?,
            };
            ensure!(taken == MEASURED, "{way}: {taken} of {MEASURED}");
            let (took, used) = (start.elapsed().as_secs_f64(), cpu(&rig.cluster)? - before);
            rows.push((way, MEASURED as f64 / took, used * 1e6 / MEASURED as f64));
        }
        for (way, rate, cost) in &rows {
            println!("{way}: {rate:.0} records/s, {cost:.0} µs of the nodes' CPU each");
        }
        rig.finish().await
    })
}

async fn single(client: &Client, records: &[Signed]) -> usize {
    use futures::StreamExt;
    let submits = futures::stream::iter(records).map(|record| client.submit(record));
    submits.buffer_unordered(AT_ONCE).filter(|answer| std::future::ready(answer.is_ok())).count().await
}

async fn streamed(client: &Client, records: Vec<Signed>) -> Result<usize> {
    let (sender, mut results) = client.submit_stream();
    let sending = tokio::spawn(async move {
        for record in records {
            sender.send(record).await?;
        }
        Ok::<_, kho_client::StreamClosed>(())
    });
    let mut taken = 0;
    while let Some(one) = results.next().await {
        taken += usize::from(one.answer.is_ok());
    }
    sending.await??;
    Ok(taken)
}
