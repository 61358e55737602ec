//! `kho bench`

mod args;

use std::path::Path;
use std::time::Duration;

use kho::bench::cluster::Target;
use kho::bench::ramp;
use kho::bench::report::{Report, Round, SeriesOf};
use kho::bench::round::{Loaded, Times, Work, measure, settle};
use kho::bench::syncs::{self, Tool};
use kho::bench::{Pace, machine, page, table};
use kho::client_file::ClientFile;

pub use args::Args;

use crate::exit::{Exit, Failure, Result};

pub async fn run(args: Args) -> Result {
    let mut target = match &args.local {
        Some(dir) => Target::local(dir, args.algorithm, args.verify).await?,
        None => Target::remote(&ClientFile::load(&args.config)?, args.verify)?,
    };
    let mut report = Report::new("kho bench", machine::now());
    report.machine = machine::facts();
    report.settings = args.settings();
    let works = args.works();
    let times = Times { warm_up: args.warm_up(), duration: args.duration() };
    // a later round begins where the tree, the logs and the caches are larger: each series sees all of it
    for number in 1..=args.rounds {
        for work in &works {
            let round = one(&mut target, work, &times, &report, args.algorithm.as_str()).await?;
            let of = series_of(&target, work, args.algorithm.as_str());
            eprintln!("round {number}: {}: {}", of.label(), said(&round));
            report.add(&of, round);
        }
    }
    if let Some(rates) = args.ramp {
        for work in args.ramped() {
            let label = series_of(&target, &work, args.algorithm.as_str()).label();
            let step = async |per_s: f64| {
                let work = Work { pace: Pace::Open { per_s }, ..work };
                settle().await?;
                let round = measure(&mut target, &work, &times, None).await?;
                eprintln!("{label} at {per_s:.0}/s: {}", said(&round));
                Ok(round)
            };
            report.ramps.push(ramp::climb(label.clone(), rates, args.p99_ms, step).await?);
        }
    }
    let counted = count_syncs(&args, &mut target, &works, &mut report).await;
    target.stop().await?;
    // what was measured is told, whatever became of the count
    publish(&args, &report)?;
    counted?;
    if let Some(why) = came_to_nothing(&report) {
        return Err(Failure::new(Exit::Refused, why));
    }
    // as docs/benchmarks.md promises: the check is no mere remark
    if report.syncs.iter().any(|syncs| syncs.majority == Some(false)) {
        let why = "records were acknowledged that no majority can have synced: the report has the counts";
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(())
}

async fn one(target: &mut Target, work: &Work, times: &Times, report: &Report, algorithm: &str) -> Result<Round> {
    let before = report.find(&series_of(target, work, algorithm)).map(|series| series.summary.records_per_s.max);
    settle().await?;
    Ok(measure(target, work, times, before).await?)
}

fn series_of(target: &Target, work: &Work, algorithm: &str) -> SeriesOf {
    let signed = work.operation.writes() && algorithm != "ed25519";
    SeriesOf::of(target.name(), work, signed.then_some(algorithm))
}

/// The first round in which no record was acknowledged or read, and what is known of it.
fn came_to_nothing(report: &Report) -> Option<String> {
    let rounds = report.series.iter().flat_map(|series| series.rounds.iter().map(|round| (&series.of, round)));
    let (of, round) = rounds.into_iter().find(|(_, round)| round.records == 0)?;
    let (label, seconds) = (of.label(), round.seconds);
    let waited = match round.latency.max_ms {
        longest if longest > 0.0 => format!("; the longest call took {longest:.0} ms"),
        _ => String::new(),
    };
    let failed =
        round.error.as_ref().map_or(String::new(), |error| format!("; {} calls failed: {error}", round.errors));
    Some(format!("{label}: no record was acknowledged or read in a round of {seconds:.1} s{waited}{failed}"))
}

fn said(round: &Round) -> String {
    let failed = match (&round.error, round.errors + round.lost()) {
        (_, 0) => String::new(),
        (Some(error), _) => format!(", {} FAILED: {error}", round.errors),
        (None, lost) => format!(", {lost} without an end or without room"),
    };
    let (p50, p99) = (round.latency.p50_ms, round.latency.p99_ms);
    format!("{:.0} records/s, p50 {p50:.2} ms, p99 {p99:.2} ms{failed}", round.records_per_s)
}

/// Only where processes are our own, and only of writes.
async fn count_syncs(args: &Args, target: &mut Target, works: &[Work], report: &mut Report) -> Result {
    let Some(work) = works.iter().find(|work| work.operation.writes()) else { return Ok(()) };
    if args.local.is_none() || args.syncs() == 0 {
        return Ok(());
    }
    let Some(tool) = Tool::find() else {
        let why = "not counted: neither perf's tracepoints nor strace can be used here";
        report.notes.insert("syncs".to_owned(), why.to_owned());
        eprintln!("syncs: {why}");
        return Ok(());
    };
    let work = Work { pace: Pace::Closed, ..*work };
    report.syncs = syncs::count(target, tool, &work, args.syncs()).await?;
    Ok(())
}

fn publish(args: &Args, report: &Report) -> Result {
    outln!("{}", table::render(report))?;
    if let Some(path) = &args.json {
        write(path, &(serde_json::to_string_pretty(report)? + "\n"))?;
    }
    if let Some(path) = &args.html {
        write(path, &page::render(report)?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Seconds of the command line.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
