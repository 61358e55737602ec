//! What the raft log asks of an engine (`node/src/consensus/log_store`).

use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Place of an entry. Indexes begin at 1, so that 0 means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// Term of the leader that made it.
    pub term: u64,
    /// Place in the log.
    pub index: u64,
}

/// Whom a node voted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// Term.
    pub term: u64,
    /// Node.
    pub node: u64,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place.
    pub id: LogId,
    /// What it carries.
    pub body: Bytes,
}

/// What stands beside the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Last purged entry; 0: none.
    pub purged: u64,
    /// Vote.
    pub vote: Vote,
    /// Last committed entry that the log knows of; 0: none.
    pub committed: u64,
}

/// A log that is open. Each change is on disk before its call returns, and there is one writer.
pub trait LogEngine {
    /// Appends entries, and after them in the same write, if given, up to where the log is committed.
    fn append(&mut self, entries: &[Entry], committed: Option<LogId>) -> Result<()>;
    /// Drops all entries behind `last`.
    fn truncate_after(&mut self, last: LogId) -> Result<()>;
    /// Drops all entries up to `upto`, which is there, and frees their space.
    fn purge(&mut self, upto: LogId) -> Result<()>;
    /// Saves a vote.
    fn save_vote(&mut self, vote: Vote) -> Result<()>;
    /// What stands beside the entries.
    fn meta(&mut self) -> Result<Meta>;
    /// Shows each entry that is there, in order.
    fn each(&mut self, see: &mut dyn FnMut(Entry)) -> Result<()>;
}

/// How an engine is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Bytes of a file before the next is begun, and of rows in memory before they are written as a table. None: the
    /// size that the node uses, and the others likewise.
    pub file_bytes: Option<u64>,
}

impl Sizes {
    /// Bytes of a file: a table of the node's log in memory, unless said otherwise.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes.unwrap_or(32 << 20)
    }
}

/// Opens or makes a log in a directory that exists.
pub type Open = fn(&Path, Sizes) -> Result<Box<dyn LogEngine>>;
