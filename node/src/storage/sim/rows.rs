//! Rows of all tables at one moment; cheap to copy.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use imbl::OrdMap;

use crate::storage::{Batch, Direction, KeyRange, Op, Row};

/// Rows of one table.
pub(super) type Rows = OrdMap<Bytes, Bytes>;

/// Rows by table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tables(BTreeMap<String, Rows>);

impl Tables {
    pub(super) fn table(&self, name: &str) -> Rows {
        self.0.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        for op in &batch.0 {
            match op {
                Op::Put { table, key, value } => {
                    self.rows(table).insert(key.clone(), value.clone());
                }
                Op::Delete { table, key } => {
                    self.rows(table).remove(key);
                }
                Op::DeleteRange { table, from, to } => {
                    let rows = self.rows(table);
                    let gone: Vec<Bytes> = rows.range(from.clone()..to.clone()).map(|(key, _)| key.clone()).collect();
                    for key in gone {
                        rows.remove(&key);
                    }
                }
            }
        }
    }

    fn rows(&mut self, table: &str) -> &mut Rows {
        self.0.entry(table.to_owned()).or_default()
    }

    /// Writes all rows into a file.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = Vec::new();
        for (table, rows) in &self.0 {
            for (key, value) in rows {
                for part in [table.as_bytes(), key, value] {
                    out.put_u32(part.len() as u32);
                    out.put_slice(part);
                }
            }
        }
        fs::write(path, out)
    }
}

/// Reads what [`Tables::write`] wrote; none: no such file.
pub(super) fn read(path: &Path) -> io::Result<Option<Tables>> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{}: cut short", path.display()));
    let mut tables = Tables::default();
    while bytes.has_remaining() {
        let mut part = || {
            let length = bytes.try_get_u32().ok()? as usize;
            (bytes.len() >= length).then(|| bytes.split_to(length))
        };
        let (Some(table), Some(key), Some(value)) = (part(), part(), part()) else { return Err(damaged()) };
        let table = std::str::from_utf8(&table).map_err(|_| damaged())?;
        tables.rows(table).insert(key, value);
    }
    Ok(Some(tables))
}

/// Rows of a range, one after the other.
pub(super) struct Iter {
    rows: Rows,
    range: (Bound<Bytes>, Bound<Bytes>),
    direction: Direction,
}

impl Iter {
    pub(super) fn new(rows: Rows, range: KeyRange, direction: Direction) -> Self {
        let end = range.to.map_or(Bound::Unbounded, |to| Bound::Excluded(Bytes::from(to)));
        Self { rows, range: (Bound::Included(Bytes::from(range.from)), end), direction }
    }
}

impl Iterator for Iter {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if let (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) = (&self.range.0, &self.range.1)
            && from >= to
        {
            return None;
        }
        let mut rows = self.rows.range(self.range.clone());
        let row = match self.direction {
            Direction::Forward => rows.next(),
            Direction::Backward => rows.next_back(),
        };
        let (key, value) = row.map(|(key, value)| (key.clone(), value.clone()))?;
        match self.direction {
            Direction::Forward => self.range.0 = Bound::Excluded(key.clone()),
            Direction::Backward => self.range.1 = Bound::Excluded(key.clone()),
        }
        Some((key, value))
    }
}
