//! The tables, and the transactions over them: the only place that knows redb. Every commit is synced
//! (`Durability::Immediate`); one commit takes a set of changes to the disk, or none of them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::OutboxError;
use super::files;
use super::limits::CACHE_BYTES;
use super::mutant::Mutant;
use super::row::{self, Delivered, Waiting};
use super::step::{Step, Steps};

/// A record's number: the order in which they were added.
pub(super) type Number = u64;

/// Records as they travel (`ID.record`).
const RECORDS: TableDefinition<Number, &[u8]> = TableDefinition::new("records");
/// Those that wait.
const QUEUE: TableDefinition<Number, &[u8]> = TableDefinition::new("queue");
/// Those that were refused for good.
const REFUSED: TableDefinition<Number, &[u8]> = TableDefinition::new("refused");
/// Those that are in, with their receipts.
const DELIVERED: TableDefinition<Number, &[u8]> = TableDefinition::new("delivered");
/// Numbers of the whole.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// In [`META`]: of the tables.
const VERSION: &str = "version";
/// In [`META`]: of the next record. Never goes back, so a number is never used twice.
const NEXT: &str = "next";

/// One change of one record.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It is new, and waits.
    Add(Number, Waiting, Bytes),
    /// It waits, wherever it was before.
    Wait(Number, Waiting),
    /// It was refused.
    Refuse(Number, Waiting),
    /// It is in.
    Deliver(Number, Delivered),
    /// It is of no interest any more.
    Forget(Number),
}

/// What the tables hold, without the records themselves.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub next: Number,
    pub queue: Vec<(Number, Waiting)>,
    pub refused: Vec<(Number, Waiting)>,
    pub delivered: Vec<(Number, Delivered)>,
}

#[derive(Debug)]
pub(super) struct Store {
    db: Database,
    steps: Arc<dyn Steps>,
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // a file that another hand has changed is an error, never a panic
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// A new store with empty tables.
fn make(backend: impl StorageBackend) -> Result<(), OutboxError> {
    let db = builder().create_with_backend(backend)?;
    let mut write = db.begin_write()?;
    write.set_durability(Durability::Immediate).map_err(|error| OutboxError::Store(Box::new(error.into())))?;
    {
        for table in [RECORDS, QUEUE, REFUSED, DELIVERED] {
            write.open_table(table)?;
        }
        let mut meta = write.open_table(META)?;
        meta.insert(VERSION, u64::from(row::VERSION))?;
        meta.insert(NEXT, 1)?;
    }
    write.commit()?;
    Ok(db.close()?)
}

impl Store {
    /// Opens it, and makes it where there is none.
    pub fn open(dir: &Path, steps: &Arc<dyn Steps>) -> Result<(Self, Loaded), OutboxError> {
        Self::on(files::open_store(dir, steps, make)?, dir, steps)
    }

    /// The store on this disk; `dir` names it in errors.
    fn on(disk: impl StorageBackend, dir: &Path, steps: &Arc<dyn Steps>) -> Result<(Self, Loaded), OutboxError> {
        let damaged = |what: String| OutboxError::Damaged { path: dir.to_owned(), what };
        if disk.len().map_err(files::at(dir))? == 0 {
            // redb would take it for a new one
            return Err(damaged("its file is empty".to_owned()));
        }
        let db = match builder().create_with_backend(disk) {
            Ok(db) => db,
            Err(redb::DatabaseError::Storage(redb::StorageError::Io(source)))
                if source.kind() != std::io::ErrorKind::InvalidData
                    && source.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                return Err(OutboxError::File { path: dir.to_owned(), source });
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        let store = Self { db, steps: steps.clone() };
        let loaded = store.load().map_err(|error| match error {
            Wrong::Store(error) => error,
            Wrong::Row(what) => damaged(what),
        })?;
        Ok((store, loaded))
    }

    fn load(&self) -> Result<Loaded, Wrong> {
        let read = self.db.begin_read().map_err(OutboxError::from)?;
        let meta = read.open_table(META).map_err(table_missing)?;
        let number = |key| -> Result<u64, Wrong> {
            let value = meta.get(key).map_err(OutboxError::from)?;
            value.map(|value| value.value()).ok_or_else(|| Wrong::Row(format!("it has no {key}")))
        };
        let version = number(VERSION)?;
        if version != u64::from(row::VERSION) {
            return Err(Wrong::Row(format!("expected version {}, found {version}", row::VERSION)));
        }
        Ok(Loaded {
            next: number(NEXT)?,
            queue: rows(&read, QUEUE, |row: &Waiting| row.version)?,
            refused: rows(&read, REFUSED, |row: &Waiting| row.version)?,
            delivered: rows(&read, DELIVERED, |row: &Delivered| row.version)?,
        })
    }

    /// All changes, on the disk when this returns; or none. After an error nobody knows which, until it is opened again.
    pub fn commit(&self, changes: &[Change], step: Step) -> Result<(), OutboxError> {
        if Mutant::RemovedBeforeReceipt.planted() && changes.iter().any(|change| matches!(change, Change::Deliver(..)))
        {
            let removed = |change: &Change| match change {
                Change::Deliver(number, _) => Change::Forget(*number),
                other => other.clone(),
            };
            self.write(&changes.iter().map(removed).collect::<Vec<_>>(), step)?;
        }
        self.write(changes, step)
    }

    fn write(&self, changes: &[Change], step: Step) -> Result<(), OutboxError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate).map_err(|error| OutboxError::Store(Box::new(error.into())))?;
        {
            let mut records = write.open_table(RECORDS)?;
            let mut queue = write.open_table(QUEUE)?;
            let mut refused = write.open_table(REFUSED)?;
            let mut delivered = write.open_table(DELIVERED)?;
            for change in changes {
                match change {
                    Change::Add(number, row, bytes) => {
                        records.insert(number, bytes.as_ref())?;
                        queue.insert(number, row.encode_to_vec().as_slice())?;
                        write.open_table(META)?.insert(NEXT, number + 1)?;
                    }
                    Change::Wait(number, row) => {
                        refused.remove(number)?;
                        queue.insert(number, row.encode_to_vec().as_slice())?;
                    }
                    Change::Refuse(number, row) => {
                        queue.remove(number)?;
                        refused.insert(number, row.encode_to_vec().as_slice())?;
                    }
                    Change::Deliver(number, row) => {
                        queue.remove(number)?;
                        refused.remove(number)?;
                        delivered.insert(number, row.encode_to_vec().as_slice())?;
                    }
                    Change::Forget(number) => {
                        queue.remove(number)?;
                        refused.remove(number)?;
                        delivered.remove(number)?;
                        records.remove(number)?;
                    }
                }
            }
        }
        self.steps.at(step);
        Ok(write.commit()?)
    }

    /// A record's bytes.
    pub fn record(&self, number: Number) -> Result<Option<Bytes>, OutboxError> {
        let records = self.db.begin_read()?.open_table(RECORDS)?;
        Ok(records.get(number)?.map(|bytes| Bytes::copy_from_slice(bytes.value())))
    }

    /// A delivered record's row.
    pub fn delivered(&self, number: Number) -> Result<Option<Delivered>, OutboxError> {
        let delivered = self.db.begin_read()?.open_table(DELIVERED)?;
        let Some(bytes) = delivered.get(number)? else { return Ok(None) };
        Ok(row::decode(bytes.value(), |row: &Delivered| row.version).ok())
    }
}

/// Why the tables were not read.
enum Wrong {
    Store(OutboxError),
    Row(String),
}

impl From<OutboxError> for Wrong {
    fn from(error: OutboxError) -> Self {
        Wrong::Store(error)
    }
}

fn table_missing(error: redb::TableError) -> Wrong {
    Wrong::Row(error.to_string())
}

fn rows<R: Message + Default>(
    read: &redb::ReadTransaction,
    table: TableDefinition<Number, &[u8]>,
    version: impl Fn(&R) -> u32,
) -> Result<Vec<(Number, R)>, Wrong> {
    let table = read.open_table(table).map_err(table_missing)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(OutboxError::from)? {
        let (number, bytes) = entry.map_err(OutboxError::from)?;
        found.push((number.value(), row::decode(bytes.value(), &version).map_err(Wrong::Row)?));
    }
    Ok(found)
}

#[cfg(test)]
mod power;
