//! `kho serve`

use std::path::PathBuf;

use kho_node::config::{Config, LogFormat, TelemetryConfig};
use kho_node::seams::Seams;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure, Result};

/// Runs a node until SIGTERM or SIGINT.
#[derive(clap::Args)]
#[command(after_help = "\
The log goes to standard error, as text or JSON (telemetry.format in the configuration; RUST_LOG overrides
telemetry.log). On SIGTERM or SIGINT the node hands leadership over, answers what it has begun, and ends with 0.
When its disk fails it stops at once and ends with 1: find the cause before you start it again.

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

pub fn run(args: Args) -> Result {
    if let Some(parent) = args.die_with_parent {
        die_with(parent)?;
    }
    // a core dump would hold keys and plaintext
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let config = Config::load(&args.config)?;
    log_to_stderr(&config.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
        };
        Ok(kho_node::serve(config, Seams::system(), stop).await?)
    });
    // tasks that still run must not hold up the end
    runtime.shutdown_background();
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

fn log_to_stderr(config: &TelemetryConfig) -> Result {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)?,
        Err(_) => EnvFilter::try_new(&config.log)?,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
