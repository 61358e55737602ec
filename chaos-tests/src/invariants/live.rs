//! I11: some time after the last fault has ended there is one leader, all nodes are at the same place, and writes and
//! reads succeed.

use super::Breach;
use crate::observation::Observation;

/// What was seen when the time was over.
#[derive(Debug, Clone, Default)]
pub struct Healed {
    /// Nodes that should run.
    pub running: usize,
    /// The last word of each that answered.
    pub nodes: Vec<Observation>,
    /// How a write ended, and a read of it on each node, in words if badly.
    pub tried: Vec<Result<(), String>>,
}

/// Holds the healed cluster against the promise.
pub fn judge(healed: &Healed) -> Vec<Breach> {
    let Healed { running, nodes, tried } = healed;
    let mut wrong = Vec::new();
    if nodes.len() != *running {
        wrong.push(format!("{} of {running} nodes answer", nodes.len()));
    }
    let leaders: Vec<_> = nodes.iter().filter(|one| one.leads()).map(|one| one.node).collect();
    let agreed = nodes.iter().all(|one| leaders.first() == Some(&one.leader));
    if leaders.len() != 1 || !agreed {
        let seen: Vec<_> = nodes.iter().map(|one| (one.node, one.leader)).collect();
        wrong.push(format!("leaders are {leaders:?}, and nodes follow {seen:?}"));
    }
    let stands: Vec<_> = nodes.iter().map(|one| (one.node, one.applied.index, one.tree_size)).collect();
    if stands.windows(2).any(|pair| (pair[0].1, pair[0].2) != (pair[1].1, pair[1].2)) {
        wrong.push(format!("nodes have applied and hold {stands:?}"));
    }
    if tried.is_empty() {
        wrong.push("nothing was written or read".to_owned());
    }
    wrong.extend(tried.iter().filter_map(|tried| tried.clone().err()));
    wrong.into_iter().map(|what| Breach { invariant: "I11", what }).collect()
}
