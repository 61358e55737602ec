//! A table while an entry is being applied: rows of the view, overlaid with what the entry has changed of them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::change::Changes;
use crate::table::Table;
use crate::view::{Row, View, ViewError};

/// Rows of `objects` that the entry changes: each once, however often it changes.
pub(crate) struct Overlay<'a> {
    view: &'a dyn View,
    rows: BTreeMap<Bytes, Option<Bytes>>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(view: &'a dyn View) -> Self {
        Self { view, rows: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, key: Bytes, value: impl Into<Bytes>) {
        self.rows.insert(key, Some(value.into()));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.rows.insert(key, None);
    }

    pub(crate) fn finish(self, changes: &mut Changes) {
        for (key, value) in self.rows {
            match value {
                Some(value) => changes.put(Table::Objects, key, value),
                None => changes.delete(Table::Objects, key),
            }
        }
    }

    /// The nearest of a row below, asked for again while the entry has deleted it, and a changed one.
    fn nearest(
        &self,
        mut below: impl FnMut(Option<&Bytes>) -> Result<Option<Row>, ViewError>,
        changed: Option<Row>,
        forward: bool,
    ) -> Result<Option<Row>, ViewError> {
        let mut row = below(None)?;
        while let Some((key, _)) = &row
            && self.rows.contains_key(key)
        {
            row = below(Some(&key.clone()))?;
        }
        Ok(match (row, changed) {
            (Some(row), Some(changed)) => Some(if (row.0 < changed.0) == forward { row } else { changed }),
            (row, changed) => row.or(changed),
        })
    }
}

fn there((key, value): (&Bytes, &Option<Bytes>)) -> Option<Row> {
    value.as_ref().map(|value| (key.clone(), value.clone()))
}

impl View for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        match self.rows.get(key).filter(|_| table == Table::Objects) {
            Some(changed) => Ok(changed.clone()),
            None => self.view.get(table, key),
        }
    }

    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        if table != Table::Objects {
            return self.view.at_or_after(table, prefix, key);
        }
        let from = Bytes::copy_from_slice(prefix.max(key));
        let mut changed = self.rows.range(from..).take_while(|(key, _)| key.starts_with(prefix)).filter_map(there);
        let below = |last: Option<&Bytes>| match last {
            None => self.view.at_or_after(table, prefix, key),
            Some(last) => self.view.at_or_after(table, prefix, &[last, &[0][..]].concat()),
        };
        self.nearest(below, changed.next(), true)
    }

    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        if table != Table::Objects {
            return self.view.before(table, prefix, key);
        }
        let to = Bytes::copy_from_slice(key);
        let mut changed = self.rows.range(..to).rev().filter(|(key, _)| key.starts_with(prefix)).filter_map(there);
        let below = |last: Option<&Bytes>| self.view.before(table, prefix, last.map_or(key, AsRef::as_ref));
        self.nearest(below, changed.next(), false)
    }
}
