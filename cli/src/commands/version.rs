//! `kho version`

use kho_proto::{header, leaf, signature};

use super::csv;
use super::entries::{Format, Output};
use crate::exit::Result;

/// Prints version, commit and the formats this binary reads and writes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  kho version --format json")]
pub struct Args {
    #[command(flatten)]
    output: Output,
}

/// Format and version of all that outlives a process.
fn formats() -> [(&'static str, String); 4] {
    [
        ("header", header::VERSION.to_string()),
        ("signature-block", signature::VERSION.to_string()),
        ("leaf", leaf::LEAF_VERSION.to_string()),
        ("receipt", "c2sp.org/tlog-proof@v1".to_owned()),
    ]
}

pub fn run(args: &Args) -> Result {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("KHO_COMMIT"));
    let all = [("version", version.to_owned()), ("commit", commit.to_owned())];
    match args.output.format() {
        Format::Json => {
            let formats: serde_json::Map<_, _> =
                formats().into_iter().map(|(name, version)| (name.to_owned(), version.into())).collect();
            outln!("{}", serde_json::json!({ "version": version, "commit": commit, "formats": formats }))?;
        }
        Format::Csv => {
            let all: Vec<_> = all.into_iter().chain(formats()).collect();
            outln!("{}", csv::line(all.iter().map(|(name, _)| name))?)?;
            outln!("{}", csv::line(all.iter().map(|(_, value)| value))?)?;
        }
        Format::Table => {
            outln!("kho {version} (commit {commit})")?;
            for (name, version) in formats() {
                outln!("  {name:<16} {version}")?;
            }
        }
    }
    Ok(())
}
