//! Engines for the raft log against each other: what an entry costs, what they show after a loss of power, what they say to
//! damaged bytes. `benches/log-engines.sh` starts it; with a task as its one argument it is RocksDB's process.

mod drive;
mod rocks;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use kho_log_engines::task;

use self::drive::{compare, count, damage, power};

// the server's: what is allocated in C++ counts as well
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Engines for the raft log against each other.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Of all commands.
#[derive(Args)]
pub struct Common {
    /// The process with the engines that Kho does not ship.
    #[arg(long, global = true, default_value = "other-log-engines")]
    others: PathBuf,
    /// Logs are made here and removed again.
    #[arg(long, global = true, default_value = "log-engines")]
    dir: PathBuf,
    /// All figures go here, too.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Engines; the first is what the others are held against.
    #[arg(long, global = true, value_delimiter = ',', default_value = "rocksdb,raft-engine,raft-log")]
    engines: Vec<String>,
    /// Draws everything.
    #[arg(long, global = true, default_value_t = 0x10_9e)]
    seed: u64,
}

#[derive(Subcommand)]
enum Command {
    /// What an entry costs, in rounds that take turns.
    Compare(compare::Arguments),
    /// What an entry costs in syncs, and in bytes for the disk; the latter as root.
    Count(count::Arguments),
    /// What is there after the power of the disk was cut; as root.
    Power(power::Arguments),
    /// What is said to bytes that were changed on the disk.
    Damage(damage::Arguments),
}

fn main() -> Result<()> {
    if let Some(task) = std::env::args().nth(1).filter(|argument| argument.starts_with('{')) {
        return task::run(&task, rocks::ENGINES);
    }
    let Cli { command, common } = Cli::parse();
    std::fs::create_dir_all(&common.dir)?;
    let report = match command {
        Command::Compare(arguments) => compare::run(&common, &arguments)?,
        Command::Count(arguments) => count::run(&common, &arguments)?,
        Command::Power(arguments) => power::run(&common, &arguments)?,
        Command::Damage(arguments) => damage::run(&common, &arguments)?,
    };
    if let Some(path) = &common.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}
