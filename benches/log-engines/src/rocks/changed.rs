//! A database that the node's storage made, opened with the options that it left in its own OPTIONS file, but for one.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use kho_log_engines::engine::Sizes;
use kho_node::storage::{Batch, Op};
use rocksdb::{
    Cache, DBRecoveryMode, DBWithThreadMode, Env, IteratorMode, MultiThreaded, Options, WriteBatch, WriteBufferManager,
    WriteOptions,
};

use super::node::Node;
use super::{LOG, Rows, See};

const MIB: usize = 1 << 20;
/// The node's defaults for what no OPTIONS file holds.
const CACHE_BYTES: usize = 32 * MIB;
const BUFFERS_BYTES: usize = 64 * MIB;
/// Files that are used again.
const RECYCLED: usize = 3;

/// What differs from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing: shows that the way here costs nothing itself.
    Nothing,
    /// Rows go into memory without what lets several threads do so.
    SerialMemtable,
    /// The log is written and synced by a call of its own.
    ManualFlush,
    /// Tables are not synced piece by piece while they are written.
    NoRangeSync,
    /// Twice the rows in memory before they are written as a table.
    LargerBuffer,
    /// Log files are written over, so that a sync changes no metadata. RocksDB does it only where recovery ends without a
    /// word at the first damaged record; the mark `TIDE` would have to tell what is missing then.
    Recycled,
}

pub struct Changed {
    db: DBWithThreadMode<MultiThreaded>,
    change: Change,
    // RocksDB's bindings keep no hold of it
    _buffers: WriteBufferManager,
}

impl Changed {
    pub fn open(path: &Path, change: Change) -> Result<Self> {
        if !super::exists(path) {
            drop(Node::open(path, Sizes { file_bytes: None })?);
        }
        let larger = if change == Change::LargerBuffer { 2 } else { 1 };
        let (mut options, tables) = Options::load_latest(path, Env::new()?, false, Cache::new_lru_cache(CACHE_BYTES))?;
        let buffers = WriteBufferManager::new_write_buffer_manager(larger * BUFFERS_BYTES, false);
        options.set_write_buffer_manager(&buffers);
        match change {
            Change::Nothing | Change::LargerBuffer => {}
            Change::SerialMemtable => options.set_allow_concurrent_memtable_write(false),
            Change::ManualFlush => options.set_manual_wal_flush(true),
            Change::NoRangeSync => options.set_bytes_per_sync(0),
            Change::Recycled => {
                options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
                options.set_recycle_log_file_num(RECYCLED);
            }
        }
        let db = DBWithThreadMode::open_cf_descriptors(&options, path, tables)?;
        let changed = Self { db, change, _buffers: buffers };
        if change == Change::LargerBuffer {
            let bytes = (64 * MIB).to_string();
            changed.db.set_options_cf(&changed.table(LOG)?, &[("write_buffer_size", bytes.as_str())])?;
        }
        Ok(changed)
    }

    fn table(&self, name: &str) -> Result<std::sync::Arc<rocksdb::BoundColumnFamily<'_>>> {
        self.db.cf_handle(name).with_context(|| format!("table {name:?}"))
    }
}

impl Rows for Changed {
    fn write(&self, batch: &Batch) -> Result<()> {
        let mut rows = WriteBatch::default();
        for op in &batch.0 {
            match op {
                Op::Put { table, key, value } => rows.put_cf(&self.table(table)?, key, value),
                Op::Delete { table, key } => rows.delete_cf(&self.table(table)?, key),
                Op::DeleteRange { table, from, to } => rows.delete_range_cf(&self.table(table)?, from, to),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(self.change != Change::ManualFlush);
        self.db.write_opt(rows, &options)?;
        if self.change == Change::ManualFlush {
            self.db.flush_wal(true)?;
        }
        Ok(())
    }

    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>> {
        let row = self.db.get_pinned_cf(&self.table(table)?, key)?;
        Ok(row.map(|row| Bytes::copy_from_slice(&row)))
    }

    fn each(&self, see: &mut See<'_>) -> Result<()> {
        for row in self.db.iterator_cf(&self.table(LOG)?, IteratorMode::Start) {
            let (key, row) = row?;
            if !see(&key, &row)? {
                break;
            }
        }
        Ok(())
    }

    fn last(&self) -> Result<Option<Bytes>> {
        let row = self.db.iterator_cf(&self.table(LOG)?, IteratorMode::End).next().transpose()?;
        Ok(row.map(|(key, _)| key.into_vec().into()))
    }

    fn reclaim(&self, to: &[u8]) -> Result<()> {
        // the last key before `to`: RocksDB takes the end for one of the range
        let last = super::key(super::number(to)? - 1);
        Ok(self.db.delete_file_in_range_cf(&self.table(LOG)?, &super::key(0)[..], &last[..])?)
    }
}
