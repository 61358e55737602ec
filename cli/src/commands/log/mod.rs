//! `kho log`: what a monitor does with the public log.

mod audit;
mod checkpoint;
mod evidence;
mod leaves;
mod place;
mod progress;
mod verify;

use crate::exit::Result;

/// Reads and checks the public log: no rights are needed, and nothing is believed but the log's key.
#[derive(clap::Subcommand)]
#[command(after_help = "\
The log of a cluster is one tree that only grows. Whoever keeps a checkpoint can hold the log to it for ever: each later
one must extend it: kho log checkpoint --save once, then kho log verify --from every few minutes, and kho log audit from time to
time. When a check fails, keep the evidence, and ask whoever runs the log.

Ends with 0 when all is well, with 1 when a check failed (the message has a stable code; signed evidence is written to a
file), with 4 when nobody answered.")]
pub enum Command {
    Checkpoint(checkpoint::Args),
    Verify(verify::Args),
    Audit(audit::Args),
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Checkpoint(args) => checkpoint::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Audit(args) => audit::run(args).await,
    }
}
