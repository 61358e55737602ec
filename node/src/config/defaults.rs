//! All defaults, in one place.

use std::collections::BTreeMap;

use super::{
    AttachmentsConfig, DiskConfig, LimitsConfig, LogFormat, QuotasConfig, RaftConfig, StorageConfig, TelemetryConfig,
};

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 75,
            election_timeout_min_ms: 160,
            election_timeout_max_ms: 320,
            snapshot_bytes: 20 << 30,
            snapshot_age_s: 24 * 60 * 60,
        }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { block_cache_mib: 32, write_buffer_mib: 64, compression: super::storage::Compression::None }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            client_connections: 4096,
            admin_connections: 64,
            log_connections: 256,
            queue_records: 8192,
            queue_mib: 64,
            records_mib: 64,
        }
    }
}

/// Far above what a unit sends in the busiest hour, and below what one could fill a cluster with.
impl Default for QuotasConfig {
    fn default() -> Self {
        Self {
            records_per_s: 1_000,
            records_burst: 10_000,
            bytes_per_s: 32 << 20,
            bytes_burst: 256 << 20,
            units: BTreeMap::new(),
        }
    }
}

/// The reserve outlasts some seconds of the fastest disk, until the next look at it; the ballast is what a start may flush.
impl Default for DiskConfig {
    fn default() -> Self {
        Self { reserve_mib: 512, reserve_percent: 2, ballast_mib: 256 }
    }
}

/// A day: whoever was cut off over night goes on in the morning.
impl Default for AttachmentsConfig {
    fn default() -> Self {
        Self { length_max_mib: 1024, orphan_after_s: 24 * 60 * 60 }
    }
}
