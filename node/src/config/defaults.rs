//! All defaults, in one place.

use super::{LimitsConfig, LogFormat, RaftConfig, StorageConfig, TelemetryConfig};

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
        }
    }
}
