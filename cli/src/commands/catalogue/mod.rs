//! `kho catalogue`

mod diff;
mod files;
mod load;
mod show;

use std::path::PathBuf;

use clap::ValueEnum;

use super::entries::Output;
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
    /// Prints a small catalogue that is valid as it stands, and says what its members mean.
    #[command(after_help = "\
The documents are JSON on standard output; what their members mean is told on standard error.

Example:
  kho catalogue example > catalogue.json && kho catalogue load catalogue.json --dry-run --config client.toml")]
    Example,
    /// Says what differs: between files and the cluster, or between two days.
    Diff(diff::Args),
}

const EXAMPLE: &str = include_str!("../../examples/catalogue.json");
const EXPLAINED: &str = include_str!("../../examples/catalogue.txt");

/// A day, as the nodes take it.
fn day(text: &str) -> std::result::Result<String, String> {
    text.parse::<kho_catalogue::Day>()
        .map(|day| day.to_string())
        .map_err(|_| "expected a day, such as 2020-06-30".to_owned())
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
    #[command(flatten)]
    output: Output,
    /// The client file.
    #[arg(long, value_name = "FILE", default_value = "client.toml", env = "KHO_CONFIG")]
    config: PathBuf,
}

pub async fn run(command: Command) -> Result {
    match command {
        Command::Load(args) => load::run(args).await,
        Command::List(args) => show::list(args).await,
        Command::Show(args) => show::show(args).await,
        Command::Example => {
            outln!("{}", EXAMPLE.trim_end())?;
            eprintln!("{}", EXPLAINED.trim_end());
            Ok(())
        }
        Command::Diff(args) => diff::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn the_example_is_a_catalogue() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.json");
        std::fs::write(&path, super::EXAMPLE).unwrap();
        let files = super::files::read(&path).unwrap_or_else(|failure| panic!("{failure:?}"));
        let kinds: Vec<_> = files.keys().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["unit", "unit", "regime", "policy"]);
        super::files::check_names(&files, &BTreeSet::new()).unwrap_or_else(|failure| panic!("{failure:?}"));
    }
}
