//! `kho man`

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use super::Kho;
use crate::exit::Result;

/// Writes manual pages: one for `kho`, one for each command.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  kho man --dir /usr/local/share/man/man1 && man kho-submit
  kho man --dir pages && man -l pages/kho-list.1")]
pub struct Args {
    /// Where the pages go; made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: &Args) -> Result {
    let shown = || args.dir.display().to_string();
    std::fs::create_dir_all(&args.dir).with_context(shown)?;
    clap_mangen::generate_to(Kho::command(), &args.dir).with_context(shown)?;
    outln!("{}", args.dir.join("kho.1").display())?;
    Ok(())
}
