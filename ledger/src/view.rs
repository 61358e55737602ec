//! What the ledger reads: ordered tables of rows, as of one moment.

use std::error;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::row;
use crate::table::Table;

/// The store could not answer. Fatal: a node that cannot read its state must not go on.
#[derive(Debug, thiserror::Error)]
#[error("the store could not be read")]
pub struct ViewError(#[source] Box<dyn error::Error + Send + Sync>);

impl ViewError {
    /// Wraps the store's error.
    pub fn new(source: impl error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

/// Why state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A row is not of its format, or is missing although others name it.
    #[error(transparent)]
    Damaged(#[from] row::Damaged),
}

/// A row: key and value.
pub type Row = (Bytes, Bytes);

/// Order of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// A consistent view of all tables. Keys are ordered as bytes; a `key` asked for may lie outside of the `prefix`.
/// [`crate::conformance`] holds every view to this.
pub trait View {
    /// Value of the row with exactly this key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ViewError>;

    /// First row with a key at or after `key`, among those that start with `prefix`.
    fn at_or_after(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError>;

    /// Last row with a key before `key`, among those that start with `prefix`.
    fn before(&self, table: Table, prefix: &[u8], key: &[u8]) -> Result<Option<Row>, ViewError>;

    /// Rows whose keys start with `prefix`, one after the other, until `each` breaks: forward those with a key at or
    /// after `key`, backward those with a key before it. A store that can go on from row to row does better than this.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        key: &[u8],
        direction: Direction,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), ViewError> {
        let mut at = key.to_vec();
        loop {
            let row = match direction {
                Direction::Forward => self.at_or_after(table, prefix, &at)?,
                Direction::Backward => self.before(table, prefix, &at)?,
            };
            let Some(row) = row else { return Ok(()) };
            at.clear();
            at.extend_from_slice(&row.0);
            if direction == Direction::Forward {
                // the least key behind it
                at.push(0);
            }
            if each(row).is_break() {
                return Ok(());
            }
        }
    }
}
