//! What an entry changes, as data. The store writes it in one atomic batch, together with its own position.

use bytes::Bytes;

use crate::table::Table;

/// One row written or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The row has this value from now on.
    Put {
        /// Table of the row.
        table: Table,
        /// Its key.
        key: Bytes,
        /// Its value.
        value: Bytes,
    },
    /// The row is gone. Deleting a row that is not there changes nothing.
    Delete {
        /// Table of the row.
        table: Table,
        /// Its key.
        key: Bytes,
    },
}

/// Changes in the order in which they are made; no row appears twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    pub(crate) fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Change::Put { table, key: key.into(), value: value.into() });
    }

    pub(crate) fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        self.0.push(Change::Delete { table, key: key.into() });
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.0.iter()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
