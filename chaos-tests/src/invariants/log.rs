//! I6: term, committed and applied never go back; purged <= snapshot <= applied <= last. Judged on what a node says of
//! itself, time and again.

use super::Breach;

/// What a node said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which node.
    pub node: u64,
    /// Since its process started; less than before: another process.
    pub uptime_ms: u64,
    /// Its term.
    pub term: u64,
    /// Last entry purged.
    pub purged: u64,
    /// Last entry in its newest snapshot.
    pub snapshot: u64,
    /// Last entry applied.
    pub applied: u64,
    /// Last entry it knows to be committed.
    pub committed: u64,
    /// Last entry.
    pub last: u64,
}

/// Holds what a node says against what it said before.
pub fn judge(before: Option<&Position>, now: &Position) -> Vec<Breach> {
    let Position { node, purged, snapshot, applied, last, .. } = *now;
    let mut wrong = Vec::new();
    if !(purged <= snapshot && snapshot <= applied && applied <= last) {
        wrong.push(format!("purged {purged}, snapshot {snapshot}, applied {applied}, last {last} are not in order"));
    }
    if let Some(before) = before {
        // a vote is on disk before it counts: not even a restart takes a term back
        let mut never_less = vec![("term", before.term, now.term), ("purged", before.purged, now.purged)];
        if now.uptime_ms >= before.uptime_ms {
            never_less.extend([
                ("committed", before.committed, now.committed),
                ("applied", before.applied, now.applied),
                ("snapshot", before.snapshot, now.snapshot),
            ]);
        }
        let back = never_less.into_iter().filter(|(_, before, now)| now < before);
        wrong.extend(back.map(|(what, before, now)| format!("{what} went back from {before} to {now}")));
    }
    wrong.into_iter().map(|what| Breach { invariant: "I6", what: format!("node {node}: {what}") }).collect()
}
