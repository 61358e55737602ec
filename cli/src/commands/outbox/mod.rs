//! `kho outbox`: a durable local spool in front of a cluster. `docs/outbox.md`.

mod add;
mod deliver;
mod export;
mod look;
mod refuse;
mod retry;
mod taken;

use std::path::PathBuf;

use clap::Subcommand;
use kho_client::{BYTES_MAX, KEPT_BYTES_MAX, KEPT_RECORDS_MAX, Limits, LogMemory, Outbox, OutboxError, RECORDS_MAX};

use crate::exit::Result;

/// Keeps signed records on this machine's disk until the cluster has them: through crashes, power cuts and days without a
/// connection.
#[derive(Subcommand)]
pub enum Command {
    Add(add::Args),
    Run(deliver::RunArgs),
    Drain(deliver::DrainArgs),
    Status(look::StatusArgs),
    List(look::ListArgs),
    Retry(retry::Args),
    Refuse(refuse::Args),
    Export(export::Args),
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Add(args) => add::run(args).await,
        Command::Run(args) => deliver::run(args).await,
        Command::Drain(args) => deliver::drain(args).await,
        Command::Status(args) => look::status(&args),
        Command::List(args) => look::list(&args),
        Command::Retry(args) => retry::run(args).await,
        Command::Refuse(args) => refuse::run(args).await,
        Command::Export(args) => export::run(args).await,
    }
}

/// Which outbox, and what it may hold.
#[derive(clap::Args)]
pub struct At {
    /// Directory of the outbox; one process at a time has it open.
    #[arg(long, value_name = "DIR", default_value = "outbox", env = "KHO_OUTBOX")]
    dir: PathBuf,
    /// Records that wait or were refused, at most.
    #[arg(long, value_name = "N", default_value_t = RECORDS_MAX)]
    records_max: u64,
    /// Their bytes, at most.
    #[arg(long, value_name = "BYTES", default_value_t = BYTES_MAX)]
    bytes_max: u64,
    /// Delivered records that are kept with their receipts: the newest.
    #[arg(long, value_name = "N", default_value_t = KEPT_RECORDS_MAX)]
    kept_records_max: u64,
    /// Their bytes, at most.
    #[arg(long, value_name = "BYTES", default_value_t = KEPT_BYTES_MAX)]
    kept_bytes_max: u64,
}

impl At {
    fn limits(&self) -> Limits {
        Limits {
            records_max: self.records_max,
            bytes_max: self.bytes_max,
            kept_records_max: self.kept_records_max,
            kept_bytes_max: self.kept_bytes_max,
        }
    }

    /// Whether so much would go in if the outbox were empty.
    fn check_room(&self, records: u64, bytes: u64) -> std::result::Result<(), OutboxError> {
        let all = [("records", self.records_max, records), ("bytes", self.bytes_max, bytes)];
        match all.into_iter().find(|(_, expected, found)| found > expected) {
            Some((what, expected, found)) => Err(OutboxError::Full { what, expected, found }),
            None => Ok(()),
        }
    }

    /// What the log is held to is kept beside the records. Who takes it has the outbox open.
    fn memory(&self) -> LogMemory {
        LogMemory { file: Some(self.dir.join("logs.json")), evidence: Some(self.dir.join("evidence")) }
    }

    /// Opens it, and makes it where there is none.
    fn open(&self) -> std::result::Result<Outbox, OutboxError> {
        Outbox::open(&self.dir, self.limits())
    }

    /// Opens what is there.
    fn open_existing(&self) -> std::result::Result<Outbox, OutboxError> {
        Outbox::open_existing(&self.dir, self.limits())
    }
}
