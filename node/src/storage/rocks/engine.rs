//! A RocksDB database behind [`KvEngine`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BoundColumnFamily, ColumnFamilyDescriptor, DBWithThreadMode, ErrorKind, FlushOptions, IngestExternalFileOptions,
    MultiThreaded, ReadOptions, WriteBatch, WriteOptions,
};

use super::direct;
use super::garbage::Garbage;
use super::options::{self, Shared, Tuning, Usage};
use super::snapshot::RocksSnapshot;
use crate::storage::{
    Batch, Direction, Durability, KeyRange, KvEngine, KvError, KvErrorKind, KvRead, Op, Profile, Rows, Storage,
};

pub(super) type Db = DBWithThreadMode<MultiThreaded>;

/// RocksDB's own table; unused.
const DEFAULT_TABLE: &str = "default";
/// Tables whose keys only ascend.
const APPEND_TABLES: [&str; 4] = ["log", "bodies", "leaves", "sizes"];
/// Tables that are read by random keys.
const POINT_TABLES: [&str; 3] = ["records", "series", "keys"];
/// Tables of large values, which are made when their first row is written: until then the database is one that a build
/// from before them opens too.
const LATE_TABLES: [&str; 1] = ["objects"];

/// Opens RocksDB databases that share one block cache and one write-buffer manager.
#[derive(Clone)]
pub struct RocksStorage {
    shared: Shared,
}

impl RocksStorage {
    /// Takes the memory that `tuning` allows; once per process.
    pub fn new(tuning: Tuning) -> Self {
        Self { shared: Shared::new(tuning) }
    }
}

impl Storage for RocksStorage {
    fn open(&self, path: &Path, profile: Profile, tables: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError> {
        Ok(Arc::new(RocksEngine::open(path, profile, tables, &self.shared)?))
    }

    fn open_read_only(
        &self,
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
    ) -> Result<Arc<dyn KvRead>, KvError> {
        Ok(Arc::new(RocksEngine::open_read_only(path, profile, tables, &self.shared)?))
    }
}

/// An open database.
struct RocksEngine {
    db: Arc<Db>,
    profile: Profile,
    tables: Arc<[&'static str]>,
    shared: Shared,
    /// A flush must know of all tables: none is made while one goes on.
    making: RwLock<()>,
    garbage: Garbage,
}

impl RocksEngine {
    fn open(path: &Path, profile: Profile, tables: &[&'static str], shared: &Shared) -> Result<Self, KvError> {
        let (mut database, descriptors) = Self::describe(path, profile, tables, shared);
        // Tables are written once and read rarely: copying them into the page cache took a quarter of all CPU at 16 KiB a
        // record (docs/adr/0033). The log's own file stays buffered: its writes are smaller than a block.
        database.set_use_direct_io_for_flush_and_compaction(direct::is_possible(path));
        let db = Db::open_cf_descriptors(&database, path, descriptors).map_err(|error| failed("open", &error))?;
        let appended = tables.iter().filter(|table| usage(table) == Usage::Append);
        for table in appended.filter(|_| profile == Profile::State) {
            db.set_options_cf(&handle(&db, table)?, options::WRITTEN_ONCE)
                .map_err(|error| failed("set options", &error))?;
        }
        Ok(Self::of(db, profile, tables, shared))
    }

    fn of(db: Db, profile: Profile, tables: &[&'static str], shared: &Shared) -> Self {
        Self {
            db: Arc::new(db),
            profile,
            tables: tables.into(),
            shared: shared.clone(),
            making: RwLock::new(()),
            garbage: Garbage::default(),
        }
    }

    fn open_read_only(
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
        shared: &Shared,
    ) -> Result<Self, KvError> {
        let (mut database, descriptors) = Self::describe(path, profile, tables, shared);
        database.create_if_missing(false);
        let db = Db::open_cf_descriptors_read_only(&database, path, descriptors, false)
            .map_err(|error| failed("open read-only", &error))?;
        Ok(Self::of(db, profile, tables, shared))
    }

    fn describe(
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
        shared: &Shared,
    ) -> (rocksdb::Options, Vec<ColumnFamilyDescriptor>) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let database = options::database(profile, shared, &name);
        let stored = Db::list_cf(&database, path).unwrap_or_default();
        let tables = tables
            .iter()
            // an error: there is no database yet, or opening it says what is wrong
            .filter(|table| !LATE_TABLES.contains(table) || stored.iter().any(|stored| stored == *table))
            .chain(std::iter::once(&DEFAULT_TABLE))
            .map(|table| ColumnFamilyDescriptor::new(*table, options::table(profile, usage(table), shared)))
            .collect();
        (database, tables)
    }

    fn table(&self, table: &'static str) -> Result<Arc<BoundColumnFamily<'_>>, KvError> {
        handle(&self.db, table)
    }

    /// The table for a write: made now if this is its first.
    fn table_to_write(&self, table: &'static str) -> Result<Arc<BoundColumnFamily<'_>>, KvError> {
        if self.is_late(table) && self.db.cf_handle(table).is_none() {
            let _making = self.making.write();
            let options = options::table(self.profile, usage(table), &self.shared);
            self.db.create_cf(table, &options).map_err(|error| failed("make table", &error))?;
        }
        self.table(table)
    }

    fn is_late(&self, table: &str) -> bool {
        LATE_TABLES.contains(&table) && self.tables.contains(&table)
    }
}

fn usage(table: &str) -> Usage {
    if LATE_TABLES.contains(&table) {
        Usage::Large
    } else if APPEND_TABLES.contains(&table) {
        Usage::Append
    } else if POINT_TABLES.contains(&table) {
        Usage::Point
    } else {
        Usage::Plain
    }
}

fn handle<'a>(db: &'a Db, table: &'static str) -> Result<Arc<BoundColumnFamily<'a>>, KvError> {
    db.cf_handle(table).ok_or_else(|| KvError {
        operation: "find table",
        kind: KvErrorKind::Misuse,
        detail: format!("expected a table of this database, found {table:?}"),
    })
}

/// A key before `to` with hardly any between: none where keys are as long as `to`. None: there is none before it.
fn below(to: &[u8]) -> Option<Vec<u8>> {
    let (last, head) = to.split_last()?;
    let mut key = head.to_vec();
    if let Some(less) = last.checked_sub(1) {
        key.push(less);
        key.extend([u8::MAX; 16]);
    }
    Some(key)
}

pub(super) fn failed(operation: &'static str, error: &rocksdb::Error) -> KvError {
    let detail = error.to_string();
    let kind = match error.kind() {
        ErrorKind::Corruption => KvErrorKind::Corruption,
        // a file that the database's own description names
        _ if operation.starts_with("open") && detail.contains("No such file or directory") => KvErrorKind::Corruption,
        ErrorKind::InvalidArgument | ErrorKind::NotSupported => KvErrorKind::Misuse,
        _ if detail.contains("lock") => KvErrorKind::Locked,
        _ => KvErrorKind::Io,
    };
    KvError { operation, kind, detail }
}

/// A table that is read; none: it has no rows, for it was not made yet.
fn readable<'a>(db: &'a Db, table: &'static str) -> Result<Option<Arc<BoundColumnFamily<'a>>>, KvError> {
    match db.cf_handle(table) {
        None if LATE_TABLES.contains(&table) => Ok(None),
        _ => handle(db, table).map(Some),
    }
}

pub(super) fn get(db: &Db, table: &'static str, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>, KvError> {
    let Some(table) = readable(db, table)? else { return Ok(None) };
    let row = db.get_pinned_cf_opt(&table, key, options).map_err(|error| failed("get", &error))?;
    Ok(row.map(|value| Bytes::copy_from_slice(&value)))
}

pub(super) fn iter<'a>(
    db: &'a Db,
    table: &'static str,
    range: KeyRange,
    direction: Direction,
    mut options: ReadOptions,
) -> Result<Rows<'a>, KvError> {
    options.set_iterate_lower_bound(range.from);
    if let Some(to) = range.to {
        options.set_iterate_upper_bound(to);
    }
    let Some(table) = readable(db, table)? else { return Ok(Box::new(std::iter::empty())) };
    let mut rows = db.raw_iterator_cf_opt(&table, options);
    match direction {
        Direction::Forward => rows.seek_to_first(),
        Direction::Backward => rows.seek_to_last(),
    }
    let mut fresh = true;
    let mut done = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if done {
            return None;
        }
        if !fresh {
            match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.prev(),
            }
        }
        fresh = false;
        if let Some((key, value)) = rows.item() {
            return Some(Ok((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))));
        }
        done = true;
        rows.status().err().map(|error| Err(failed("iterate", &error)))
    })))
}

impl KvRead for RocksEngine {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        get(&self.db, table, key, &ReadOptions::default())
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        iter(&self.db, table, range, direction, ReadOptions::default())
    }

    fn scan(&self, table: &'static str, range: KeyRange) -> Result<Rows<'_>, KvError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        iter(&self.db, table, range, Direction::Forward, options)
    }
}

impl KvEngine for RocksEngine {
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError> {
        let mut rows = WriteBatch::default();
        for op in &batch.0 {
            match op {
                Op::Put { table, key, value } => rows.put_cf(&self.table_to_write(table)?, key, value),
                Op::Delete { table, key } => rows.delete_cf(&self.table_to_write(table)?, key),
                Op::DeleteRange { table, from, to } => rows.delete_range_cf(&self.table_to_write(table)?, from, to),
            }
        }
        let mut options = WriteOptions::default();
        match (self.profile, durability) {
            (Profile::Log, durability) => options.set_sync(durability == Durability::Sync),
            (Profile::State, _) => options.disable_wal(true),
        }
        self.db.write_opt(rows, &options).map_err(|error| failed("write", &error))?;
        if self.profile == Profile::State && durability == Durability::Sync {
            self.flush()?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError> {
        Ok(Arc::new(RocksSnapshot::new(Arc::clone(&self.db))))
    }

    fn flush(&self) -> Result<(), KvError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        // With atomic flush, flushing any set of tables at once makes one consistent point of all of them.
        let _making = self.making.read();
        let tables = self.tables.iter().filter_map(|table| readable(&self.db, table).transpose());
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        self.db.flush_cfs_opt(&tables.iter().collect::<Vec<_>>(), &options).map_err(|error| failed("flush", &error))?;
        for table in self.tables.iter().filter(|table| LATE_TABLES.contains(table)) {
            if let Some(table) = readable(&self.db, table)? {
                self.garbage.look(&self.db, &table)?;
            }
        }
        Ok(())
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), KvError> {
        let checkpoint = Checkpoint::new(&*self.db).map_err(|error| failed("begin checkpoint", &error))?;
        checkpoint.create_checkpoint(directory).map_err(|error| failed("checkpoint", &error))
    }

    fn ingest(&self, table: &'static str, files: &[PathBuf]) -> Result<(), KvError> {
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        self.db
            .ingest_external_file_cf_opts(&self.table_to_write(table)?, &options, files.to_vec())
            .map_err(|error| failed("ingest", &error))
    }

    fn reclaim(&self, table: &'static str, from: &[u8], to: &[u8]) -> Result<(), KvError> {
        // Drops whole files inside the range; what is left at its ends goes with compaction. RocksDB takes the end for
        // one of the range: a file whose last row is `to` would go, and with it a row that nobody removed.
        let Some(last) = below(to) else { return Ok(()) };
        let Some(table) = readable(&self.db, table)? else { return Ok(()) };
        self.db.delete_file_in_range_cf(&table, from, &last).map_err(|error| failed("reclaim", &error))
    }

    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError> {
        let Some(table) = readable(&self.db, table)? else { return Ok(0) };
        let mut total = 0;
        let properties =
            ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.size-all-mem-tables"];
        for property in properties {
            let value = self.db.property_int_value_cf(&table, property).map_err(|error| failed("measure", &error))?;
            total += value.unwrap_or(0);
        }
        Ok(total)
    }
}
