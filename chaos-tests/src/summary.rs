//! What a run under faults came to, for whoever started it: one JSON line in the file that `KHO_SUMMARY` names.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A run that found nothing, or what it found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `simulation`, `processes` or `disks`.
    pub ring: String,
    /// The first seed.
    #[serde(rename = "first")]
    pub seed: u64,
    /// How many from it on.
    pub seeds: u64,
    /// Under faults; in the simulation virtual.
    pub seconds: f64,
    /// Faults that took effect, by kind.
    pub faults: BTreeMap<String, u64>,
    /// What was checked: `records` acknowledged, `reads`...
    pub counts: BTreeMap<String, u64>,
    /// Broken promises.
    pub violations: Vec<String>,
}

impl Summary {
    /// Adds the line, if anybody wants it.
    pub fn write(&self) -> Result<()> {
        let Some(path) = std::env::var_os("KHO_SUMMARY") else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(&path).context("KHO_SUMMARY")?;
        writeln!(file, "{}", serde_json::to_string(self)?).context("KHO_SUMMARY")
    }
}
