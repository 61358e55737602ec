//! Bounds on connections and queues.

use serde::Deserialize;

use super::error::{Error, within};

/// Bounds on connections and queues.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections of clients at once, those in their handshake too.
    pub client_connections: usize,
    /// Connections of operators at once.
    pub admin_connections: usize,
    /// Commands that wait to be proposed; more are refused as `overloaded`.
    pub queue_records: usize,
    /// Their bytes, in MiB.
    pub queue_mib: usize,
    /// Bytes of records that were received and not answered yet, in MiB: a call beyond is refused as `overloaded`, a
    /// stream is not read any further.
    pub records_mib: usize,
}

impl LimitsConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("limits.client_connections", self.client_connections as u64, 1, 65_536)?;
        within("limits.admin_connections", self.admin_connections as u64, 1, 1_024)?;
        within("limits.queue_records", self.queue_records as u64, 16, 1 << 20)?;
        within("limits.queue_mib", self.queue_mib as u64, 8, 4_096)?;
        within("limits.records_mib", self.records_mib as u64, 8, 4_096)
    }
}
