//! Puts the report together.

use std::time::Duration;

use kho_client::Timing;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{DRILL_REGIME, DRILL_UNIT, UnixMs};
use kho_proto::pb::admin::v1::NodeStatusResponse;

use super::args::{Common, Fault};
use super::audit::Settled;
use super::cluster::Seen;
use super::course::Course;
use super::effect;
use super::load::Operation;
use super::measure::{self, Answer, Kind, ms};
use super::report::{
    Checks, Cluster, CommandRun, Configuration, FaultReport, Latency, Log, Measured, Position, Reign, Report, SCHEMA,
    Verdict,
};
use super::verdict::{self, Facts, Without};

/// All that is known at the end.
pub struct Known<'a> {
    /// What was told.
    pub common: &'a Common,
    /// The fault.
    pub fault: &'a Fault,
    /// Clients' waits.
    pub timing: Timing,
    /// The drill's id.
    pub id: &'a str,
    /// The cluster before.
    pub before: &'a Seen,
    /// And why it was not healthy then.
    pub problems: Vec<String>,
    /// The cluster after.
    pub after: &'a Seen,
    /// What happened.
    pub course: &'a Course,
    /// What mended it.
    pub mended_by: Vec<CommandRun>,
    /// What became of the unknown ones.
    pub settled: &'a Settled,
    /// What became of all.
    pub checks: Checks,
    /// Wall clock.
    pub started: UnixMs,
    /// Wall clock.
    pub ended: UnixMs,
}

fn position(status: Option<&NodeStatusResponse>) -> Position {
    let Some(status) = status else { return Position::default() };
    Position {
        node_id: status.node_id,
        term: status.term,
        last_log: status.last_log,
        committed: status.committed,
        applied: status.applied,
        tree_size: status.tree_size,
        tree_root: hex::encode(&status.tree_root),
    }
}

fn latencies<'a>(answers: impl Iterator<Item = &'a Answer>) -> Latency {
    measure::latency(answers.filter(|one| one.acknowledged()).map(Answer::took).collect()).unwrap_or_default()
}

/// The report.
pub fn report(known: Known) -> Report {
    let Known { common, fault, course, checks, .. } = &known;
    let operations = &course.load.operations;
    let effect = effect::of(fault, course);
    let after_fault = |at: Duration| ms(at.saturating_sub(course.begun));
    let first = effect.successor.as_ref().and_then(|new| {
        let by = |one: &&Operation| {
            one.ended >= course.begun && one.acknowledged().is_some_and(|answer| answer.leader.0 == new.node_id)
        };
        operations.iter().filter(by).map(|one| one.ended).min()
    });
    let answers: Vec<Answer> = operations.iter().map(Answer::of).collect();
    let count = |kind: Kind| answers.iter().filter(|one| one.kind == kind).count() as u64;
    let gap_before = measure::longest_gap(&answers, Duration::ZERO, course.begun);
    let gap = measure::longest_gap(&answers, course.begun, course.end);
    let measured = Measured {
        submitted: operations.len() as u64,
        acknowledged: count(Kind::Acknowledged),
        failed: count(Kind::Failed),
        unknown: count(Kind::Unknown),
        settled: known.settled.settled.len() as u64,
        unsettled: known.settled.unsettled.len() as u64,
        missed: course.load.missed,
        longest_gap_before_ms: ms(gap_before.length()),
        longest_gap_ms: ms(gap.length()),
        gap_begun_ms: ms(gap.from),
        gap_ended_ms: ms(gap.to),
        first_acknowledged_by_new_leader_after_fault_ms: first.map(after_fault),
        recovered_after_fault_ms: course.recovered.map(after_fault),
        latency_before: latencies(answers.iter().filter(|one| one.ended < course.begun)),
        latency_after: latencies(answers.iter().filter(|one| one.ended >= course.begun)),
    };
    let voters: Vec<u64> = known
        .before
        .leader()
        .map_or(Vec::new(), |leader| leader.peers.iter().filter(|peer| peer.voter).map(|peer| peer.node_id).collect());
    let facts = Facts {
        took_effect: effect.took,
        lost: checks.lost,
        failed: measured.failed,
        unsettled: measured.unsettled,
        receipts_failed: checks.receipts_failed,
        unanswered: checks.nodes.iter().filter(|node| node.reachable).map(|node| node.unanswered).sum(),
        nodes_read: checks.nodes.iter().filter(|node| node.reachable).count() as u64,
        majority: voters.len() as u64 / 2 + 1,
        first_acknowledged_ms: measured.first_acknowledged_by_new_leader_after_fault_ms,
        recovered_ms: measured.recovered_after_fault_ms,
        trees_differ: !checks.trees_equal,
        slowest_ms: slowest(&answers),
        without_a_server: fault
            .takes_a_server()
            .then(|| first.map_or(Without::default(), |first| without(course, first))),
    };
    let requirements = verdict::judge(&facts);
    let passed = effect.took && requirements.iter().all(|requirement| requirement.verdict != Verdict::Fail);
    let mut versions: Vec<_> = known.before.statuses().map(|status| (status.node_id, status.version.clone())).collect();
    versions.sort();
    Report {
        schema: SCHEMA.to_owned(),
        drill: fault.name().to_owned(),
        drill_id: known.id.to_owned(),
        passed,
        kho_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: SubmittedAt::from_unix_ms(known.started).to_string(),
        ended_at: SubmittedAt::from_unix_ms(known.ended).to_string(),
        cluster: Cluster {
            id: known.before.cluster_id(),
            voters,
            versions: versions.into_iter().map(|(_, version)| version).collect(),
            problems_before: known.problems.clone(),
        },
        configuration: Configuration {
            unit: DRILL_UNIT.to_owned(),
            regime: DRILL_REGIME.to_owned(),
            writers: common.writers,
            rate_per_s: common.rate,
            payload_bytes: common.payload,
            before_s: common.before,
            outage_s: fault.outage().as_secs(),
            after_s: common.after,
            deadline_ms: u64::try_from(known.timing.deadline.as_millis()).unwrap_or(u64::MAX),
            recover_within_s: common.recover_within,
            forced: common.force,
        },
        fault: FaultReport {
            begun_ms: ms(course.begun),
            done_ms: ms(course.done),
            mended_ms: course.mended.map(ms),
            leader_before: course.leader.node_id,
            term_before: course.leader.term,
            leader_after: effect.successor.as_ref().map(|new| new.node_id),
            term_after: effect.successor.as_ref().map(|new| new.term),
            new_leader_seen_after_fault_ms: effect.successor.as_ref().map(|new| after_fault(new.at)),
            took_effect: effect.took,
            proof: effect.proof,
            commands: course.broke.iter().cloned().chain(known.mended_by.iter().cloned()).collect(),
        },
        measured,
        checks: checks.clone(),
        log: Log { before: position(known.before.leader()), after: position(known.after.leader()) },
        requirements,
        leaders: course
            .leaders
            .iter()
            .map(|seen| Reign { at_ms: ms(seen.at), node_id: seen.node_id, term: seen.term })
            .collect(),
        timeline: measure::timeline(&answers, course.end),
    }
}

/// The slowest answer; one that did not come within the client's time counts with that time.
fn slowest(answers: &[Answer]) -> f64 {
    let slowest = answers.iter().filter(|one| one.kind != Kind::Failed).map(Answer::took).max().unwrap_or_default();
    let late = answers.iter().any(|one| one.kind == Kind::Unknown);
    // a client gives up a little before its deadline, when another attempt is not worth it
    if late { ms(slowest).max(verdict::ACKNOWLEDGE_MS + 0.1) } else { ms(slowest) }
}

/// What was sent while the server was out and another led.
fn without(course: &Course, first: Duration) -> Without {
    let back = course.recovered.into_iter().chain(course.mending).min().unwrap_or(course.end).min(course.end);
    let mut without = Without::default();
    for one in course.load.operations.iter().filter(|one| (first..back).contains(&one.begun)) {
        match one.acknowledged() {
            Some(_) => {
                without.acknowledged += 1;
                without.slowest_ms = without.slowest_ms.max(ms(one.ended - one.begun));
            }
            None => without.not_acknowledged += 1,
        }
    }
    without
}
