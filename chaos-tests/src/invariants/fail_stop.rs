//! I12: a node whose storage failed ends at once with the exit code that says so, and acknowledges nothing until it was
//! started again.

use super::Breach;
use crate::history::{Kind, Operation, Outcome};

/// Documented exit code of a node whose storage failed (EX_IOERR).
pub const STORAGE_FAILED: i32 = 74;

/// A node whose storage failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// Which node.
    pub node: u64,
    /// How it ended; none: by a signal, or it still runs.
    pub code: Option<i32>,
    /// It had ended by then; microseconds since the history began.
    pub ended_us: u64,
    /// It was not started again before that.
    pub restarted_us: u64,
}

/// Holds its end, and what is said to have come from it, against the promise.
pub fn judge(failed: &Failed, operations: &[Operation]) -> Vec<Breach> {
    let Failed { node, code, ended_us, restarted_us } = *failed;
    let breach = |what| Breach { invariant: "I12", what };
    let mut breaches = Vec::new();
    if code != Some(STORAGE_FAILED) {
        breaches.push(breach(format!("node {node} ended with {code:?} on a storage error: expected {STORAGE_FAILED}")));
    }
    let dead = |one: &&Operation| one.invoked_us >= ended_us && one.returned_us <= restarted_us;
    let by_it = operations.iter().filter(|one| one.node == node && one.outcome == Outcome::Ok && one.kind != Kind::Get);
    for one in by_it.filter(dead) {
        breaches.push(breach(format!("node {node} had failed, and acknowledged record {}", one.record_id)));
    }
    breaches
}
