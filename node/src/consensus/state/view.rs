//! Tables of a database as the ledger reads them.

use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::{Table, View, ViewError};

use crate::storage::{Direction, KeyRange, KvRead, Row};

/// Rows of one moment; holds them for as long as it lives, so let it go soon.
#[derive(Clone)]
pub struct StateView(Arc<dyn KvRead>);

impl StateView {
    pub(crate) fn new(rows: Arc<dyn KvRead>) -> Self {
        Self(rows)
    }
}

impl View for StateView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        Rows(&*self.0).get(table, key)
    }

    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        Rows(&*self.0).at_or_after(table, prefix, key)
    }

    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        Rows(&*self.0).before(table, prefix, key)
    }
}

/// Rows of a database as they are now: for apply, which is the only writer.
pub(crate) struct Rows<'a>(pub(crate) &'a dyn KvRead);

impl View for Rows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        self.0.get(table.name(), key).map_err(ViewError::new)
    }

    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        let range = KeyRange { from: prefix.max(key).to_vec(), to: successor(prefix) };
        self.first(table, range, Direction::Forward)
    }

    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        let to = match successor(prefix) {
            Some(end) if end.as_slice() < key => end,
            _ => key.to_vec(),
        };
        if to.as_slice() <= prefix {
            return Ok(None);
        }
        self.first(table, KeyRange::new(prefix, to), Direction::Backward)
    }
}

impl Rows<'_> {
    fn first(&self, table: Table, range: KeyRange, direction: Direction) -> Result<Option<Row>, ViewError> {
        if range.to.as_ref().is_some_and(|to| to <= &range.from) {
            return Ok(None);
        }
        let mut rows = self.0.iter(table.name(), range, direction).map_err(ViewError::new)?;
        rows.next().transpose().map_err(ViewError::new)
    }
}

/// The first key behind all keys that start with `prefix`; none if there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn successor_is_the_least_key_behind_a_prefix() {
        assert_eq!(successor(b"a"), Some(b"b".to_vec()));
        assert_eq!(successor(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(successor(b""), None);
        assert_eq!(successor(b"\xff\xff"), None);
    }
}
