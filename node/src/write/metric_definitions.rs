//! Metrics of the write path.

use std::future::Future;
use std::time::Instant;

use tracing::Instrument;

/// Records acknowledged, by `duplicate`.
pub const ACKNOWLEDGED: &str = "kho_write_acknowledged_total";
/// Commands in a batch as it leaves.
pub const BATCH_COMMANDS: &str = "kho_write_batch_commands";
/// Callers in the queue before the log.
pub const QUEUE_COMMANDS: &str = "kho_write_queue_commands";
/// Seconds of each hop, by `hop`.
pub const HOP_SECONDS: &str = "kho_write_hop_seconds";
/// Seconds from the decoded request to the acknowledgement.
pub const ACKNOWLEDGE_SECONDS: &str = "kho_write_acknowledge_seconds";
/// Chain verdicts, by `cached`.
pub const CHAIN_VERDICTS: &str = "kho_write_chain_verdicts_total";
/// Lists of revoked certificates that count.
pub const CRLS: &str = "kho_write_crls";
/// Of these, past their nextUpdate.
pub const CRLS_EXPIRED: &str = "kho_write_crls_expired";
/// Records refused because their unit sends more than it may, by `what`.
pub const QUOTA_EXCEEDED: &str = "kho_write_quota_exceeded_total";
/// Commands a second that the queue gives to the log, as the hint of a full queue takes it.
pub const DRAIN_RATE: &str = "kho_write_drain_commands_per_second";
/// Calls refused because too many bytes of records were on their way.
pub const ROOM_REFUSED: &str = "kho_write_room_refused_total";

/// Attachments dropped because no record names them.
pub const OBJECTS_DROPPED: &str = "kho_write_objects_dropped_total";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_counter!(OBJECTS_DROPPED, "attachments dropped because no record names them");
    metrics::describe_counter!(ACKNOWLEDGED, "records acknowledged");
    metrics::describe_histogram!(BATCH_COMMANDS, "commands in a batch as it leaves");
    metrics::describe_gauge!(QUEUE_COMMANDS, "callers in the queue before the log");
    metrics::describe_histogram!(HOP_SECONDS, metrics::Unit::Seconds, "time of each hop of a write");
    metrics::describe_histogram!(ACKNOWLEDGE_SECONDS, metrics::Unit::Seconds, "request to acknowledgement");
    metrics::describe_counter!(CHAIN_VERDICTS, "verdicts on certificate chains");
    metrics::describe_gauge!(CRLS, "lists of revoked certificates that count");
    metrics::describe_gauge!(CRLS_EXPIRED, "lists of revoked certificates that count and are past their time");
    metrics::describe_counter!(QUOTA_EXCEEDED, "records over their unit's quota");
    metrics::describe_gauge!(DRAIN_RATE, "commands a second that leave the queue before the log");
    metrics::describe_counter!(ROOM_REFUSED, "calls refused for want of room for their bytes");
}

/// A hop of a write: measured, and a span in traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// May this connection submit for this unit?
    Authenticate,
    /// Is the record there already?
    Lookup,
    /// Did the sender sign it?
    Verify,
    /// Is it as the catalogue has it?
    Judge,
    /// Encrypt.
    Seal,
    /// Queue, leader, consensus, apply, receipt.
    Propose,
    /// Of this, on the leader: consensus and apply.
    Commit,
    /// Of this, on another node: to the leader and back.
    Forward,
    /// Of this, on the leader: proofs and signature.
    Receipt,
}

impl Hop {
    fn as_str(self) -> &'static str {
        match self {
            Hop::Authenticate => "authenticate",
            Hop::Lookup => "lookup",
            Hop::Verify => "verify",
            Hop::Judge => "judge",
            Hop::Seal => "seal",
            Hop::Propose => "propose",
            Hop::Commit => "commit",
            Hop::Forward => "forward",
            Hop::Receipt => "receipt",
        }
    }

    fn done(self, start: Instant) {
        metrics::histogram!(HOP_SECONDS, "hop" => self.as_str()).record(start.elapsed().as_secs_f64());
    }

    /// Runs and measures.
    pub fn time<T>(self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = tracing::debug_span!("hop", name = self.as_str()).in_scope(run);
        self.done(start);
        out
    }

    /// Runs and measures.
    pub async fn time_async<T>(self, run: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let out = run.instrument(tracing::debug_span!("hop", name = self.as_str())).await;
        self.done(start);
        out
    }
}
