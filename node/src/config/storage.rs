//! Memory and compression of the databases.

use serde::Deserialize;

use super::error::{Error, within};

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
    pub block_cache_mib: u64,
    /// One write-buffer budget for all databases, in MiB.
    pub write_buffer_mib: u64,
    /// Compression of table files.
    pub compression: Compression,
}

impl StorageConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("storage.block_cache_mib", self.block_cache_mib, 4, 1 << 20)?;
        within("storage.write_buffer_mib", self.write_buffer_mib, 8, 1 << 16)
    }
}
