//! How long statistics of many series take: a node of its own is filled, and asked. Prints; asserts only that the counts are right.
//!
//! `KHO_BIN=target/release/kho target/release/statistics --dir /some/disk/new` (R-D5, R-B2)

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use kho::dev::{DevCluster, Options};
use kho_client::{Client, Draft, PemSigner, Signed, StatsBy, StatsQuery, SubmitError, System};
use kho_proto::report::Figures;
use serde_json::{Value, json};

/// Fills a node with reports of every province and measures statistics over them.
#[derive(Parser)]
struct Args {
    /// Series: reports of different units, regimes and periods.
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Questions of each kind.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The node's files go here; must not exist.
    #[arg(long)]
    dir: PathBuf,
}

const REGIMES: usize = 4;
/// Records of a message.
const TOGETHER: usize = 250;
/// Messages under way.
const UNDER_WAY: usize = 4;
/// Tries with a record.
const TRIES: usize = 20;

fn draft(unit: &str, regime: &str, period: &str, series: &str, media_type: &str, payload: Vec<u8>) -> Result<Draft> {
    Ok(Draft {
        record_id: None,
        unit: unit.parse()?,
        regime: regime.parse()?,
        period: period.parse()?,
        series: series.to_owned(),
        supersedes: None,
        receivers: vec!["VPCP".parse()?],
        media_type: media_type.to_owned(),
        payload: payload.into(),
    })
}

async fn load(cluster: &DevCluster, client: &Client, units: &[String]) -> Result<()> {
    let keeper = cluster.signer(&"VPCP".parse()?)?;
    let unit = |code: &String| json!({"kind": "unit", "code": code, "effective_from": "2010-01-01", "name": {"vi": code}, "unit_kind": "province"});
    let regime = |n: usize| {
        json!({
            "kind": "regime", "code": format!("BENCH-{n}"), "effective_from": "2010-01-01", "owner": "VPCP", "mode": "opaque",
            "name": {"vi": "Đo"}, "frequency": "daily", "deadline": {"days_after": 1},
            "reporters": {"unit_kinds": ["province"]}, "receivers": ["VPCP"]
        })
    };
    let documents: Vec<Value> = units.iter().map(unit).chain((0..REGIMES).map(regime)).collect();
    let mut entries = Vec::new();
    for document in &documents {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let payload = serde_json::from_value::<Figures>(document.clone())?.into_canonical().into_bytes();
        let (regime, media_type) = (format!("kho.{}", text("kind")), "application/vnd.kho.catalogue.v1+json");
        let mut entry = draft("VPCP", &regime, &text("effective_from"), &text("code"), media_type, payload)?;
        entry.receivers.clear();
        entries.push(entry.sign(&keeper, &System).await?);
    }
    put(client, entries).await.context("catalogue")
}

/// Submits until all are in: on a machine with other work a time-out says nothing.
async fn put(client: &Client, mut records: Vec<Signed>) -> Result<()> {
    for _ in 0..TRIES {
        let answers = client.submit_many(&records).await;
        let mut left = Vec::new();
        for (record, answer) in records.into_iter().zip(answers) {
            match answer {
                Ok(_) => {}
                Err(SubmitError::Unknown { .. } | SubmitError::Unreachable { .. }) => left.push(record),
                Err(error) => return Err(error.into()),
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        records = left;
    }
    bail!("{} records were not taken in {TRIES} tries", records.len())
}

async fn fill(cluster: &DevCluster, client: &Client, units: &[String], days: &[String]) -> Result<usize> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut submitted = 0;
    let signers: Vec<PemSigner> =
        units.iter().map(|unit| Ok(cluster.signer(&unit.parse()?)?)).collect::<Result<_>>()?;
    let mut batch: Vec<Signed> = Vec::new();
    let total = units.len() * REGIMES * days.len();
    for day in days {
        for regime in 0..REGIMES {
            for (unit, signer) in units.iter().zip(&signers) {
                let report = draft(unit, &format!("BENCH-{regime}"), day, "", "text/plain", b"0".to_vec())?;
                batch.push(report.sign(signer, &System).await?);
                submitted += 1;
                if batch.len() == TOGETHER || submitted == total {
                    let (client, records) = (client.clone(), std::mem::take(&mut batch));
                    tasks.spawn(async move { put(&client, records).await });
                    while tasks.len() >= UNDER_WAY {
                        tasks.join_next().await.context("a task")???;
                    }
                }
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(submitted)
}

/// Days from 2010 on.
fn days(count: usize) -> Vec<String> {
    let months = (2010..2030).flat_map(|year| (1..=12).map(move |month| (year, month)));
    months
        .flat_map(|(year, month)| (1..=28).map(move |day| format!("{year}-{month:02}-{day:02}")))
        .take(count)
        .collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut cluster = DevCluster::create_with(&args.dir, &Options { nodes: 1, ..Options::default() }.with_catalogue())?;
    cluster.launch().await?;
    let client = cluster.client()?;
    let units: Vec<String> = (1..=63).map(|n| format!("T{n:02}")).collect();
    load(&cluster, &client, &units).await?;
    let days = days(args.series.div_ceil(units.len() * REGIMES));
    let begun = Instant::now();
    let series = fill(&cluster, &client, &units, &days).await?;
    println!("{series} series in {:.0} s", begun.elapsed().as_secs_f64());
    for (name, by) in [
        ("total", StatsBy::Total),
        ("by unit", StatsBy::Unit),
        ("by unit and regime", StatsBy::UnitRegime),
        ("a row each", StatsBy::UnitRegimePeriod),
    ] {
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..args.rounds {
            let query = StatsQuery {
                units: Vec::new(),
                regimes: Vec::new(),
                from: "2010".parse()?,
                to: days[days.len() - 1].parse()?,
                as_of: None,
                by,
                stale: false,
            };
            let begun = Instant::now();
            let stats = client.stats(&query).await?;
            times.push(begun.elapsed());
            rows = stats.rows.len();
            let records: u64 = stats.rows.iter().map(|row| row.counts.records).sum();
            let late: u64 = stats.rows.iter().map(|row| row.counts.late).sum();
            ensure!(records == series as u64 && late == records, "{name}: {records} records, {late} late, of {series}");
        }
        let slowest = times.iter().max().copied().unwrap_or(Duration::ZERO);
        let mean = times.iter().sum::<Duration>() / u32::try_from(times.len().max(1))?;
        println!(
            "{name}: mean {:.0} ms, slowest {:.0} ms, {rows} rows",
            mean.as_secs_f64() * 1e3,
            slowest.as_secs_f64() * 1e3
        );
    }
    Ok(())
}
