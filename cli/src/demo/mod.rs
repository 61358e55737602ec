//! `kho demo`: a cluster of three processes, three thousand reports, a leader killed half-way, and the proof that
//! nothing was lost.

mod check;
mod drive;
mod outcome;
mod plan;
mod progress;

use std::path::{Path, PathBuf};
use std::time::Instant;

use kho::dev::{DevCluster, Options};

use crate::exit::{Exit, Failure, Result};

/// Nodes of the demo's cluster.
const NODES: u64 = 3;

/// Shows the store at work: three nodes, reports of all units and regimes, the leader killed half-way.
#[derive(clap::Args)]
#[command(after_help = "\
Three node processes on loopback with certificates and keys of their own. Reports in Vietnamese over all regimes and
units are signed (Ed25519, ECDSA, RSA) and submitted; half-way the leader gets SIGKILL, later it is started again. At
the end every acknowledged record is read back from another node than the one that acknowledged it, every receipt is
verified offline, and the roots of all nodes are compared. Ends with 1 if anything is lost, duplicated or unverified.

Examples:
  kho demo
  kho demo --reports 500 --dir demo --keep     (leaves the cluster running and says how to talk to it)")]
pub struct Args {
    /// How many reports: 10 to 1,000,000. With few of them the killed node may be back before the others elect, and lead again.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    reports: u64,
    /// Keeps all files there; a directory that goes away at the end if absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leaves the nodes running at the end.
    #[arg(long)]
    keep: bool,
    /// Another seed gives other reports.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Submissions under way at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    concurrency: u64,
}

pub async fn run(args: Args) -> Result {
    let temporary = match &args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("kho-demo-").tempdir()?),
    };
    let dir = match (&args.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => unreachable!("one of them was just made"),
    };
    let good = tokio::select! {
        good = show(&args, &dir) => good,
        _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Refused, "interrupted: all nodes ended")),
    };
    // an error names logs in it
    if let (true, Some(temporary)) = (args.keep || !matches!(good, Ok(true)), temporary) {
        eprintln!("files: {}", temporary.keep().display());
    }
    if good? { Ok(()) } else { Err(Failure::new(Exit::Refused, "the demo failed: see the table above")) }
}

async fn show(args: &Args, dir: &Path) -> Result<bool> {
    let start = Instant::now();
    progress::say("writing certificates, keyring and configurations");
    let mut cluster = DevCluster::create_with(dir, &Options { nodes: NODES, ..Options::default() }.with_catalogue())?;
    if args.keep {
        cluster.detach();
    }
    progress::say("starting three nodes");
    let leader = cluster.launch().await?;
    progress::say(&format!("node {leader} leads"));

    let records = plan::sign_reports(&cluster, args.seed, args.reports).await?;
    let drive = drive::submit_all(&mut cluster, &records, args.concurrency as usize).await?;
    let checks = check::all(&mut cluster, &records, &drive).await?;
    let good = outcome::print(&drive, &checks, start.elapsed())?;
    if args.keep {
        outcome::print_commands(&cluster)?;
        cluster.keep();
    } else {
        cluster.terminate_all().await?;
    }
    Ok(good)
}
