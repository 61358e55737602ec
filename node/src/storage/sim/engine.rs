//! Handles of a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::database::{Database, Opened, Outcome};
use super::points::{Point, Side};
use super::rows::{Iter, Tables};
use super::{ROWS_FILE, SimDisk, error};
use crate::storage::{Batch, Direction, Durability, KeyRange, KvEngine, KvError, KvErrorKind, KvRead, Profile, Rows};

/// An open database.
pub(super) struct SimEngine {
    pub(super) disk: Arc<SimDisk>,
    pub(super) database: Arc<Database>,
    pub(super) opened: Opened,
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        self.database.close(self.opened);
    }
}

pub(super) fn dead(operation: &'static str) -> KvError {
    error(operation, KvErrorKind::Io, "the machine lost its power")
}

impl SimEngine {
    fn tables(&self, operation: &'static str) -> Result<Tables, KvError> {
        self.database.rows(self.opened).ok_or_else(|| dead(operation))
    }

    fn fails(&self) -> bool {
        self.disk.strikes(|faults| faults.write_fails)
    }

    /// Works, unless the machine is cut just before or just after: then nobody hears that it was done.
    fn at<T>(
        &self,
        point: Option<Point>,
        operation: &'static str,
        work: impl FnOnce() -> Result<T, KvError>,
    ) -> Result<T, KvError> {
        let cut = |side| point.is_some_and(|point| self.disk.cut(point, side));
        if cut(Side::Before) {
            return Err(dead(operation));
        }
        let done = work();
        if cut(Side::After) { Err(dead(operation)) } else { done }
    }

    fn persist(&self, operation: &'static str) -> Result<(), KvError> {
        if self.fails() {
            return Err(error(operation, KvErrorKind::Io, "an injected EIO"));
        }
        self.database.flush(self.opened).ok_or_else(|| dead(operation))
    }
}

impl KvRead for SimEngine {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.tables("get")?.table(table).get(key).cloned())
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        Ok(Box::new(Iter::new(self.tables("iter")?.table(table), range, direction).map(Ok)))
    }
}

impl KvEngine for SimEngine {
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError> {
        let point = Point::of_write(self.database.profile(), durability);
        if point == Some(Point::LogSync) && self.disk.cut_at_mark() {
            return Err(dead("write"));
        }
        self.at(point, "write", || {
            let outcome = if self.fails() { Outcome::Failed } else { Outcome::Written };
            let flush = self.disk.strikes(|faults| faults.flush_by_itself);
            self.database.write(self.opened, batch, durability, outcome, flush).ok_or_else(|| dead("write"))?;
            match outcome {
                Outcome::Written => Ok(()),
                Outcome::Failed => Err(error("write", KvErrorKind::Io, "an injected EIO")),
            }
        })
    }

    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError> {
        Ok(Arc::new(SimRead(self.tables("snapshot")?)))
    }

    fn flush(&self) -> Result<(), KvError> {
        let point = (self.database.profile() == Profile::State).then_some(Point::Flush);
        self.at(point, "flush", || self.persist("flush"))
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), KvError> {
        self.at(Some(Point::Checkpoint), "checkpoint", || {
            self.persist("checkpoint")?;
            let tables = self.tables("checkpoint")?;
            std::fs::create_dir(directory)
                .and_then(|()| tables.write(&directory.join(ROWS_FILE)))
                .map_err(|failed| error("checkpoint", KvErrorKind::Io, &failed.to_string()))
        })
    }

    fn ingest(&self, _: &'static str, _: &[PathBuf]) -> Result<(), KvError> {
        Err(error("ingest", KvErrorKind::Misuse, "files of tables are RocksDB's"))
    }

    fn reclaim(&self, _: &'static str, _: &[u8], _: &[u8]) -> Result<(), KvError> {
        Ok(())
    }

    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError> {
        let rows = self.tables("approximate_bytes")?.table(table);
        Ok(rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

/// Rows of one moment.
pub(super) struct SimRead(pub(super) Tables);

impl KvRead for SimRead {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.0.table(table).get(key).cloned())
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        Ok(Box::new(Iter::new(self.0.table(table), range, direction).map(Ok)))
    }
}
