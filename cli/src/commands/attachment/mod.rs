//! `kho attachment`, and what `kho submit --attach` needs.

mod fetch;
mod get;
mod progress;
mod send;

pub use fetch::fetch_all;
pub use send::Attached;

use crate::exit::Result;

/// Attachments of records.
#[derive(clap::Subcommand)]
pub enum Command {
    Get(get::Args),
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Get(args) => get::run(args).await,
    }
}
