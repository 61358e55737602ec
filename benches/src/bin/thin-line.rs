//! Kho against etcd on this machine: throughput in interleaved rounds, gaps when the leader goes, idle cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use kho::bench::process;
use kho_benches::faults::{Fault, leader_goes};
use kho_benches::load::measure;
use kho_benches::report::{Idle, Report, Results};
use kho_benches::system::System;
use kho_benches::systems::{Etcd, Kho};

/// Measures Kho and etcd with one load generator.
#[derive(Parser)]
struct Args {
    /// Rounds; each measures both systems, one after the other.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement, after two seconds of warming up.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Connections, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64])]
    connections: Vec<usize>,
    /// SIGKILLs of the leader.
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// SIGTERMs of the leader.
    #[arg(long, default_value_t = 3)]
    terminations: usize,
    /// Seconds at rest; 0 leaves it out.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// Only this system: `kho` or `etcd`.
    #[arg(long)]
    only: Option<String>,
    /// Clusters' files go here, on the disk that is to be measured; must not exist.
    #[arg(long)]
    dir: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    output: PathBuf,
    /// Facts of the machine for the JSON, `name=value`.
    #[arg(long)]
    machine: Vec<String>,
}

async fn rounds<S: System>(args: &Args, dir: &Path, results: &mut Results) -> Result<()> {
    let mut system = S::launch(dir).await.with_context(|| S::NAME)?;
    for &connections in &args.connections {
        let measured = measure(&mut system, connections, Duration::from_secs(args.seconds)).await?;
        eprintln!(
            "{:<5} {connections:>3} connections: {:>6.0} records/s, p50 {:.2} ms, p99 {:.2} ms",
            S::NAME,
            measured.records_per_s,
            measured.p50_ms,
            measured.p99_ms
        );
        results.rounds.push(measured);
        for pid in system.processes() {
            results.rss_own_mib = results.rss_own_mib.max(process::rss_own_mib(pid)?);
        }
    }
    for pid in system.processes() {
        results.rss_peak_mib = results.rss_peak_mib.max(process::rss_peak_mib(pid)?);
    }
    system.stop().await
}

async fn faults<S: System>(args: &Args, dir: &Path, results: &mut Results) -> Result<()> {
    let mut system = S::launch(dir).await.with_context(|| S::NAME)?;
    for (fault, times) in [(Fault::Kill, args.kills), (Fault::Terminate, args.terminations)] {
        for _ in 0..times {
            let noticed = leader_goes(&mut system, fault).await?;
            let (gap, slowest) = (noticed.longest_gap_ms, noticed.slowest_ms);
            eprintln!(
                "{:<5} {fault:?} of the leader: longest gap {gap:.0} ms, slowest record {slowest:.0} ms",
                S::NAME
            );
            match fault {
                Fault::Kill => results.kills.push(noticed),
                Fault::Terminate => results.terminations.push(noticed),
            }
        }
    }
    system.stop().await
}

async fn idle<S: System>(args: &Args, dir: &Path, results: &mut Results) -> Result<()> {
    const SETTLE: Duration = Duration::from_secs(5);
    let system = S::launch(dir).await.with_context(|| S::NAME)?;
    tokio::time::sleep(SETTLE).await;
    let pids = system.processes();
    let cpu = || pids.iter().map(|pid| process::cpu(*pid)).collect::<Result<Vec<_>>>();
    let before = cpu()?;
    tokio::time::sleep(Duration::from_secs(args.idle_seconds)).await;
    let percent =
        |(after, before): (Duration, Duration)| (after - before).as_secs_f64() / args.idle_seconds as f64 * 100.0;
    results.idle = Some(Idle {
        rss_mib: pids.iter().map(|pid| process::rss_mib(*pid)).collect::<Result<_>>()?,
        cpu_percent: cpu()?.into_iter().zip(before).map(percent).collect(),
        seconds: args.idle_seconds,
    });
    system.stop().await
}

/// Puts on disk what anybody has written, so that the next measurement does not pay for it.
async fn settle() -> Result<()> {
    tokio::task::spawn_blocking(rustix::fs::sync).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let (mut kho, mut etcd) = (Results::default(), Results::default());
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    for round in 0..args.rounds {
        let dir = |name: &str| args.dir.join(format!("round{round}-{name}"));
        // each goes first in its turn, and none into what the other left to be written
        let order = if round % 2 == 0 { ["kho", "etcd"] } else { ["etcd", "kho"] };
        for name in order.into_iter().filter(|name| wanted(name)) {
            settle().await?;
            match name {
                "kho" => rounds::<Kho>(args, &dir(name), &mut kho).await?,
                _ => rounds::<Etcd>(args, &dir(name), &mut etcd).await?,
            }
        }
    }
    if wanted("kho") {
        faults::<Kho>(args, &args.dir.join("faults-kho"), &mut kho).await?;
    }
    if wanted("etcd") {
        faults::<Etcd>(args, &args.dir.join("faults-etcd"), &mut etcd).await?;
    }
    if args.idle_seconds > 0 {
        if wanted("kho") {
            idle::<Kho>(args, &args.dir.join("idle-kho"), &mut kho).await?;
        }
        if wanted("etcd") {
            idle::<Etcd>(args, &args.dir.join("idle-etcd"), &mut etcd).await?;
        }
    }
    let machine = args.machine.iter().filter_map(|fact| fact.split_once('='));
    let settings = BTreeMap::from([
        ("rounds".to_owned(), args.rounds.to_string()),
        ("seconds".to_owned(), args.seconds.to_string()),
        ("kho_election_timeout_ms".to_owned(), "160 to 320 (its default)".to_owned()),
        ("etcd_election_timeout_ms".to_owned(), "1000 (its default)".to_owned()),
        ("payload_bytes".to_owned(), kho_benches::system::PAYLOAD_BYTES.to_string()),
    ]);
    let systems = [(Kho::NAME, kho), (Etcd::NAME, etcd)].into_iter().filter(|(name, _)| wanted(name)).collect();
    Ok(Report::new(machine.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), settings, systems))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&args))?;
    if let Some(parent) = args.output.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&args.output, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("{}\n\n{}", report.table(), args.output.display());
    Ok(())
}
