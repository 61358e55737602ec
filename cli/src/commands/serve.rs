//! `kho serve`

use std::path::PathBuf;
use std::time::Duration;

use kho_node::ServeError;
use kho_node::seams::Seams;
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};

use super::config;
use crate::exit::{Exit, Failure, Result};

/// Runs a node until SIGTERM or SIGINT.
#[derive(clap::Args)]
#[command(after_help = "\
The log goes to standard error, as text or JSON (telemetry.log and telemetry.format in the configuration). On SIGTERM
or SIGINT the node hands leadership over, answers what it has begun, and ends with 0. On SIGHUP it reads certificates,
keys, roots and lists of revoked certificates of all planes again; what does not load changes nothing.

Ends with 78 when it refuses to start (configuration, keyring, data directory, port): a restart does not help. Ends
with 74 when its disk failed: find the cause before you start it again.

Examples:
  kho config check node1.toml && kho serve --config node1.toml
  kho cluster init --config node1.toml      (once, when all nodes run)")]
pub struct Args {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when the process that started this one ends.
    #[arg(long, value_name = "PID", hide = true)]
    die_with_parent: Option<i32>,
}

/// Tasks that still run when the node has ended have so long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub fn run(args: Args) -> Result {
    if let Some(parent) = args.die_with_parent {
        die_with(parent)?;
    }
    let config = config::load(&args.config)?;
    kho_node::telemetry::init(&config.telemetry).map_err(ServeError::Telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let receive = |kind| signal(kind).map_err(ServeError::Signal);
        let (mut terminate, mut interrupt) = (receive(SignalKind::terminate())?, receive(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
        };
        Ok(kho_node::serve(config, Seams::system(), stop).await?)
    });
    // Databases close with the last task that holds them. A process that ends before that runs into RocksDB's threads,
    // and aborts instead of saying 74. But a disk that hangs must not hold up the end for ever.
    runtime.shutdown_timeout(CLOSE_TIMEOUT);
    served
}

fn die_with(parent: i32) -> Result {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // it may have ended before the signal was asked for
    if rustix::process::getppid() != Pid::from_raw(parent) {
        return Err(Failure::new(Exit::Refused, "the process that started this one has ended"));
    }
    Ok(())
}
