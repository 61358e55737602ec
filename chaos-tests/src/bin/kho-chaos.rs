//! `kho-chaos`: all rings with one seed, or for hours with seeds that were never used before, and what came of it so far.
//! `make chaos`, `make soak`, `make soak-report`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use kho_chaos_tests::summary::Summary;
use kho_client::Surroundings;
use kho_proto::header::SubmittedAt;
use serde::{Deserialize, Serialize};

/// Attacks the store.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Every ring once.
    Once {
        /// Decides what happens; a random one if absent.
        #[arg(long)]
        seed: Option<u64>,
        /// Seeds of the simulation, from that one on.
        #[arg(long, default_value_t = 24)]
        seeds: u64,
    },
    /// Rings in turn, with seeds that are not in the ledger yet.
    Soak {
        /// How long.
        #[arg(long)]
        hours: f64,
        /// Where rounds are written down.
        #[arg(long, default_value = "chaos-tests/soak.jsonl")]
        ledger: PathBuf,
    },
    /// What the ledger says.
    Report {
        /// Where rounds were written down.
        #[arg(long, default_value = "chaos-tests/soak.jsonl")]
        ledger: PathBuf,
    },
}

/// A line of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Round {
    /// When it ended.
    at: String,
    /// What was attacked.
    commit: String,
    /// Seconds that it took.
    took: f64,
    #[serde(flatten)]
    summary: Summary,
}

/// Seeds of the simulation in a round of a soak.
const ROUND_SEEDS: u64 = 24;
/// Seconds of a schedule of the processes.
const SCHEDULE_SECONDS: u64 = 90;
/// Power losses in a round.
const POWER_CYCLES: u64 = 12;
/// Seeds of a soak begin here: those of the tests and of people are below.
const SOAK_SEED: u64 = 1_000_000;

/// Runs `command` and reads the summary that it left; a failure without one is a violation, too.
fn run(ring: &str, seed: u64, mut command: Command) -> Result<Summary> {
    let file = tempfile::NamedTempFile::new()?;
    println!("== {ring}, seed {seed}");
    let status = command.env("KHO_SUMMARY", file.path()).env("KHO_REQUIRE_ALL", "1").status()?;
    let text = std::fs::read_to_string(file.path())?;
    let last = text.lines().last().map(serde_json::from_str).transpose()?;
    let mut summary: Summary =
        last.unwrap_or_else(|| Summary { ring: ring.to_owned(), seed, seeds: 1, ..Summary::default() });
    if !status.success() && summary.violations.is_empty() {
        summary.violations.push(format!("seed {seed}: {status}; what was said stands above"));
    }
    Ok(summary)
}

fn cargo(test: &str, name: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "--workspace", "--test", test, "--", "--nocapture", name]);
    cargo
}

fn simulation(seed: u64, seeds: u64) -> Result<Summary> {
    let beside = std::env::current_exe()?.with_file_name("kho-simulate");
    ensure!(beside.is_file(), "{} is not there: build the workspace first", beside.display());
    let mut command = Command::new(beside);
    command.args(["--seed", &seed.to_string(), "--seeds", &seeds.to_string()]);
    run("simulation", seed, command)
}

fn processes(seed: u64) -> Result<Summary> {
    let mut command = cargo("processes", "faults");
    command.env("KHO_SEED", seed.to_string()).env("KHO_SECONDS", SCHEDULE_SECONDS.to_string());
    run("processes", seed, command)
}

fn disks(seed: u64) -> Result<Summary> {
    let mut command = cargo("power_loss", "power_loss");
    command.env("KHO_SEED", seed.to_string()).env("KHO_POWER_CYCLES", POWER_CYCLES.to_string());
    run("disks", seed, command)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn print(summaries: &[Summary]) {
    println!("\n{:<12} {:<22} {:>9}", "ring", "fault", "happened");
    for summary in summaries {
        for (fault, count) in &summary.faults {
            println!("{:<12} {fault:<22} {count:>9}", summary.ring);
        }
    }
    println!("\n{:<12} {:>8} {:>6} {:>10} {:>11}", "ring", "seed", "seeds", "records", "violations");
    for one in summaries {
        let records = one.counts.get("records").copied().unwrap_or_default();
        println!("{:<12} {:>8} {:>6} {records:>10} {:>11}", one.ring, one.seed, one.seeds, one.violations.len());
    }
    summaries.iter().flat_map(|one| &one.violations).for_each(|violation| println!("  {violation}"));
}

fn once(seed: u64, seeds: u64) -> Result<ExitCode> {
    println!("seed {seed}; again: make chaos SEED={seed}");
    let mut summaries = vec![simulation(seed, seeds)?];
    if is_root() {
        summaries.push(processes(seed)?);
        summaries.push(disks(seed)?);
    } else {
        eprintln!("SKIPPED: processes and disks need root");
    }
    print(&summaries);
    println!("again: make chaos SEED={seed}");
    let held = summaries.iter().all(|one| one.violations.is_empty());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn commit() -> Result<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output()?;
    ensure!(output.status.success(), "git rev-parse: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn read(ledger: &Path) -> Result<Vec<Round>> {
    if !ledger.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(ledger)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn soak(hours: f64, ledger: &Path) -> Result<ExitCode> {
    let (begun, limit) = (Instant::now(), Duration::from_secs_f64(hours * 3600.0));
    let commit = commit()?;
    let mut violations = 0;
    // each ring has seeds of its own: what was tried is never tried again
    let mut next: BTreeMap<&str, u64> = ["simulation", "processes", "disks"].map(|ring| (ring, SOAK_SEED)).into();
    for round in read(ledger)? {
        let Some(next) = next.get_mut(round.summary.ring.as_str()) else { continue };
        *next = (*next).max(round.summary.seed + round.summary.seeds);
    }
    let rings: &[&str] = if is_root() { &["simulation", "processes", "simulation", "disks"] } else { &["simulation"] };
    for ring in rings.iter().cycle() {
        if begun.elapsed() >= limit {
            break;
        }
        let (started, seed) = (Instant::now(), next[ring]);
        let summary = match *ring {
            "simulation" => simulation(seed, ROUND_SEEDS)?,
            "processes" => processes(seed)?,
            _ => disks(seed)?,
        };
        next.insert(ring, seed + summary.seeds);
        violations += summary.violations.len();
        let at = SubmittedAt::from_unix_ms(kho_client::System.now()).to_string();
        let round = Round { at, commit: commit.clone(), took: started.elapsed().as_secs_f64(), summary };
        let mut file = OpenOptions::new().create(true).append(true).open(ledger)?;
        writeln!(file, "{}", serde_json::to_string(&round)?)?;
    }
    report(ledger)?;
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a ring came to.
#[derive(Default)]
struct Sums {
    seeds: u64,
    took: f64,
    seconds: f64,
    faults: u64,
    records: u64,
    violations: usize,
}

fn report(ledger: &Path) -> Result<()> {
    let rounds = read(ledger)?;
    ensure!(!rounds.is_empty(), "{}: no round yet", ledger.display());
    let mut rings: BTreeMap<&str, Sums> = BTreeMap::new();
    for Round { took, summary: one, .. } in &rounds {
        let sums = rings.entry(&one.ring).or_default();
        sums.seeds += one.seeds;
        sums.took += took;
        sums.seconds += one.seconds;
        sums.faults += one.faults.values().sum::<u64>();
        sums.records += one.counts.get("records").copied().unwrap_or_default();
        sums.violations += one.violations.len();
    }
    let (first, last) = (&rounds[0], &rounds[rounds.len() - 1]);
    println!("{} rounds from {} ({}) to {} ({})", rounds.len(), first.at, first.commit, last.at, last.commit);
    println!(
        "{:<12} {:>7} {:>9} {:>12} {:>9} {:>16} {:>11}",
        "ring", "seeds", "hours", "fault-hours", "faults", "acknowledgements", "violations"
    );
    for (ring, Sums { seeds, took, seconds, faults, records, violations }) in rings {
        let (hours, fault_hours) = (took / 3600.0, seconds / 3600.0);
        println!("{ring:<12} {seeds:>7} {hours:>9.2} {fault_hours:>12.2} {faults:>9} {records:>16} {violations:>11}");
    }
    for round in rounds.iter().filter(|round| !round.summary.violations.is_empty()) {
        round.summary.violations.iter().for_each(|violation| println!("  {} {violation}", round.commit));
    }
    Ok(())
}

fn main() -> Result<ExitCode> {
    match Args::parse().command {
        Action::Once { seed, seeds } => once(seed.unwrap_or_else(|| rand::random_range(1..SOAK_SEED)), seeds),
        Action::Soak { hours, ledger } => soak(hours, &ledger),
        Action::Report { ledger } => report(&ledger).map(|()| ExitCode::SUCCESS),
    }
}
