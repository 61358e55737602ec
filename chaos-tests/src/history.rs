//! What was asked and what came back: one JSON line per operation, on disk before it counts.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use serde::Serialize;

/// How an operation ended. A time-out is unknown, never failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged, or read.
    Ok,
    /// Refused before it was proposed: certainly not in.
    Failed,
    /// May be in or not.
    Unknown,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A record was submitted for the first time.
    Submit,
    /// The same record was submitted again.
    Resubmit,
    /// A record was read.
    Get,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Operation {
    /// What was done.
    pub kind: Kind,
    /// Which record.
    pub record_id: String,
    /// SHA-256 of its header, hex.
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
    /// Error, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A history file.
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

    /// Adds a line.
    pub fn add(&self, operation: &Operation) {
        let line = serde_json::to_string(operation).expect("an operation has a JSON form");
        let mut file = self.file.lock().expect("no thread panics while it writes");
        writeln!(file, "{line}").and_then(|()| file.flush()).expect("the history is written");
    }
}
