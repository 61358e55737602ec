//! What was asked and what came back, and how the nodes stood meanwhile: one JSON line each, on disk before it counts,
//! and read back by whoever judges.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::observation::Observation;

/// How an operation ended. A time-out is unknown, never failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged, or read; a read may have found that the record is not there.
    Ok,
    /// Refused before it was proposed: certainly not in.
    Failed,
    /// May be in or not.
    Unknown,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A record was submitted for the first time.
    Submit,
    /// The same record was submitted again.
    Resubmit,
    /// A record was read.
    Get,
}

/// What a receipt's signature covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Leaves.
    pub size: u64,
    /// Root over them, hex.
    pub root: String,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What was done.
    pub kind: Kind,
    /// Which record.
    pub record_id: String,
    /// SHA-256 of its header, hex: as it was sent, or as it was read.
    pub digest: String,
    /// Microseconds since the history began.
    pub invoked_us: u64,
    /// Microseconds since the history began.
    pub returned_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Node that answered; 0: none.
    pub node: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Of a write: its leaf's index. Of a read: the size of the log that it reflects.
    pub position: u64,
    /// Of a read: index of the leaf that it found; none: the record was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Of a write: the record was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// Of the receipt that came with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Error, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Operation {
    /// Asked, and not yet answered.
    pub fn asked(kind: Kind, record_id: String, digest: String, invoked_us: u64) -> Self {
        Self {
            kind,
            record_id,
            digest,
            invoked_us,
            returned_us: 0,
            outcome: Outcome::Unknown,
            node: 0,
            epoch: 0,
            position: 0,
            found: None,
            duplicate: false,
            checkpoint: None,
            detail: String::new(),
        }
    }
}

impl Operation {
    /// Where the record stands in the log, if the answer says so.
    pub fn index(&self) -> Option<u64> {
        match (self.outcome, self.kind) {
            (Outcome::Ok, Kind::Get) => self.found,
            (Outcome::Ok, _) => Some(self.position),
            _ => None,
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What a client did.
    Operation(Operation),
    /// What a node said of itself.
    Observation(Observation),
}

/// A history as it is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// In the order in which they returned.
    pub operations: Vec<Operation>,
    /// In the order in which they came.
    pub observations: Vec<Observation>,
}

/// Why a history file is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("history: {0}")]
    Io(#[from] std::io::Error),
    /// A line is not one of this version.
    #[error("history, line {line}: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Recorded {
    /// Reads a history file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut recorded = Self::default();
        for (at, text) in BufReader::new(File::open(path)?).lines().enumerate() {
            match serde_json::from_str(&text?).map_err(|source| Error::Line { line: at + 1, source })? {
                Line::Operation(operation) => recorded.operations.push(operation),
                Line::Observation(observation) => recorded.observations.push(observation),
            }
        }
        Ok(recorded)
    }
}

/// A history file that is being written.
pub struct History {
    start: Instant,
    file: Mutex<BufWriter<File>>,
}

impl History {
    /// Starts a history at `path`.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { start: Instant::now(), file: Mutex::new(BufWriter::new(File::create(path)?)) })
    }

    /// Microseconds since the history began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds an operation.
    pub fn add(&self, operation: &Operation) {
        self.write(&Line::Operation(operation.clone()));
    }

    /// Adds an observation.
    pub fn observe(&self, observation: &Observation) {
        self.write(&Line::Observation(observation.clone()));
    }

    fn write(&self, line: &Line) {
        let line = serde_json::to_string(line).expect("a line has a JSON form");
        let mut file = self.file.lock().expect("no thread panics while it writes");
        writeln!(file, "{line}").and_then(|()| file.flush()).expect("the history is written");
    }
}
