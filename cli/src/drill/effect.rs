//! Whether the fault did what it should: a drill that breaks nothing proves nothing.

use super::args::Fault;
use super::course::Course;
use super::watch::Sighting;

/// The proof, or what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Whether it took effect.
    pub took: bool,
    /// In words.
    pub proof: String,
    /// The first other node that led in a later term.
    pub successor: Option<Sighting>,
}

/// Judges by what the nodes said.
pub fn of(fault: &Fault, course: &Course) -> Effect {
    let old = &course.leader;
    let successor = course.leaders.iter().find(|seen| seen.term > old.term && seen.node_id != old.node_id).cloned();
    let Some(new) = &successor else {
        let proof = format!("no other node led after node {} of term {}", old.node_id, old.term);
        return Effect { took: false, proof, successor };
    };
    let changed =
        format!("node {} of term {} was followed by node {} of term {}", old.node_id, old.term, new.node_id, new.term);
    let (took, proof) = match fault {
        Fault::Transfer { .. } => (true, changed),
        Fault::Kill { .. } => match course.absent {
            Some(at) => (
                true,
                format!(
                    "{changed}; node {} was gone, or a new process, {} ms after the fault",
                    old.node_id,
                    (at.saturating_sub(course.begun)).as_millis()
                ),
            ),
            None => (
                false,
                format!("{changed}; but node {} never was gone: the command killed something else", old.node_id),
            ),
        },
        Fault::Isolate { .. } => match course.mending {
            Some(mending) if new.at > mending => (false, format!("{changed}, but only after the cut was mended")),
            _ => (true, format!("{changed}, while it was cut off")),
        },
    };
    Effect { took, proof, successor }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::args::Commands;
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn seen(ms: u64, node_id: u64, term: u64) -> Sighting {
        Sighting { at: at(ms), node_id, term }
    }

    fn effect(fault: &Fault, leaders: Vec<Sighting>, absent: Option<Duration>) -> bool {
        let leader = super::super::cluster::tests::healthy().lead().unwrap();
        let course = Course {
            leader,
            begun: at(1_000),
            done: at(1_001),
            mending: Some(at(6_000)),
            mended: Some(at(6_001)),
            end: at(9_000),
            broke: None,
            load: Default::default(),
            leaders,
            recovered: None,
            absent,
        };
        of(fault, &course).took
    }

    #[test]
    fn a_fault_without_effect_is_told_from_one_with() {
        let times = || Commands { outage: 5, command_timeout: 9 };
        let transfer = Fault::Transfer { to: None };
        let kill = Fault::Kill { kill: "k".into(), restart: None, times: times() };
        let isolate = Fault::Isolate { cut: "c".into(), heal: "h".into(), times: times() };
        let changed = || vec![seen(0, 1, 4), seen(1_600, 2, 5)];
        assert!(effect(&transfer, changed(), None));
        assert!(effect(&kill, changed(), Some(at(1_010))));
        assert!(effect(&isolate, changed(), None));
        for fault in [&transfer, &kill, &isolate] {
            // the same leader, also in a later term: it was elected again
            assert!(!effect(fault, vec![seen(0, 1, 4)], Some(at(1_010))));
            assert!(!effect(fault, vec![seen(0, 1, 4), seen(1_600, 1, 6)], Some(at(1_010))));
        }
        assert!(!effect(&kill, changed(), None));
        assert!(!effect(&isolate, vec![seen(0, 1, 4), seen(6_500, 2, 5)], None));
    }
}
