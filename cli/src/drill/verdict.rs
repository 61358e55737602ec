//! What a drill shows of the requirements. The words are those of `docs/requirements.md`.

use super::args::BACK_TO_NORMAL_S;
use super::report::{Bound, Condition, Requirement, Verdict};

/// R-B1, milliseconds.
pub const ACKNOWLEDGE_MS: f64 = 3_000.0;

/// What the requirements are judged by.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The fault did what it should.
    pub took_effect: bool,
    /// Acknowledged records that are not there any more.
    pub lost: u64,
    /// Records that were refused.
    pub failed: u64,
    /// Records of which nobody knows.
    pub unsettled: u64,
    /// Receipts that don't verify.
    pub receipts_failed: u64,
    /// Reads that a reachable node left unanswered.
    pub unanswered: u64,
    /// Nodes that were read from.
    pub nodes_read: u64,
    /// A majority of the voters.
    pub majority: u64,
    /// The new leader's first acknowledgement, after the fault.
    pub first_acknowledged_ms: Option<f64>,
    /// All nodes were back, after the fault.
    pub recovered_ms: Option<f64>,
    /// Nodes' trees differ at the end.
    pub trees_differ: bool,
    /// The slowest answer of the whole load, or the deadline that one missed.
    pub slowest_ms: f64,
    /// A server was out for a while; what was sent meanwhile under the new leader. None: no server was out.
    pub without_a_server: Option<Without>,
}

/// The time without the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Without {
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Records not acknowledged.
    pub not_acknowledged: u64,
    /// Slowest of the acknowledged.
    pub slowest_ms: f64,
}

fn at_most(what: &str, measured: Option<f64>, threshold: f64, unit: &str) -> Condition {
    let holds = measured.is_some_and(|measured| measured <= threshold);
    Condition { what: what.to_owned(), measured, bound: Bound::AtMost, threshold, unit: unit.to_owned(), holds }
}

fn at_least(what: &str, measured: u64, threshold: u64) -> Condition {
    Condition {
        what: what.to_owned(),
        measured: Some(measured as f64),
        bound: Bound::AtLeast,
        threshold: threshold as f64,
        unit: String::new(),
        holds: measured >= threshold,
    }
}

fn none(what: &str, measured: u64) -> Condition {
    at_most(what, Some(measured as f64), 0.0, "")
}

fn requirement(facts: &Facts, id: &str, text: &str, conditions: Vec<Condition>) -> Requirement {
    // what holds without a fault was not put to the test
    let (verdict, why) = if !facts.took_effect {
        (Verdict::NotShown, Some("the fault took no effect".to_owned()))
    } else if conditions.is_empty() {
        (Verdict::NotShown, Some("no server fails in this drill".to_owned()))
    } else if conditions.iter().all(|condition| condition.holds) {
        (Verdict::Pass, None)
    } else {
        (Verdict::Fail, None)
    };
    Requirement { id: id.to_owned(), text: text.to_owned(), verdict, why, conditions }
}

/// Judges R-A2, R-A3, R-A5 and R-B1.
pub fn judge(facts: &Facts) -> Vec<Requirement> {
    let switch_over = vec![
        at_most("first acknowledgement under the new leader", facts.first_acknowledged_ms, ACKNOWLEDGE_MS, "ms"),
        none("acknowledged records lost", facts.lost),
        none("records failed", facts.failed),
        none("records still unknown at the end", facts.unsettled),
        none("receipts that do not verify", facts.receipts_failed),
        none("reads that a reachable node left unanswered", facts.unanswered),
        at_least("nodes that all records were read back from", facts.nodes_read, facts.majority),
    ];
    let without = facts.without_a_server.map_or(Vec::new(), |without| {
        vec![
            at_least("records acknowledged without the server", without.acknowledged, 1),
            none("records not acknowledged meanwhile", without.not_acknowledged),
            at_most("slowest acknowledgement meanwhile", Some(without.slowest_ms), ACKNOWLEDGE_MS, "ms"),
        ]
    });
    let normal = vec![
        at_most("all nodes back, agreed and caught up", facts.recovered_ms, BACK_TO_NORMAL_S as f64 * 1_000.0, "ms"),
        none("nodes with another tree than the others", u64::from(facts.trees_differ)),
    ];
    let acknowledge = vec![at_most("slowest acknowledgement", Some(facts.slowest_ms), ACKNOWLEDGE_MS, "ms")];
    vec![
        requirement(
            facts,
            "R-A2",
            "automatic switch-over on failure that does not affect the exchange of report data",
            switch_over,
        ),
        requirement(facts, "R-A3", "normal operation with any one physical or application server failed", without),
        requirement(
            facts,
            "R-A5",
            "after any incident (data, physical server, application server): back to normal within 3 h",
            normal,
        ),
        requirement(facts, "R-B1", "the service acknowledges a request it has received within 3 s", acknowledge),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            took_effect: true,
            nodes_read: 3,
            majority: 2,
            first_acknowledged_ms: Some(600.0),
            recovered_ms: Some(5_000.0),
            slowest_ms: 900.0,
            without_a_server: Some(Without { acknowledged: 10, not_acknowledged: 0, slowest_ms: 9.0 }),
            ..Facts::default()
        }
    }

    fn verdicts(change: impl FnOnce(&mut Facts)) -> [Verdict; 4] {
        let mut facts = good();
        change(&mut facts);
        let judged: Vec<_> = judge(&facts).into_iter().map(|requirement| requirement.verdict).collect();
        judged.try_into().unwrap()
    }

    #[test]
    fn each_broken_condition_fails_its_requirement_alone() {
        use Verdict::{Fail, NotShown, Pass};
        assert_eq!(verdicts(|_| {}), [Pass; 4]);
        let switch_over: [fn(&mut Facts); 9] = [
            |facts| facts.lost = 1,
            |facts| facts.failed = 1,
            |facts| facts.unsettled = 1,
            |facts| facts.receipts_failed = 1,
            |facts| facts.unanswered = 1,
            |facts| facts.nodes_read = 1,
            |facts| facts.first_acknowledged_ms = None,
            |facts| facts.first_acknowledged_ms = Some(3_000.1),
            |facts| facts.first_acknowledged_ms = Some(f64::NAN),
        ];
        for change in switch_over {
            assert_eq!(verdicts(change), [Fail, Pass, Pass, Pass]);
        }
        let without: [fn(&mut Without); 3] =
            [|one| one.acknowledged = 0, |one| one.not_acknowledged = 1, |one| one.slowest_ms = 3_001.0];
        for change in without {
            let change = |facts: &mut Facts| change(facts.without_a_server.as_mut().unwrap());
            assert_eq!(verdicts(change), [Pass, Fail, Pass, Pass]);
        }
        let normal: [fn(&mut Facts); 2] = [|facts| facts.recovered_ms = None, |facts| facts.trees_differ = true];
        for change in normal {
            assert_eq!(verdicts(change), [Pass, Pass, Fail, Pass]);
        }
        assert_eq!(verdicts(|facts| facts.slowest_ms = 3_001.0), [Pass, Pass, Pass, Fail]);
        assert_eq!(verdicts(|facts| facts.without_a_server = None), [Pass, NotShown, Pass, Pass]);
        assert_eq!(verdicts(|facts| facts.took_effect = false), [NotShown; 4]);
    }
}
