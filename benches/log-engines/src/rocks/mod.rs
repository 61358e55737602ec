//! The raft log on RocksDB: the rows that the node writes (`docs/formats/raft-log.md`), in its storage or in a database
//! with one option changed.

mod changed;
mod node;

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use kho_log_engines::engine::{Entry, LogEngine, LogId, Meta, Open, Vote};
use kho_node::storage::Batch;

/// Table of the entries, by index.
const LOG: &str = "log";
/// Table of all else.
const META: &str = "meta";
const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";

/// All engines of this process. The first is the node's.
pub const ENGINES: &[(&str, Open)] = &[
    ("rocksdb", |path, sizes| log(node::Node::open(path, sizes)?)),
    ("rocksdb/same", |path, _| log(changed::Changed::open(path, changed::Change::Nothing)?)),
    ("rocksdb/serial-memtable", |path, _| log(changed::Changed::open(path, changed::Change::SerialMemtable)?)),
    ("rocksdb/manual-flush", |path, _| log(changed::Changed::open(path, changed::Change::ManualFlush)?)),
    ("rocksdb/no-range-sync", |path, _| log(changed::Changed::open(path, changed::Change::NoRangeSync)?)),
    ("rocksdb/buffer-64", |path, _| log(changed::Changed::open(path, changed::Change::LargerBuffer)?)),
    ("rocksdb/recycled", |path, _| log(changed::Changed::open(path, changed::Change::Recycled)?)),
];

/// Is shown key and value of a row, and says whether it goes on.
type See<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'a;

/// A database as the log uses it.
trait Rows {
    /// All or nothing, and on the disk.
    fn write(&self, batch: &Batch) -> Result<()>;
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>>;
    /// Rows of [`LOG`] in order.
    fn each(&self, see: &mut See<'_>) -> Result<()>;
    /// Key of the last row of [`LOG`].
    fn last(&self) -> Result<Option<Bytes>>;
    /// Frees the files of rows before `to`, which are removed.
    fn reclaim(&self, to: &[u8]) -> Result<()>;
}

struct RocksLog<R> {
    rows: R,
    /// End of what a truncation takes, as the log store knows it.
    last: u64,
}

fn log<R: Rows + 'static>(rows: R) -> Result<Box<dyn LogEngine>> {
    let last = rows.last()?.map_or(Ok(0), |key| number(&key))?;
    Ok(Box::new(RocksLog { rows, last }))
}

fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(bytes.get(..8).context("a number of eight bytes")?.try_into()?))
}

impl<R: Rows> RocksLog<R> {
    fn pair(&self, key: &[u8]) -> Result<(u64, u64)> {
        let Some(row) = self.rows.get(META, key)? else { return Ok((0, 0)) };
        Ok((number(&row)?, number(row.get(8..).context("two numbers")?)?))
    }
}

impl<R: Rows> LogEngine for RocksLog<R> {
    fn append(&mut self, entries: &[Entry], committed: Option<LogId>) -> Result<()> {
        let mut batch = Batch::default();
        for entry in entries {
            let mut row = Vec::with_capacity(8 + entry.body.len());
            row.extend_from_slice(&entry.id.term.to_be_bytes());
            row.extend_from_slice(&entry.body);
            batch.put(LOG, key(entry.id.index).to_vec(), row);
            self.last = entry.id.index;
        }
        if let Some(id) = committed {
            batch.put(META, COMMITTED, pair(id.term, id.index));
        }
        self.rows.write(&batch)
    }

    fn truncate_after(&mut self, last: LogId) -> Result<()> {
        let mut batch = Batch::default();
        batch.delete_range(LOG, key(last.index + 1).to_vec(), key(self.last + 1).to_vec());
        self.last = last.index;
        self.rows.write(&batch)
    }

    fn purge(&mut self, upto: LogId) -> Result<()> {
        let end = key(upto.index + 1);
        let mut batch = Batch::default();
        batch.delete_range(LOG, key(0).to_vec(), end.to_vec());
        batch.put(META, PURGED, pair(upto.term, upto.index));
        self.rows.write(&batch)?;
        self.rows.reclaim(&end)?;
        // the log store looks for the first row, too
        self.rows.each(&mut |_, _| Ok(false))
    }

    fn save_vote(&mut self, vote: Vote) -> Result<()> {
        let mut batch = Batch::default();
        batch.put(META, VOTE, pair(vote.term, vote.node));
        self.rows.write(&batch)
    }

    fn meta(&mut self) -> Result<Meta> {
        let (term, node) = self.pair(VOTE)?;
        Ok(Meta { purged: self.pair(PURGED)?.1, vote: Vote { term, node }, committed: self.pair(COMMITTED)?.1 })
    }

    fn each(&mut self, see: &mut dyn FnMut(Entry)) -> Result<()> {
        self.rows.each(&mut |key, row| {
            let id = LogId { term: number(row)?, index: number(key)? };
            see(Entry { id, body: Bytes::copy_from_slice(&row[8..]) });
            Ok(true)
        })
    }
}

fn exists(path: &Path) -> bool {
    path.join("CURRENT").exists()
}
