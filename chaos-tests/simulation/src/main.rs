//! One seed: three real nodes on simulated machines, senders, faults; then everything is healed and judged. The same seed
//! does the same again, to the last line of its trace.
//!
//! `kho-simulate --seed 42`, or many: `kho-simulate --seed 100 --seeds 40`

mod caller;
mod cards;
mod cluster;
mod directory;
mod fault;
mod faults;
mod host;
mod judge;
mod machine;
mod many;
mod members;
mod observer;
mod operator;
mod plan;
mod processes;
mod record;
mod senders;
mod transport;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rand_mad::SeedableRng;

/// Simulates one seed.
#[derive(Parser)]
struct Args {
    /// Decides everything.
    #[arg(long)]
    seed: u64,
    /// So many seeds from that one on, a process each.
    #[arg(long, conflicts_with_all = ["trace", "plan"])]
    seeds: Option<u64>,
    /// With --seeds: JSON instead of a table.
    #[arg(long, requires = "seeds")]
    json: bool,
    /// Virtual seconds of faults; healing and judging come on top.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Writes the trace.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Shows the plan, and ends.
    #[arg(long)]
    plan: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seeds) = args.seeds {
        return many::run(args.seed, seeds, args.seconds, args.json).unwrap_or_else(|error| {
            eprintln!("{error}");
            ExitCode::from(3)
        });
    }
    let plan = plan::Plan::draw(args.seed, Duration::from_secs(args.seconds));
    if args.plan {
        println!("{}", serde_json::to_string_pretty(&plan).expect("a plan has a JSON form"));
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt()
        .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    // before anything of this process asks for either
    mad_turmoil::rand::set_rng(rand_mad::rngs::StdRng::seed_from_u64(args.seed));
    let clocks = mad_turmoil::time::SimClocksGuard::init();
    let record = record::Record::new();
    // A thread of its own: std draws the keys of a thread's hash maps once, and this one's were drawn before the seed was set.
    let simulated = std::thread::scope(|scope| scope.spawn(|| world::run(&plan, &record)).join());
    drop(clocks);
    let ended = simulated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if let Some(path) = args.trace
        && let Err(error) = std::fs::write(&path, record.text())
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::from(3);
    }
    let summary = match ended {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("seed {}: the simulation itself failed: {error:#}", args.seed);
            return ExitCode::from(3);
        }
    };
    println!("{}", serde_json::to_string(&summary).expect("a summary has a JSON form"));
    if summary.breaches.is_empty() {
        return ExitCode::SUCCESS;
    }
    for breach in summary.breaches.iter().take(20) {
        eprintln!("{breach}");
    }
    let mutant = std::env::var("KHO_MUTANT").map(|mutant| format!("KHO_MUTANT={mutant} ")).unwrap_or_default();
    eprintln!("replay: {mutant}kho-simulate --seed {} --seconds {}", args.seed, args.seconds);
    ExitCode::FAILURE
}
