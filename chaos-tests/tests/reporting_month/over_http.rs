//! The same questions over HTTP, by curl: what a team without our libraries has.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho::dev::{Identity, NodeId, Plane};
use kho_chaos_tests::rig::Rig;
use serde_json::Value;

/// A node's address, and what opens a connection to it.
pub struct Http {
    url: String,
    trust: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Http {
    pub fn of(rig: &Rig, node: NodeId) -> Result<Self> {
        let layout = rig.cluster.layout();
        let files = layout.identity(&Identity::Platform);
        Ok(Self {
            url: format!("https://{}", rig.cluster.member(node)?.client),
            trust: layout.trust(Plane::Client),
            certificate: files.certificate,
            key: files.key,
        })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "--cacert"]).arg(&self.trust);
        curl.arg("--cert").arg(&self.certificate).arg("--key").arg(&self.key);
        let output = curl.arg(format!("{}{path}", self.url)).output().context("curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{path}: {text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).with_context(|| text)
    }

    /// All parts of an answer that comes in pages.
    fn parts(&self, path: &str) -> Result<Vec<Value>> {
        let mut parts = vec![self.get(path)?];
        while let Some(token) = parts.last().and_then(|part| part["next_page_token"].as_str()) {
            parts.push(self.get(&format!("{path}&page_token={token}"))?);
        }
        Ok(parts)
    }

    /// Ids of all records, oldest first.
    pub fn ids(&self) -> Result<Vec<String>> {
        let parts = self.parts("/v1/records?order=oldest&page_size=500")?;
        let entries = parts.iter().filter_map(|part| part["entries"].as_array()).flatten();
        entries.map(|entry| entry["record_id"].as_str().map(str::to_owned).context("an id")).collect()
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64> {
        let parts = self.parts("/v1/records/count?stale=false")?;
        parts.iter().map(|part| part["count"].as_u64().context("a count")).sum()
    }

    /// Statistics in one row: expected, on time, late, missing, open, corrected, superseded, unscheduled, records.
    pub fn total(&self, from: &str, to: &str, as_of: &str) -> Result<Vec<u64>> {
        let as_of = as_of.replace('+', "%2B");
        let parts = self.parts(&format!("/v1/stats?by=total&period_from={from}&period_to={to}&as_of={as_of}"))?;
        let names =
            ["expected", "on_time", "late", "missing", "open", "corrected", "superseded", "unscheduled", "records"];
        let rows: Vec<&Value> = parts.iter().filter_map(|part| part["rows"].as_array()).flatten().collect();
        ensure!(!rows.is_empty(), "no row");
        let sum = |name: &&str| rows.iter().map(|row| row[*name].as_u64().context("a number")).sum();
        names.iter().map(sum).collect()
    }
}
