//! Judges a history file without its cluster: `check-history FILE...`. Ends with 1 if anything is broken.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use kho_chaos_tests::history::Recorded;
use kho_chaos_tests::invariants::recorded;

fn main() -> Result<ExitCode> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    ensure!(!files.is_empty(), "expected history files (history.jsonl of a test), found none");
    let mut broken = 0;
    for file in files {
        let recorded = Recorded::read(&file).with_context(|| file.display().to_string())?;
        let breaches = recorded::judge(&recorded);
        let (operations, observations) = (recorded.operations.len(), recorded.observations.len());
        println!(
            "{}: {operations} operations, {observations} observations, {} breaches",
            file.display(),
            breaches.len()
        );
        breaches.iter().for_each(|breach| println!("  {breach}"));
        broken += breaches.len();
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
