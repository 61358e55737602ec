//! `kho data`

use std::path::PathBuf;

use kho_node::ServeError;
use kho_node::data_dir::DataDir;

use super::config;
use crate::exit::Result;

/// Makes data directories.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Makes the data directory of a new node: once in its life, before its first start.
    #[command(after_help = "\
`kho serve` never makes one by itself: a node whose disk is not mounted, or was lost, would begin again under its old
id, having forgotten how it voted and what it confirmed. If a node that ran before says data-dir-missing, mount its
disk; if the disk is lost, give a new node a new id (kho cluster replace --help).

Run it as the user that runs the node. The directory may exist, but must be empty. Ends with 78 if it refuses, as
`kho serve` would.

Example:
  kho data create --config node4.toml && kho serve --config node4.toml")]
    Create {
        /// The node's configuration: data_dir, cluster_id and node_id are taken from it.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

pub fn run(command: Command) -> Result {
    let Command::Create { config } = command;
    let config = config::load(&config)?;
    DataDir::create(&config.data_dir, config.cluster_id, config.node()).map_err(ServeError::DataDir)?;
    outln!("{}: node {} of cluster {}", config.data_dir.display(), config.node_id, config.cluster_id)?;
    Ok(())
}
