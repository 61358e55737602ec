//! `kho cluster`

use std::path::{Path, PathBuf};

use anyhow::Context;
use kho::admin::Admin;
use kho::client_file::{self, ClientFile, TlsFiles};
use kho::dev::{DevCluster, Options};
use kho_node::Config;

use super::replace;
use crate::exit::{Exit, Failure, Result};

/// Makes and forms clusters.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Writes a development cluster: certificates, keyring, node1.toml..., client.toml, drill.toml. Starts nothing.
    #[command(after_help = "\
Example:
  kho cluster new --dir dev --base-port 7101
  for n in 1 2 3; do kho serve --config dev/node$n.toml 2> dev/node$n.log & done
  kho cluster init --config dev/client.toml
  kho status --config dev/client.toml")]
    New {
        /// Where the files go.
        #[arg(long)]
        dir: PathBuf,
        /// How many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
        nodes: u64,
        /// Node 1 listens here (client), on the next port (peer) and the one after (admin); node 2 on the three
        /// after these; behind all of them, one port a node for the public log. Random free ports if absent.
        #[arg(long)]
        base_port: Option<u16>,
    },
    /// Forms the cluster out of the members in the nodes' configurations: once, when all nodes run.
    #[command(after_help = "\
Prints the log's verifier key: pin it in every client file (verifier_key = \"...\"), and publish it where auditors
look. Asking a formed cluster again changes nothing and prints the same key.

With --config client.toml the operator's identity and the first admin address are taken from there, and --pin writes
the key into the file; another key that is pinned there is not replaced. With a node's configuration the operator's identity comes from --certificate, --key and
--trust, or from a client.toml beside it.

Examples:
  kho cluster init --config client.toml --pin
  kho cluster init --config node1.toml
  kho cluster init --config node1.toml --certificate operator.pem --key operator.key.pem --trust admin-ca.pem")]
    Init {
        /// A client file, or a node's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Operator's certificate, where the file is a node's configuration.
        #[arg(long, value_name = "FILE", requires_all = ["key", "trust"])]
        certificate: Option<PathBuf>,
        /// Its private key.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Authority of the admin listeners.
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Writes the verifier key into the client file.
        #[arg(long, conflicts_with = "certificate")]
        pin: bool,
    },
    Replace(replace::Args),
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Replace(args) => replace::run(args).await,
        Command::New { dir, nodes, base_port } => {
            let cluster =
                DevCluster::create_with(&dir, &Options { nodes, base_port, ..Options::default() }.with_catalogue())?;
            for node in cluster.nodes() {
                outln!("kho serve --config {}", cluster.layout().node_file(node).display())?;
            }
            outln!("kho cluster init --config {} --pin", cluster.layout().client_file().display())?;
            Ok(())
        }
        Command::Init { config, certificate, key, trust, pin } => {
            if pin && is_node(&config) {
                // before anything is formed
                let message =
                    format!("--pin: expected a client file, found a node's configuration: {}", config.display());
                return Err(Failure::new(Exit::Refused, message));
            }
            let admin = match (certificate, key, trust) {
                (Some(certificate), Some(key), Some(trust)) => {
                    let node = Config::load(&config)?;
                    Admin::new(&node.listen.admin, &TlsFiles { certificate, key, trust }.load()?)?
                }
                _ => operator(&config)?,
            };
            let formed = admin.init_cluster().await?;
            outln!("{}", formed.verifier_key)?;
            if pin {
                ClientFile::pin(&config, &formed.verifier_key)?;
            }
            Ok(())
        }
    }
}

/// Whether a file is a node's configuration rather than a client file.
fn is_node(config: &Path) -> bool {
    std::fs::read_to_string(config).is_ok_and(|text| client_file::is_node(&text))
}

/// The first admin listener of a client file, or that of a node whose configuration has a client.toml beside it.
fn operator(config: &Path) -> Result<Admin> {
    if is_node(config) {
        let node = Config::load(config)?;
        let client = config.with_file_name("client.toml");
        let file = ClientFile::load(&client)
            .context("an operator's certificate is needed: --certificate, --key, --trust, or a client.toml")?;
        let admins = file.admins()?;
        return Ok(admins.into_iter().find(|admin| admin.address() == node.listen.admin).ok_or_else(|| {
            anyhow::anyhow!("{}: admin_nodes: expected {} among them", client.display(), node.listen.admin)
        })?);
    }
    let admins = ClientFile::load(config)?.admins()?;
    Ok(admins.into_iter().next().ok_or_else(|| anyhow::anyhow!("{}: admin_nodes is empty", config.display()))?)
}
