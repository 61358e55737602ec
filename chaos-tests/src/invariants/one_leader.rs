//! I7, in part: one leader per term, as the nodes say themselves.

use std::collections::BTreeMap;

use super::Breach;

/// Who said that it led which term.
#[derive(Debug, Default)]
pub struct Leaders(BTreeMap<u64, u64>);

impl Leaders {
    /// `node` says that it leads `term`.
    pub fn saw(&mut self, term: u64, node: u64) -> Option<Breach> {
        let first = *self.0.entry(term).or_insert(node);
        let what = || format!("node {first} led term {term}, and so does node {node}");
        (first != node).then(|| Breach { invariant: "I7", what: what() })
    }

    /// Terms that had a leader.
    pub fn terms(&self) -> usize {
        self.0.len()
    }
}
