//! Metrics of the disk.

use super::Room;

const FREE: &str = "kho_disk_free_bytes";
const TOTAL: &str = "kho_disk_total_bytes";
const RESERVE: &str = "kho_disk_reserve_bytes";
const SHORT: &str = "kho_disk_short";
const BALLAST: &str = "kho_disk_ballast_bytes";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(FREE, metrics::Unit::Bytes, "free on the data directory's file system");
    metrics::describe_gauge!(TOTAL, metrics::Unit::Bytes, "size of the data directory's file system");
    metrics::describe_gauge!(RESERVE, metrics::Unit::Bytes, "below so much free no new records are taken");
    metrics::describe_gauge!(SHORT, "1 while what is free is below the reserve");
    metrics::describe_gauge!(BALLAST, metrics::Unit::Bytes, "ballast; 0: given up, or never laid");
}

pub(super) fn observe(room: Room, reserve: u64, short: bool, ballast: u64) {
    metrics::gauge!(FREE).set(room.free as f64);
    metrics::gauge!(TOTAL).set(room.total as f64);
    metrics::gauge!(RESERVE).set(reserve as f64);
    metrics::gauge!(SHORT).set(f64::from(u8::from(short)));
    metrics::gauge!(BALLAST).set(ballast as f64);
}
