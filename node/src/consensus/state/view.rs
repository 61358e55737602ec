//! Tables of a database as the ledger reads them.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::{Direction as Order, Table, View, ViewError};

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

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        key: &[u8],
        order: Order,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), ViewError> {
        Rows(&*self.0).scan(table, prefix, key, order, each)
    }
}

/// Rows of a database as they are now: for apply, which is the only writer.
pub(crate) struct Rows<'a>(pub(crate) &'a dyn KvRead);

impl View for Rows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        self.0.get(table.name(), key).map_err(ViewError::new)
    }

    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        self.first(table, range(prefix, key, Order::Forward), Direction::Forward)
    }

    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError> {
        self.first(table, range(prefix, key, Order::Backward), Direction::Backward)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        key: &[u8],
        order: Order,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), ViewError> {
        let Some(range) = range(prefix, key, order) else { return Ok(()) };
        let direction = match order {
            Order::Forward => Direction::Forward,
            Order::Backward => Direction::Backward,
        };
        for row in self.0.iter(table.name(), range, direction).map_err(ViewError::new)? {
            if each(row.map_err(ViewError::new)?).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Rows<'_> {
    fn first(&self, table: Table, range: Option<KeyRange>, direction: Direction) -> Result<Option<Row>, ViewError> {
        let Some(range) = range else { return Ok(None) };
        let mut rows = self.0.iter(table.name(), range, direction).map_err(ViewError::new)?;
        rows.next().transpose().map_err(ViewError::new)
    }
}

/// Keys that start with `prefix` on the side of `key` that a reader in this order goes to; none if there can be none.
fn range(prefix: &[u8], key: &[u8], order: Order) -> Option<KeyRange> {
    let (from, to) = match order {
        Order::Forward => (prefix.max(key).to_vec(), successor(prefix)),
        Order::Backward => match successor(prefix) {
            Some(end) if end.as_slice() < key => (prefix.to_vec(), Some(end)),
            _ => (prefix.to_vec(), Some(key.to_vec())),
        },
    };
    to.as_ref().is_none_or(|to| *to > from).then_some(KeyRange { from, to })
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
