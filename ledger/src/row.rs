//! Values of the rows, versioned, with golden bytes in the tests. [`crate::table`] has the layouts.

mod body;
mod certificate;
mod crl;
mod key;
mod meta;
mod object;
mod reader;
mod record;
mod series;
mod tree;

pub use body::Body;
pub use certificate::CertificateRow;
pub use crl::CrlRow;
pub use key::{DataKeyRow, KeyOwner};
pub use meta::GenesisRow;
pub use object::{AttachmentsRow, ChunkFacts, CompleteRow, ObjectRow};
pub use record::RecordRow;
pub use series::SeriesRow;
pub use tree::{SizeRow, TileRow};

pub(crate) use reader::{number_key, split_key};

use crate::table::Table;

/// Version of every row's value in this build.
pub const ROW_VERSION: u8 = 1;

/// Value of a row whose key says everything.
pub const INDEX_VALUE: &[u8] = &[ROW_VERSION];

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another row or a neighbour says that it must be there.
    #[error("expected a row, found none")]
    Missing,
    /// Of a version that this build does not know.
    #[error("expected version {ROW_VERSION}, found {found}")]
    Version {
        /// Version found.
        found: u8,
    },
    /// Too short or too long.
    #[error("expected {expected}, found another length")]
    Length {
        /// What should have been there.
        expected: &'static str,
    },
    /// Content that is never written.
    #[error("expected {expected}, found something else")]
    Content {
        /// What should have been there.
        expected: &'static str,
    },
    /// The rows lead to another root than the one written beside them.
    #[error("expected the root that the entry wrote, found another")]
    Root,
}

/// A damaged row. Fatal: the state is no longer the one that was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {key} of table {name}: {fault}", name = table.name(), key = Hex(key))]
pub struct Damaged {
    /// Its table.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
    /// What is wrong.
    pub fault: Fault,
}

impl Damaged {
    /// Names the row that a fault was found in.
    pub(crate) fn new(table: Table, key: &[u8], fault: Fault) -> Self {
        Self { table, key: key.to_vec(), fault }
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
