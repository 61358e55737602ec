//! `kho keys`

use std::path::PathBuf;

use kho_node::keys::{KeyProvider, keyring};
use kho_node::seams::Seams;
use kho_proto::checkpoint::{LogSigner, Origin};
use kho_proto::id::ClusterId;
use kho_proto::receipt::Receipt;

use crate::exit::Result;

/// Makes and shows the cluster's keys.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Makes a new keyring, mode 600. Every keyed node gets the same file.
    #[command(after_help = "\
The keyring opens every record of the cluster. Copy it to each node over a secure channel, keep a copy offline, and
never in the same place as a backup of the data. Never overwrites a file.

Example:
  kho keys init --keyring /etc/kho/keyring --cluster-id 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e")]
    Init {
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        keyring: PathBuf,
        /// Cluster id, a UUID.
        #[arg(long)]
        cluster_id: ClusterId,
    },
    /// Prints the log's verifier key (C2SP), which receipts are checked with.
    #[command(after_help = "\
The key's name is the log's origin, which is known once the cluster is formed: take it from any receipt, or from what
`kho cluster init` printed. (Where there is no keyring, `kho cluster init` on a running cluster prints the key again.)

Examples:
  kho keys public --keyring keyring --receipt 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e.tlog-proof
  kho keys public --keyring keyring --origin 0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e/1/4b1d5a0c9e8f7a6b")]
    Public {
        /// The keyring.
        #[arg(long, value_name = "FILE")]
        keyring: PathBuf,
        /// Origin of the log: CLUSTER/EPOCH/GENESIS.
        #[arg(long, required_unless_present = "receipt")]
        origin: Option<Origin>,
        /// A receipt of the log, to take the origin from.
        #[arg(long, value_name = "FILE", conflicts_with = "origin")]
        receipt: Option<PathBuf>,
    },
    /// Prints the keyring's fingerprint: the same on all nodes, and no secret.
    #[command(after_help = "Example:\n  kho keys fingerprint --keyring /etc/kho/keyring")]
    Fingerprint {
        /// The keyring.
        #[arg(long, value_name = "FILE")]
        keyring: PathBuf,
    },
}

pub fn run(command: Command) -> Result {
    match command {
        Command::Init { keyring, cluster_id } => {
            let made = keyring::create(&keyring, cluster_id, Seams::system().entropy.as_ref())?;
            outln!("{}", made.fingerprint())?;
        }
        Command::Fingerprint { keyring } => outln!("{}", keyring::load_any(&keyring)?.fingerprint())?,
        Command::Public { keyring, origin, receipt } => {
            let origin = match (origin, receipt) {
                (Some(origin), _) => origin,
                (None, Some(receipt)) => origin_of(&std::fs::read_to_string(receipt)?)?,
                (None, None) => unreachable!("clap wants one of them"),
            };
            let keyring = keyring::load_any(&keyring)?;
            let key = keyring.log_key(origin.epoch())?;
            outln!("{}", LogSigner::new(key, origin).verifier_key())?;
        }
    }
    Ok(())
}

/// The origin is the first line of a receipt's checkpoint. Nothing is verified: the key that comes out verifies it.
fn origin_of(proof: &str) -> Result<Origin> {
    let receipt = Receipt::from_tlog_proof(proof)?;
    let note = String::from_utf8_lossy(&receipt.checkpoint);
    Ok(note.lines().next().unwrap_or_default().parse()?)
}
