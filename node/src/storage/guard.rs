//! A database that tells when it meets damaged bytes. Whoever met them gets the error as well; the listener hears of it
//! even where an error is only an answer that could not be given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Batch, Direction, Durability, KeyRange, KvEngine, KvError, KvErrorKind, KvRead, Row, Rows};

/// Hears of damage.
pub type OnDamage = Arc<dyn Fn(&KvError) + Send + Sync>;

/// A database, or a view of one, that tells.
pub struct Guard<D: ?Sized> {
    inner: Arc<D>,
    damaged: OnDamage,
}

impl<D: ?Sized> Guard<D> {
    /// `damaged` hears of every damage that `inner` meets.
    pub fn new(inner: Arc<D>, damaged: OnDamage) -> Self {
        Self { inner, damaged }
    }

    fn tell<T>(&self, result: Result<T, KvError>) -> Result<T, KvError> {
        result.inspect_err(|error| tell(&self.damaged, error))
    }

    fn listening<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let damaged = Arc::clone(&self.damaged);
        Box::new(rows.inspect(move |row: &Result<Row, KvError>| {
            if let Err(error) = row {
                tell(&damaged, error);
            }
        }))
    }
}

fn tell(damaged: &OnDamage, error: &KvError) {
    if error.kind == KvErrorKind::Corruption {
        damaged(error);
    }
}

impl<D: KvRead + ?Sized> KvRead for Guard<D> {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.tell(self.inner.get(table, key))
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        Ok(self.listening(self.tell(self.inner.iter(table, range, direction))?))
    }

    fn scan(&self, table: &'static str, range: KeyRange) -> Result<Rows<'_>, KvError> {
        Ok(self.listening(self.tell(self.inner.scan(table, range))?))
    }
}

impl KvEngine for Guard<dyn KvEngine> {
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError> {
        self.tell(self.inner.write(batch, durability))
    }

    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError> {
        Ok(Arc::new(Guard::new(self.tell(self.inner.snapshot())?, Arc::clone(&self.damaged))))
    }

    fn flush(&self) -> Result<(), KvError> {
        self.tell(self.inner.flush())
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), KvError> {
        self.tell(self.inner.checkpoint(directory))
    }

    fn ingest(&self, table: &'static str, files: &[PathBuf]) -> Result<(), KvError> {
        self.tell(self.inner.ingest(table, files))
    }

    fn reclaim(&self, table: &'static str, from: &[u8], to: &[u8]) -> Result<(), KvError> {
        self.tell(self.inner.reclaim(table, from, to))
    }

    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError> {
        self.tell(self.inner.approximate_bytes(table))
    }
}

/// Rows that are read between two pauses.
const ROWS_AT_ONCE: usize = 256;

/// Reads every row of `tables` once, so that every block's checksum is checked. The first damaged block is an error.
/// `go_on` hears again and again how many bytes were read; it may wait, or end it.
pub fn verify(rows: &dyn KvRead, tables: &[&'static str], mut go_on: impl FnMut(usize) -> bool) -> Result<(), KvError> {
    for table in tables {
        let mut from = Vec::new();
        loop {
            let (mut last, mut bytes) = (None, 0);
            // piece by piece: a long iteration would hold files that are obsolete
            for row in rows.scan(table, KeyRange::starting(from))?.take(ROWS_AT_ONCE) {
                let (key, value) = row?;
                bytes += key.len() + value.len();
                last = Some(key);
            }
            if !go_on(bytes) {
                return Ok(());
            }
            let Some(last) = last else { break };
            from = [last.as_ref(), &[0]].concat();
        }
    }
    Ok(())
}
