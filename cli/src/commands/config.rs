//! `kho config`

use std::path::PathBuf;

use kho_node::{Config, ServeError, telemetry};

use crate::exit::Result;

/// Checks configurations.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Reads a node's configuration as `kho serve` would, and says what is wrong with it.
    #[command(
        after_help = "Unknown fields and values out of range are named with the allowed range; relative paths are\n\
        relative to the file. Nothing is started and no file is changed. Ends with 78 if anything is wrong, as\n\
        `kho serve` would.\n\nExample:\n  kho config check node1.toml"
    )]
    Check {
        /// The node's configuration.
        file: PathBuf,
    },
}

pub fn run(command: Command) -> Result {
    let Command::Check { file } = command;
    let config = Config::load(&file).map_err(ServeError::Config)?;
    telemetry::filter(&config.telemetry).map_err(ServeError::Telemetry)?;
    outln!(
        "{}: ok: node {} of cluster {}, {} members",
        file.display(),
        config.node_id,
        config.cluster_id,
        config.members.len()
    )?;
    Ok(())
}
