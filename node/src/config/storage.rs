//! Memory and compression of the databases.

use serde::Deserialize;

use super::error::{Error, within};
use crate::storage::rocks::{self, Tuning};

/// Compression of table files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Off: what is stored is ciphertext, which does not compress.
    None,
}

/// Memory and compression of the databases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// One block cache for all databases, in MiB.
    pub block_cache_mib: usize,
    /// One write-buffer budget for all databases, in MiB.
    pub write_buffer_mib: usize,
    /// Compression of table files.
    pub compression: Compression,
}

impl StorageConfig {
    pub(crate) fn tuning(&self) -> Tuning {
        Tuning {
            block_cache_mib: self.block_cache_mib,
            write_buffer_mib: self.write_buffer_mib,
            compression: match self.compression {
                Compression::None => rocks::Compression::None,
            },
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        within("storage.block_cache_mib", self.block_cache_mib as u64, 4, 1 << 20)?;
        within("storage.write_buffer_mib", self.write_buffer_mib as u64, 8, 1 << 16)
    }
}
