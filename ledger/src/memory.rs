//! A state in memory, for tests of every crate: the simplest store that keeps the ledger's promises.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::apply;
use crate::change::{Change, Changes};
use crate::effects::Effects;
use crate::table::Table;
use crate::tip::Tip;
use crate::view::{Row, View, ViewError};

/// All rows, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    rows: BTreeMap<(Table, Bytes), Bytes>,
}

impl Memory {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes all changes.
    pub fn write(&mut self, changes: &Changes) {
        for change in changes {
            match change {
                Change::Put { table, key, value } => {
                    self.rows.insert((*table, key.clone()), value.clone());
                }
                Change::Delete { table, key } => {
                    self.rows.remove(&(*table, key.clone()));
                }
            }
        }
    }

    /// Applies an entry and writes what it changes.
    pub fn apply(&mut self, tip: &mut Tip, entry: &Bytes) -> Result<Effects, apply::Error> {
        let applied = apply::apply(self, tip, entry)?;
        self.write(&applied.changes);
        *tip = applied.tip;
        Ok(applied.effects)
    }

    /// All rows in order of table and key.
    pub fn rows(&self) -> impl Iterator<Item = (Table, &Bytes, &Bytes)> {
        self.rows.iter().map(|((table, key), value)| (*table, key, value))
    }

    /// Rows of one table.
    pub fn count(&self, table: Table) -> usize {
        self.rows().filter(|(of, _, _)| *of == table).count()
    }
}

impl View for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        Ok(self.rows.get(&(table, Bytes::copy_from_slice(key))).cloned())
    }

    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        let from = (table, Bytes::copy_from_slice(key.max(prefix)));
        let found = self.rows.range((Bound::Included(from), Bound::Unbounded)).next();
        Ok(found.and_then(|row| inside(row, table, prefix)))
    }

    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        // Rows after the prefix's last one may lie before `key`: skip them.
        let to = (table, Bytes::copy_from_slice(key));
        let below = self.rows.range((Bound::Unbounded, Bound::Excluded(to))).rev();
        let mut below =
            below.skip_while(|((of, at), _)| *of == table && at.as_ref() > prefix && !at.starts_with(prefix));
        Ok(below.next().and_then(|row| inside(row, table, prefix)))
    }
}

fn inside(((of, key), value): (&(Table, Bytes), &Bytes), table: Table, prefix: &[u8]) -> Option<Row> {
    (*of == table && key.starts_with(prefix)).then(|| (key.clone(), value.clone()))
}
