//! The committed inputs: `corpus/TARGET/NAME`. Those named `good-...` must be taken, those named `bad-...` refused; the rest
//! are findings of fuzzers, kept for ever.

use std::fs;
use std::io;
use std::path::PathBuf;

/// A committed input.
pub struct Seed {
    /// Its file name.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Where a target's inputs are.
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// A target's inputs, in the order of their names.
pub fn of(target: &str) -> io::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder(target))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        seeds.push(Seed { name, bytes: fs::read(path)? });
    }
    seeds.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(seeds)
}
