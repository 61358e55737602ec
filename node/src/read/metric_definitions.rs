//! Metrics of reads.

/// Seconds of a read.
pub const READ_SECONDS: &str = "kho_read_seconds";
/// Readers that shared a round with the leader.
pub const BARRIER_READERS: &str = "kho_read_barrier_readers";
/// Records whose stored bytes don't match their leaf.
pub const DAMAGED: &str = "kho_read_damaged_total";

/// Seconds of one step of a list, a count or a watch, without waiting for its turn.
pub const SCAN_SECONDS: &str = "kho_read_scan_seconds";
/// Watches that are open.
pub const WATCHES: &str = "kho_read_watches";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_histogram!(READ_SECONDS, metrics::Unit::Seconds, "time of a read");
    metrics::describe_histogram!(BARRIER_READERS, "readers that shared a round with the leader");
    metrics::describe_histogram!(SCAN_SECONDS, metrics::Unit::Seconds, "time of one step of a list, count or watch");
    metrics::describe_gauge!(WATCHES, "open watches");
    metrics::describe_counter!(DAMAGED, "records whose stored bytes do not match their leaf");
}
