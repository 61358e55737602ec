//! What an outbox may hold, and how long it waits.

use std::time::Duration;

use kho_proto::batch::{SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_RECORDS_MAX};
use kho_proto::record::RECORD_LENGTH_MAX;

/// Records that wait or were refused: a province's backlog of a month, some 300 bytes of memory each.
pub const RECORDS_MAX: u64 = 100_000;
/// Their bytes: what a service's disk can spare without being asked.
pub const BYTES_MAX: u64 = 1 << 30;
/// Delivered records whose receipts are kept, the newest; what falls out can still be had from the store (`kho get`).
pub const KEPT_RECORDS_MAX: u64 = 10_000;
/// Their bytes, records and receipts.
pub const KEPT_BYTES_MAX: u64 = 256 << 20;
/// The store caches so much; its own default is 1 GiB, which is no guest's to take.
pub(super) const CACHE_BYTES: usize = 16 << 20;
/// Records that are sent at once, at most: one message.
pub const ROUND_RECORDS_MAX: usize = SUBMIT_MANY_RECORDS_MAX;
/// Their bytes, at most, unless one alone has more.
pub const ROUND_BYTES_MAX: u64 = SUBMIT_MANY_BYTES_MAX as u64;
/// Outcomes that a listener may be behind before it misses some; the outbox itself has the truth.
pub const EVENTS_MAX: usize = 1024;

const _: () = assert!(BYTES_MAX >= RECORD_LENGTH_MAX as u64);
const _: () = assert!(KEPT_BYTES_MAX >= RECORD_LENGTH_MAX as u64);

/// What an outbox may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records that wait or were refused.
    pub records_max: u64,
    /// Their bytes, as [`kho_proto::record::to_file`] writes them.
    pub bytes_max: u64,
    /// Delivered records that are kept with their receipts: the newest.
    pub kept_records_max: u64,
    /// Their bytes.
    pub kept_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records_max: RECORDS_MAX,
            bytes_max: BYTES_MAX,
            kept_records_max: KEPT_RECORDS_MAX,
            kept_bytes_max: KEPT_BYTES_MAX,
        }
    }
}

/// First pause of a record, and of the outbox where nobody said anything of a single record.
pub const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause: after days without a cluster, the first record is in a minute after it is back.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause after a round in which only units were refused: their other records are in the way of other units' ones, and a node
/// refuses some thousands a second with ease.
pub(super) const UNIT_PAUSE: Duration = Duration::from_millis(100);
/// Records that are asked for at the same time, at most: reads of whole records, of which a node has better to do.
pub(super) const ASKS_MAX: usize = 16;
/// A record that may have been taken is asked for only so long after the call that left the doubt, or after a restart:
/// whatever was on its way then, has arrived or is lost. A node works on a request for no longer than its caller waits.
pub const DOUBT: Duration = Duration::from_secs(60);

/// How long an outbox waits between rounds. Within a round the client has its own attempts and pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First pause.
    pub pause_min: Duration,
    /// Longest pause.
    pub pause_max: Duration,
    /// See [`DOUBT`]; the deadline of a call comes on top.
    pub doubt: Duration,
    /// A record that was sent so often in vain, and certainly is not in, is refused with what was said last: R-D1. None:
    /// it is never given up.
    pub rounds_max: Option<u32>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause_min: PAUSE_MIN, pause_max: PAUSE_MAX, doubt: DOUBT, rounds_max: None }
    }
}
