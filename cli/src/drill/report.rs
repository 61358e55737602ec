//! The report: what `kho-drill-*.json` holds. `docs/formats/drill-report.md`; a change of meaning is a new [`SCHEMA`].
//!
//! Times called `at`, `begun`, `ended` are milliseconds since the load began, those called `after_fault` since the fault
//! was begun.

use schemars::JsonSchema;
use serde::Serialize;

/// Name and version of the schema.
pub const SCHEMA: &str = "kho-drill-report/1";

/// A drill's report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "Kho drill report")]
pub struct Report {
    /// `kho-drill-report/1`.
    pub schema: String,
    /// leader-transfer, leader-kill or isolate.
    pub drill: String,
    /// The drill's own id: the series of its records begin with it.
    pub drill_id: String,
    /// Whether the fault took effect and no requirement failed.
    pub passed: bool,
    /// Version of the command.
    pub kho_version: String,
    /// RFC 3339, +07:00.
    pub started_at: String,
    /// RFC 3339, +07:00.
    pub ended_at: String,
    /// What was drilled.
    pub cluster: Cluster,
    /// What the drill was told.
    pub configuration: Configuration,
    /// What was done to the cluster.
    pub fault: FaultReport,
    /// What senders noticed.
    pub measured: Measured,
    /// What became of the records.
    pub checks: Checks,
    /// The log and the tree.
    pub log: Log,
    /// What the drill shows.
    pub requirements: Vec<Requirement>,
    /// Who led, as the nodes said; looked at every 50 ms.
    pub leaders: Vec<Reign>,
    /// The load, piece by piece.
    pub timeline: Timeline,
}

/// The cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cluster {
    /// UUID.
    pub id: String,
    /// Voting members.
    pub voters: Vec<u64>,
    /// Version of each node, by node id.
    pub versions: Vec<String>,
    /// Why it was not healthy before, where it was drilled with --force.
    pub problems_before: Vec<String>,
}

/// What the drill was told.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Configuration {
    /// Unit of the test records.
    pub unit: String,
    /// Their regime.
    pub regime: String,
    /// Senders.
    pub writers: u64,
    /// Records per second, of all together.
    pub rate_per_s: u64,
    /// Bytes.
    pub payload_bytes: u64,
    /// Load before the fault.
    pub before_s: u64,
    /// Between fault and mending.
    pub outage_s: u64,
    /// Load after that.
    pub after_s: u64,
    /// A client's deadline for one record.
    pub deadline_ms: u64,
    /// What all nodes had to be back, after the load.
    pub recover_within_s: u64,
    /// Whether --force was given.
    pub forced: bool,
}

/// The fault and the proof of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FaultReport {
    /// When it was begun: just before the command or call.
    pub begun_ms: f64,
    /// When the command or call had returned.
    pub done_ms: f64,
    /// When what it broke was mended, if there was something to mend.
    pub mended_ms: Option<f64>,
    /// Node that led before.
    pub leader_before: u64,
    /// Its term.
    pub term_before: u64,
    /// The first other node that led in a later term.
    pub leader_after: Option<u64>,
    /// That term.
    pub term_after: Option<u64>,
    /// When a node was first seen to lead it; up to 50 ms late.
    pub new_leader_seen_after_fault_ms: Option<f64>,
    /// Whether it did to the cluster what it should.
    pub took_effect: bool,
    /// Why that is known, or what is missing.
    pub proof: String,
    /// Commands that were run.
    pub commands: Vec<CommandRun>,
}

/// A command of the operator's.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommandRun {
    /// kill, restart, cut or heal.
    pub what: String,
    /// As it was given.
    pub command: String,
    /// 128 and more: ended by a signal. None: not started, or killed after its time.
    pub exit_code: Option<i32>,
    /// How long it took.
    pub took_ms: f64,
    /// The end of what it printed.
    pub output: String,
}

/// What senders noticed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Measured {
    /// Records sent.
    pub submitted: u64,
    /// Acknowledged at once, by the client's deadline.
    pub acknowledged: u64,
    /// Refused, or certainly not in.
    pub failed: u64,
    /// The client could not tell.
    pub unknown: u64,
    /// Of the unknown: found to be in, or taken in then, when sent again.
    pub settled: u64,
    /// Of the unknown: still not known.
    pub unsettled: u64,
    /// Records not sent at their time, since their sender waited for an answer.
    pub missed: u64,
    /// Longest time without an acknowledgement to anyone before the fault: what is normal.
    pub longest_gap_before_ms: f64,
    /// The same from the fault on, the time since the last acknowledgement before it included.
    pub longest_gap_ms: f64,
    /// When that gap began.
    pub gap_begun_ms: f64,
    /// When it ended.
    pub gap_ended_ms: f64,
    /// The first acknowledgement by a node that knew the new leader.
    pub first_acknowledged_by_new_leader_after_fault_ms: Option<f64>,
    /// From when on all nodes answered, agreed on a leader and lagged behind nothing.
    pub recovered_after_fault_ms: Option<f64>,
    /// Answers before the fault.
    pub latency_before: Latency,
    /// Answers from the fault on.
    pub latency_after: Latency,
}

/// From sending a record to its answer, the client's retries included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Latency {
    /// Half of them were quicker.
    pub p50_ms: f64,
    /// All but one of a hundred.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

/// What became of the records.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Checks {
    /// Acknowledged records, settled ones included.
    pub records: u64,
    /// Of those: not there, or with other bytes, on a node that answered.
    pub lost: u64,
    /// Receipts that verify offline, with signature and certificate of the sender where signers_trust is set.
    pub receipts_verified: u64,
    /// Receipts that don't.
    pub receipts_failed: u64,
    /// Whether signers_trust was set.
    pub certificates_checked: bool,
    /// Whether all nodes that answered had the same tree at the end.
    pub trees_equal: bool,
    /// Nodes, as records were read back from them.
    pub nodes: Vec<ReadBack>,
    /// The first complaints, in words.
    pub complaints: Vec<String>,
}

/// Reading back from one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReadBack {
    /// Its client address.
    pub address: String,
    /// Whether it answered at all.
    pub reachable: bool,
    /// Records that it has, with the same bytes and leaf, and a receipt that verifies.
    pub good: u64,
    /// Records that it does not have, or has otherwise.
    pub lost: u64,
    /// Records that it did not tell of.
    pub unanswered: u64,
}

/// Positions before and after.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Log {
    /// Before the load.
    pub before: Position,
    /// After all.
    pub after: Position,
}

/// The leader's position.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Position {
    /// Who said so.
    pub node_id: u64,
    /// Its term.
    pub term: u64,
    /// Last entry of the log.
    pub last_log: u64,
    /// Last committed entry.
    pub committed: u64,
    /// Last applied entry.
    pub applied: u64,
    /// Leaves of the tree.
    pub tree_size: u64,
    /// Hex.
    pub tree_root: String,
}

/// What a drill can say of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Met here.
    Pass,
    /// Not met.
    Fail,
    /// This drill says nothing of it.
    NotShown,
}

/// A requirement, and what the drill shows of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Requirement {
    /// R-A2 and so on.
    pub id: String,
    /// What it says.
    pub text: String,
    /// Pass, fail or not shown.
    pub verdict: Verdict,
    /// Why it is not shown.
    pub why: Option<String>,
    /// What has to hold: all of them.
    pub conditions: Vec<Condition>,
}

/// A number that must not exceed a threshold, or reach one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Condition {
    /// What is measured.
    pub what: String,
    /// None: it never came.
    pub measured: Option<f64>,
    /// at most, or at least.
    pub bound: Bound,
    /// The threshold.
    pub threshold: f64,
    /// ms, or empty for a count.
    pub unit: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Which side of the threshold is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Good up to the threshold.
    AtMost,
    /// Good from the threshold on.
    AtLeast,
}

/// A node leads.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reign {
    /// When it was first seen to.
    pub at_ms: f64,
    /// Which node.
    pub node_id: u64,
    /// In which term.
    pub term: u64,
}

/// The load, piece by piece.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Timeline {
    /// Length of a piece.
    pub bucket_ms: u64,
    /// All pieces, also those without an answer.
    pub buckets: Vec<Bucket>,
}

/// Answers that came in one piece of time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Bucket {
    /// Its beginning.
    pub at_ms: u64,
    /// Acknowledgements.
    pub acknowledged: u64,
    /// Records that failed.
    pub failed: u64,
    /// Records whose outcome was not known.
    pub unknown: u64,
    /// Latency of the acknowledgements, if there were any.
    pub latency: Option<Latency>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_schema_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/drill-report.schema.json");
        // JSON Schema, draft 2020-12
        let schema = schemars::schema_for!(super::Report);
        let schema = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("KHO_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == schema, "docs/formats/drill-report.schema.json: run with KHO_WRITE_SCHEMA=1");
    }
}
