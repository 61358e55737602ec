//! Room that is kept on the disk.

use serde::Deserialize;

use super::error::{Error, within};

/// With less than this free, and ballast to give up, the ballast goes at the start: RocksDB flushes what it recovers.
const OPENING_MIB: u64 = 128;

/// Room that is kept on the disk. All 0: nothing is watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// Below so many MiB free, no new records are taken.
    pub reserve_mib: u64,
    /// Nor below so many percent of the file system.
    pub reserve_percent: u64,
    /// Size of the ballast in MiB: given up at a start on a full disk.
    pub ballast_mib: u64,
}

impl DiskConfig {
    /// Bytes that must be free on a file system of so many.
    pub(crate) fn reserve(&self, total: u64) -> u64 {
        self.reserve_mib.saturating_mul(1 << 20).max(total / 100 * self.reserve_percent)
    }

    /// Bytes that must be free to open the databases.
    pub(crate) fn opening(&self) -> u64 {
        OPENING_MIB.min(self.ballast_mib) << 20
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        within("disk.reserve_mib", self.reserve_mib, 0, 1 << 30)?;
        within("disk.reserve_percent", self.reserve_percent, 0, 90)?;
        within("disk.ballast_mib", self.ballast_mib, 0, 1 << 20)
    }
}
