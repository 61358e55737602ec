//! What `kho bench` and `make bench-peers` write as JSON; docs/benchmarks.md says how to read it. A change of meaning is a new
//! [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Pace;
pub use super::figures::{Latency, Open, Point, Round, Spread, Summary, Timeline};
use super::process::Usage;
use super::ramp::Ramp;
use super::round::Work;
use super::syncs::Syncs;

/// Name and version of the schema.
pub const SCHEMA: &str = "kho-bench-report/1";
/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What it is a report of.
    pub title: String,
    /// RFC 3339, +07:00.
    pub began_at: String,
    /// Processors, kernel, versions.
    pub machine: BTreeMap<String, String>,
    /// What the run was told.
    pub settings: BTreeMap<String, String>,
    /// All that was measured.
    pub series: Vec<Series>,
    /// Rates that were raised until the goal broke.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ramps: Vec<Ramp>,
    /// Syncs per acknowledged record, counted in runs of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syncs: Vec<Syncs>,
    /// One system's figure over another's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<Ratio>,
    /// What senders noticed when a leader went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failovers: Vec<Failover>,
    /// Systems at rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<Idle>,
    /// What was aimed at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
    /// What a reader must know, by system.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

impl Report {
    /// An empty one.
    pub fn new(title: &str, began_at: String) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            title: title.to_owned(),
            began_at,
            machine: BTreeMap::new(),
            settings: BTreeMap::new(),
            series: Vec::new(),
            ramps: Vec::new(),
            syncs: Vec::new(),
            ratios: Vec::new(),
            failovers: Vec::new(),
            idle: Vec::new(),
            goals: Vec::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Adds a round to its series.
    pub fn add(&mut self, of: &SeriesOf, round: Round) {
        match self.series.iter_mut().find(|series| series.of == *of) {
            Some(series) => series.rounds.push(round),
            None => {
                let summary = Summary::default();
                self.series.push(Series { of: of.clone(), summary, rounds: vec![round] });
            }
        }
        self.series.iter_mut().for_each(|series| series.summary = Summary::of(&series.rounds));
    }

    /// The series of these settings.
    pub fn find(&self, of: &SeriesOf) -> Option<&Series> {
        self.series.iter().find(|series| series.of == *of)
    }
}

/// What a series is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesOf {
    /// Which system.
    pub system: String,
    /// single, many, stream, read, list or mix; with an algorithm behind it where it is not Ed25519.
    pub operation: String,
    /// Bytes of a payload.
    pub size_bytes: usize,
    /// Connections.
    pub connections: usize,
    /// Calls under way at once on each.
    pub in_flight: usize,
    /// Calls per second of an open loop; none: closed.
    pub rate_per_s: Option<f64>,
}

impl SeriesOf {
    /// Of this work; `detail` behind the operation.
    pub fn of(system: &str, work: &Work, detail: Option<&str>) -> Self {
        let operation = work.operation.as_str();
        Self {
            system: system.to_owned(),
            operation: detail.map_or_else(|| operation.to_owned(), |detail| format!("{operation} {detail}")),
            size_bytes: work.size,
            connections: work.connections,
            in_flight: work.lanes,
            rate_per_s: if let Pace::Open { per_s } = work.pace { Some(per_s) } else { None },
        }
    }

    /// In words.
    pub fn label(&self) -> String {
        let size = match self.size_bytes {
            bytes if bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
            bytes => format!("{bytes} B"),
        };
        let rate = self.rate_per_s.map_or(String::new(), |rate| format!(", {rate:.0}/s asked"));
        format!("{} {}, {size}, {} conn.{rate}", self.system, self.operation, self.connections)
    }
}

/// Rounds of the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Of what.
    #[serde(flatten)]
    pub of: SeriesOf,
    /// Over all rounds.
    pub summary: Summary,
    /// Each.
    pub rounds: Vec<Round>,
}

/// One system's figure over another's, of the rounds that lay beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Which system's.
    pub of: String,
    /// Over which one's.
    pub over: String,
    /// Which figure.
    pub figure: String,
    /// Of all rounds.
    pub ratio: Spread,
}

/// What senders noticed when a leader went, several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// Which system.
    pub system: String,
    /// SIGKILL or SIGTERM.
    pub fault: String,
    /// Who made another node lead.
    pub by: String,
    /// Longest time without an acknowledgement to anyone, each time.
    pub gaps_ms: Vec<f64>,
    /// Longest time until a record, or the next one on the same place, was acknowledged, each time.
    pub slowest_ms: Vec<f64>,
    /// Median, lowest and highest of the gaps.
    pub gap_ms: Spread,
}

/// A system without load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// Which.
    pub system: String,
    /// For so long.
    pub seconds: f64,
    /// What each node took.
    pub nodes: Vec<Usage>,
}

/// What was aimed at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// In words.
    pub goal: String,
    /// In words; what was found.
    pub found: String,
    /// Whether it was met; none: not measured in this run.
    pub met: Option<bool>,
}

#[cfg(test)]
pub(crate) mod tests;
