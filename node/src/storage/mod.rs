//! Key-value storage: the seam that a simulation can take over, and RocksDB behind it.
//!
//! A database is a set of named tables of byte rows in key order. What stands here knows nothing of
//! Raft, records or snapshots of the ledger; [`rocks`] alone knows RocksDB.

pub mod fatal;
pub mod guard;
pub mod rocks;
#[cfg(any(test, feature = "simulation"))]
pub mod sim;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// When a write must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before `write` returns.
    Sync,
    /// In memory until the next flush; rows of one batch appear on disk together or not at all.
    Buffered,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a row.
    Put {
        /// Table.
        table: &'static str,
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// Removes a row.
    Delete {
        /// Table.
        table: &'static str,
        /// Key.
        key: Bytes,
    },
    /// Removes all rows with `from <= key < to`.
    DeleteRange {
        /// Table.
        table: &'static str,
        /// First key removed.
        from: Bytes,
        /// First key kept.
        to: Bytes,
    },
}

/// Changes that are written together, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Op>);

impl Batch {
    /// Sets a row.
    pub fn put(&mut self, table: &'static str, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Op::Put { table, key: key.into(), value: value.into() });
    }

    /// Removes a row.
    pub fn delete(&mut self, table: &'static str, key: impl Into<Bytes>) {
        self.0.push(Op::Delete { table, key: key.into() });
    }

    /// Removes rows with `from <= key < to`.
    pub fn delete_range(&mut self, table: &'static str, from: impl Into<Bytes>, to: impl Into<Bytes>) {
        self.0.push(Op::DeleteRange { table, from: from.into(), to: to.into() });
    }
}

/// Keys `from <= key`, and `key < to` if given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key.
    pub from: Vec<u8>,
    /// First key past the end; none: to the end of the table.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// `from <= key < to`.
    pub fn new(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: Some(to.into()) }
    }

    /// `from <= key`.
    pub fn starting(from: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: None }
    }
}

/// Order of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// A row: key and value.
pub type Row = (Bytes, Bytes);

/// Rows of a range, in order.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, KvError>> + Send + 'a>;

/// Reads.
pub trait KvRead: Send + Sync + 'static {
    /// The value of a row.
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError>;
    /// Rows of a range.
    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError>;
    /// The same forward, and nothing of it stays in memory for others.
    fn scan(&self, table: &'static str, range: KeyRange) -> Result<Rows<'_>, KvError> {
        self.iter(table, range, Direction::Forward)
    }
}

/// A database.
pub trait KvEngine: KvRead {
    /// Writes a batch, all or nothing.
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError>;
    /// A consistent view of this moment, valid for as long as it is held.
    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError>;
    /// Puts everything written so far on disk, atomically across tables.
    fn flush(&self) -> Result<(), KvError>;
    /// Makes a copy in `directory` (new, same file system) that shares files with this database and opens on its own.
    fn checkpoint(&self, directory: &Path) -> Result<(), KvError>;
    /// Takes in sorted files that were made for this engine.
    fn ingest(&self, table: &'static str, files: &[PathBuf]) -> Result<(), KvError>;
    /// Frees the space of rows with `from <= key < to` that a batch has removed before.
    fn reclaim(&self, table: &'static str, from: &[u8], to: &[u8]) -> Result<(), KvError>;
    /// Bytes that the rows of a table take, roughly.
    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError>;
}

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The raft log: write-ahead log on, synced by the caller.
    Log,
    /// The state: no write-ahead log (the raft log is one); all tables flushed together.
    State,
}

/// Opens databases: RocksDB, or a simulation's fake.
pub trait Storage: Send + Sync + 'static {
    /// Opens or creates a database with these tables in a directory.
    fn open(&self, path: &Path, profile: Profile, tables: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError>;
    /// Opens an existing database that nobody writes, e.g. a checkpoint, without changing it.
    fn open_read_only(
        &self,
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
    ) -> Result<Arc<dyn KvRead>, KvError>;
}

/// Why a database did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed ({kind}): {detail}")]
pub struct KvError {
    /// What was tried.
    pub operation: &'static str,
    /// What sort of failure it is.
    pub kind: KvErrorKind,
    /// The engine's own words.
    pub detail: String,
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvErrorKind {
    /// The disk or file system failed.
    Io,
    /// Stored bytes are damaged.
    Corruption,
    /// Another process holds the database.
    Locked,
    /// The request made no sense to the engine: a bug.
    Misuse,
}

impl fmt::Display for KvErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KvErrorKind::Io => "i/o",
            KvErrorKind::Corruption => "corruption",
            KvErrorKind::Locked => "locked",
            KvErrorKind::Misuse => "misuse",
        })
    }
}

impl From<KvError> for io::Error {
    fn from(error: KvError) -> Self {
        let kind = match error.kind {
            KvErrorKind::Corruption => io::ErrorKind::InvalidData,
            KvErrorKind::Locked => io::ErrorKind::ResourceBusy,
            KvErrorKind::Misuse => io::ErrorKind::InvalidInput,
            KvErrorKind::Io => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
