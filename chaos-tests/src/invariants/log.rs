//! I6: term, vote, commit and applied never go back; a committed index never changes, whoever tells of it; and on every
//! node purged ≤ snapshot ≤ applied ≤ committed ≤ last.
//!
//! What is on disk (vote, snapshot, purged) must not go back from one process of a node to the next either. Commit and
//! applied may: they are in memory, and the log brings them back. Snapshots go with a state that is lost.

use std::collections::BTreeMap;

use super::Breach;
use crate::observation::{Entry, Observation, Vote};

/// Holds the words of all nodes against each other, in the order in which they came.
pub fn judge(observations: &[Observation]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut last: BTreeMap<u64, &Observation> = BTreeMap::new();
    let formed = || observations.iter().filter(|one| one.formed());
    for now in formed() {
        breaches.extend(chain(now));
        if let Some(before) = last.insert(now.node, now) {
            breaches.extend(went_back(before, now));
        }
    }
    breaches.extend(changed(formed()));
    breaches
}

fn breach(what: String) -> Breach {
    Breach { invariant: "I6", what }
}

fn chain(now: &Observation) -> Option<Breach> {
    let Observation { purged, snapshot, applied, committed, last, node, .. } = now;
    let indexes = [purged.index, snapshot.index, applied.index, committed.index, *last];
    (!indexes.is_sorted()).then(|| {
        breach(format!("node {node}: purged, snapshot, applied, committed, last are {indexes:?}: expected ascending"))
    })
}

fn went_back(before: &Observation, now: &Observation) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut hold = |what: &str, kept: bool, before: String, now_at: String| {
        if !kept {
            let at = now.answered_us;
            breaches.push(breach(format!("node {}: {what} went from {before} to {now_at} by {at} µs", now.node)));
        }
    };
    let entry = |entry: Entry| format!("{} of term {}", entry.index, entry.term);
    let kept = |before: Entry, now: Entry| before.index <= now.index && before.term <= now.term;
    hold("purged", kept(before.purged, now.purged), entry(before.purged), entry(now.purged));
    let snapshots = before.states < now.states || kept(before.snapshot, now.snapshot);
    hold("snapshot", snapshots, entry(before.snapshot), entry(now.snapshot));
    // before the first write of a process there is nothing that it has seen on disk
    let votes = before.vote.term == 0 || now.vote.term == 0 || follows(before.vote, now.vote);
    hold("vote", votes, format!("{:?}", before.vote), format!("{:?}", now.vote));
    if before.life == now.life {
        hold("term", before.term <= now.term, before.term.to_string(), now.term.to_string());
        hold("committed", kept(before.committed, now.committed), entry(before.committed), entry(now.committed));
        hold("applied", kept(before.applied, now.applied), entry(before.applied), entry(now.applied));
        hold("tree", before.tree_size <= now.tree_size, before.tree_size.to_string(), now.tree_size.to_string());
    }
    breaches
}

/// A later term; the same vote, which may have won meanwhile; or a vote that lost, given up for the winner of its term.
fn follows(before: Vote, now: Vote) -> bool {
    let same_term =
        before.term == now.term && (before.node == now.node || now.committed) && before.committed <= now.committed;
    let won = !before.committed || before.node == now.node;
    before.term < now.term || (same_term && won)
}

/// One index, one term; a later index, no older term.
fn changed<'a>(observations: impl Iterator<Item = &'a Observation>) -> Vec<Breach> {
    let mut known: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut breaches = Vec::new();
    for one in observations {
        for entry in [one.committed, one.applied, one.snapshot, one.purged].into_iter().filter(|entry| entry.index > 0)
        {
            let (term, by) = *known.entry(entry.index).or_insert((entry.term, one.node));
            if term != entry.term {
                let (index, node, now) = (entry.index, one.node, entry.term);
                let what =
                    format!("committed entry {index} is of term {term} on node {by} and of {now} on node {node}");
                breaches.push(breach(what));
            }
        }
    }
    for ((index, (term, by)), (next, (later, node))) in known.iter().zip(known.iter().skip(1)) {
        if later < term {
            let what =
                format!("entry {index} is of term {term} on node {by}, and {next} behind it of {later} on node {node}");
            breaches.push(breach(what));
        }
    }
    breaches
}
