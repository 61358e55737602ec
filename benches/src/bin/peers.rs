//! Kho against etcd, PostgreSQL and RabbitMQ on this machine, in interleaved rounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use kho::bench::report::{Failover, Idle, Report, Spread};
use kho::bench::round::{Times, measure, settle};
use kho::bench::syncs::{self, Tool};
use kho::bench::{machine, page, table};
use kho_benches::faults::{Fault, leader_goes};
use kho_benches::goals::goals;
use kho_benches::ratios::ratios;
use kho_benches::steps::{Step, besides, singles, twins_together};
use kho_benches::system::System;
use kho_benches::systems::{Etcd, Kho, Postgres, RabbitMq};
use kho_proto::signature::Algorithm;

/// Measures Kho and others with one load generator.
#[derive(Parser)]
#[command(args_override_self = true)] // scripts give some, and their callers the same again
struct Args {
    /// Which systems.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::Kho, Peer::Etcd, Peer::Postgres, Peer::Rabbitmq])]
    systems: Vec<Peer>,
    /// Rounds; each measures every system, one after the other, in an order that alternates.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Seconds of load before each.
    #[arg(long, default_value_t = 1.5)]
    warm_up: f64,
    /// Bytes of a payload.
    #[arg(long, value_delimiter = ',', default_values_t = [1024, 16384])]
    sizes: Vec<usize>,
    /// Connections.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64])]
    connections: Vec<usize>,
    /// Leaves out what only Kho does: many in a call, streams, RSA signatures, reads.
    #[arg(long)]
    singles_only: bool,
    /// SIGKILLs of the leader.
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// SIGTERMs of the leader.
    #[arg(long, default_value_t = 0)]
    terminations: usize,
    /// Seconds at rest; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    idle_seconds: u64,
    /// Records, one after the other, of the run that counts syncs; 0 leaves it out.
    #[arg(long, default_value_t = 300)]
    syncs: usize,
    /// Clusters' files go here, on the disk that is to be measured; must not exist.
    #[arg(long)]
    dir: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    json: PathBuf,
    /// Where the page goes.
    #[arg(long)]
    html: PathBuf,
    /// Facts of the machine for the report, `name=value`.
    #[arg(long)]
    machine: Vec<String>,
}

/// A system by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Kho,
    Etcd,
    Postgres,
    Rabbitmq,
}

/// Does the same with the system that `$peer` names.
macro_rules! with_system {
    ($peer:expr, $call:ident($($argument:expr),*)) => {
        match $peer {
            Peer::Kho => $call::<Kho>($($argument),*).await.context(Kho::NAME),
            Peer::Etcd => $call::<Etcd>($($argument),*).await.context(Etcd::NAME),
            Peer::Postgres => $call::<Postgres>($($argument),*).await.context(Postgres::NAME),
            Peer::Rabbitmq => $call::<RabbitMq>($($argument),*).await.context(RabbitMq::NAME),
        }
    };
}

impl Args {
    fn steps(&self, peer: Peer) -> Vec<Step> {
        let mut steps = singles(&self.sizes, &self.connections);
        if peer == Peer::Kho
            && !self.singles_only
            && let Some(size) = self.sizes.first()
        {
            steps.extend(besides(*size, &self.connections));
        }
        twins_together(steps)
    }

    fn times(&self) -> Times {
        let seconds = Duration::from_secs_f64;
        Times { warm_up: seconds(self.warm_up), duration: seconds(self.seconds) }
    }
}

async fn round<S: System>(args: &Args, steps: &[Step], dir: &Path, report: &mut Report) -> Result<()> {
    let mut system = S::launch(dir).await?;
    for step in steps {
        let of = step.of(S::NAME);
        if let Some(algorithm) = step.algorithm {
            system.sign_with(algorithm)?;
        }
        // where it was not measured yet: what is signed in another way will not be faster
        let plain = Step { algorithm: None, ..*step }.of(S::NAME);
        let before = report.find(&of).or_else(|| report.find(&plain)).map(|series| series.summary.records_per_s.max);
        settle().await?;
        let measured = measure(&mut system, &step.work, &args.times(), before).await?;
        if step.algorithm.is_some() {
            system.sign_with(Algorithm::Ed25519)?;
        }
        let (p50, p99) = (measured.latency.p50_ms, measured.latency.p99_ms);
        eprintln!("{:<44} {:>7.0} records/s, p50 {p50:.2} ms, p99 {p99:.2} ms", of.label(), measured.records_per_s);
        ensure!(measured.records > 0, "{}: nothing was acknowledged: {:?}", of.label(), measured.error);
        report.add(&of, measured);
    }
    system.stop().await
}

async fn apart<S: System>(args: &Args, steps: &[Step], dir: &Path, report: &mut Report) -> Result<()> {
    let mut system = S::launch(dir).await?;
    if args.idle_seconds > 0 {
        report.idle.push(idle(&system, args.idle_seconds).await?);
    }
    if args.syncs > 0 {
        let tool = Tool::find().context("syncs are counted by perf or strace, and neither can be used here")?;
        let step = steps.first().context("a size and a number of connections")?;
        let counted = syncs::count(&mut system, tool, &step.work, args.syncs).await?;
        for one in &counted {
            eprintln!("{}: {:.2} syncs per record, {}", S::NAME, one.per_record, one.load);
        }
        report.syncs.extend(counted);
    }
    for (fault, times) in [(Fault::Kill, args.kills), (Fault::Terminate, args.terminations)] {
        let mut noticed = Vec::new();
        for _ in 0..times {
            settle().await?;
            let one = leader_goes(&mut system, fault).await?;
            let (gap, slowest) = (one.longest_gap_ms, one.slowest_ms);
            eprintln!(
                "{}: {} of the leader: longest gap {gap:.0} ms, slowest record {slowest:.0} ms",
                S::NAME,
                fault.as_str()
            );
            noticed.push(one);
        }
        let Some(gap_ms) = Spread::of(noticed.iter().map(|one| one.longest_gap_ms)) else { continue };
        report.failovers.push(Failover {
            system: S::NAME.to_owned(),
            fault: fault.as_str().to_owned(),
            by: S::FAILOVER.to_owned(),
            gaps_ms: noticed.iter().map(|one| one.longest_gap_ms).collect(),
            slowest_ms: noticed.iter().map(|one| one.slowest_ms).collect(),
            gap_ms,
        });
    }
    report.notes.insert(S::NAME.to_owned(), S::DURABILITY.to_owned());
    system.stop().await
}

async fn idle<S: System>(system: &S, seconds: u64) -> Result<Idle> {
    const SETTLE: Duration = Duration::from_secs(5);
    tokio::time::sleep(SETTLE).await;
    let look = || system.groups().iter().map(kho::bench::process::Group::look).collect::<Result<Vec<_>>>();
    let before = look()?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let nodes = look()?.iter().zip(&before).map(|(after, before)| after.since(before)).collect();
    Ok(Idle { system: S::NAME.to_owned(), seconds: seconds as f64, nodes })
}

/// The order of a round: each goes first in its turn, and behind another one than before.
fn order(systems: &[Peer], round: usize) -> Vec<Peer> {
    let mut order = systems.to_vec();
    order.rotate_left(round % systems.len());
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

async fn run(args: &Args) -> Result<(Report, Vec<String>)> {
    let mut report = Report::new("Kho beside others", machine::now());
    report.machine = machine::facts();
    report.machine.extend(
        args.machine
            .iter()
            .filter_map(|fact| fact.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let settings = [
        ("rounds", args.rounds.to_string()),
        ("seconds", args.seconds.to_string()),
        ("warm_up_seconds", args.warm_up.to_string()),
        ("election_timeouts", "defaults: Kho 160 to 320 ms, etcd 1000 ms".to_owned()),
    ];
    report.settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // a system that fails is told at the end, and leaves the others their figures
    let mut failed = Vec::new();
    let mut done = |dir: &Path, result: Result<()>| match result {
        Ok(()) => std::fs::remove_dir_all(dir),
        // its logs stay
        Err(error) => {
            eprintln!("FAILED: {error:#}");
            failed.push(format!("{error:#}"));
            Ok(())
        }
    };
    for number in 0..args.rounds {
        for peer in order(&args.systems, number) {
            let (steps, dir) = (args.steps(peer), args.dir.join(format!("round{number}-{peer:?}")));
            settle().await?;
            done(&dir, with_system!(peer, round(args, &steps, &dir, &mut report)))?;
        }
    }
    for peer in &args.systems {
        let (steps, dir) = (args.steps(*peer), args.dir.join(format!("apart-{peer:?}")));
        settle().await?;
        done(&dir, with_system!(*peer, apart(args, &steps, &dir, &mut report)))?;
    }
    let others: Vec<&str> = [Etcd::NAME, Postgres::NAME, RabbitMq::NAME].into();
    report.ratios = ratios(&report, &args.steps(Peer::Kho), &others);
    report.goals = goals(&report);
    failed.iter().enumerate().for_each(|(n, why)| drop(report.notes.insert(format!("failed {}", n + 1), why.clone())));
    Ok((report, failed))
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(!args.dir.exists(), "{} is there already", args.dir.display());
    std::fs::create_dir_all(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (report, failed) = runtime.block_on(run(&args))?;
    std::fs::write(&args.json, serde_json::to_string_pretty(&report)? + "\n")?;
    std::fs::write(&args.html, page::render(&report)?)?;
    println!("{}\n\n{}\n{}", table::render(&report), args.json.display(), args.html.display());
    let unsynced = report.syncs.iter().filter(|syncs| syncs.majority == Some(false)).map(|syncs| syncs.system.as_str());
    let unsynced: Vec<&str> = unsynced.collect();
    ensure!(unsynced.is_empty(), "records were acknowledged that no majority can have synced: {}", unsynced.join(", "));
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}
