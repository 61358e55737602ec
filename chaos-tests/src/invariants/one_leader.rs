//! I7: one leader in a term; and what a leader calls committed lies on the disks of a majority, and stays there.

use std::collections::BTreeMap;

use super::Breach;
use crate::history::{Kind, Operation, Outcome};
use crate::observation::Observation;

/// Holds the words of all nodes against each other, in the order in which they came.
pub fn judge(observations: &[Observation]) -> Vec<Breach> {
    let formed: Vec<_> = observations.iter().filter(|one| one.formed()).collect();
    let mut breaches = leaders(&formed);
    breaches.extend(formed.iter().filter_map(|one| majority(one)));
    breaches.extend(kept(&formed));
    breaches
}

fn breach(what: String) -> Breach {
    Breach { invariant: "I7", what }
}

fn leaders(formed: &[&Observation]) -> Vec<Breach> {
    let mut known = BTreeMap::new();
    let mut breaches = Vec::new();
    for one in formed {
        let leader = if one.leads() { one.node } else { one.leader };
        if leader == 0 {
            continue;
        }
        let (first, by) = *known.entry(one.term).or_insert((leader, one.node));
        if first != leader {
            let what =
                format!("term {} is led by {first}, says node {by}, and by {leader}, says {}", one.term, one.node);
            breaches.push(breach(what));
        }
    }
    breaches
}

/// A leader's entry is committed once a majority has it on disk, itself or not. While voters change there are two majorities:
/// not judged.
fn majority(one: &Observation) -> Option<Breach> {
    let Observation { node, term, committed, matched, .. } = one;
    if !one.leads() || one.joint || matched.is_empty() || committed.term != *term {
        return None;
    }
    let (voters, have) = (matched.len(), matched.values().filter(|index| **index >= committed.index).count());
    (have <= voters / 2).then(|| {
        let index = committed.index;
        breach(format!(
            "node {node} committed {index} in term {term}, and {have} of {voters} voters have it: {matched:?}"
        ))
    })
}

/// What a follower has confirmed in a term, it has until a leader of a later term takes it back.
fn kept(formed: &[&Observation]) -> Vec<Breach> {
    /// Term and index of what was confirmed, when the leader said so, and which leader.
    type Confirmed = (u64, u64, u64, u64);
    let mut confirmed: BTreeMap<u64, Confirmed> = BTreeMap::new();
    let mut breaches = Vec::new();
    for one in formed {
        if one.leads() {
            for (voter, index) in &one.matched {
                let now: Confirmed = (one.term, *index, one.answered_us, one.node);
                let best = confirmed.entry(*voter).or_insert(now);
                if (now.0, now.1) > (best.0, best.1) {
                    *best = now;
                }
            }
            for lost in &one.lost {
                breaches.push(breach(format!("node {lost} lost what it had confirmed, says node {}", one.node)));
            }
        }
        if let Some((term, index, said_us, leader)) = confirmed.get(&one.node)
            && one.asked_us > *said_us
            && one.term == *term
            && one.last < *index
        {
            let what = format!(
                "node {} had confirmed {index} in term {term} to node {leader}, and its log ends at {}",
                one.node, one.last
            );
            breaches.push(breach(what));
        }
    }
    breaches
}

/// While from `from_us` to `to_us` fewer than a majority ran, nobody can have been told that a record was accepted.
pub fn without_majority(from_us: u64, to_us: u64, operations: &[Operation]) -> Vec<Breach> {
    let accepted = |one: &&Operation| one.outcome == Outcome::Ok && one.kind != Kind::Get && !one.duplicate;
    let within = |one: &&Operation| one.invoked_us >= from_us && one.returned_us <= to_us;
    let told = operations.iter().filter(accepted).filter(within);
    told.map(|one| breach(format!("node {} accepted record {} without a majority", one.node, one.record_id))).collect()
}
