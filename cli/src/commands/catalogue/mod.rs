//! `kho catalogue`

mod diff;
mod files;
mod load;
mod show;

use std::path::PathBuf;

use clap::ValueEnum;

use super::entries::Format;
use crate::exit::Result;

/// Units and regimes: what reports must be, and when they are due.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Signs and submits what the cluster's catalogue does not have yet.
    Load(load::Args),
    /// Lists units, regimes and the policy.
    List(show::ListArgs),
    /// Shows an entry's document, in all its versions.
    Show(show::ShowArgs),
    /// Says what differs: between files and the cluster, or between two days.
    Diff(diff::Args),
}

/// Kinds, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Unit,
    Regime,
    Policy,
}

impl From<Kind> for kho_client::CatalogueKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Unit => kho_client::CatalogueKind::Unit,
            Kind::Regime => kho_client::CatalogueKind::Regime,
            Kind::Policy => kho_client::CatalogueKind::Policy,
        }
    }
}

/// As a document has it.
fn name(kind: kho_client::CatalogueKind) -> &'static str {
    match kind {
        kho_client::CatalogueKind::Unit => "unit",
        kho_client::CatalogueKind::Regime => "regime",
        kho_client::CatalogueKind::Policy => "policy",
    }
}

/// Where the cluster is, and how to write.
#[derive(clap::Args)]
pub struct Common {
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Load(args) => load::run(args).await,
        Command::List(args) => show::list(args).await,
        Command::Show(args) => show::show(args).await,
        Command::Diff(args) => diff::run(args).await,
    }
}
