//! Faults that a watch meets (`record-damaged`, `storage-failed`). What every node stores wrong passes by no waiting; what one of
//! them does is read of another as soon as there is one.

use std::collections::BTreeSet;

use kho_proto::error::Kind;

use crate::attempt::Failed;

/// So many times a fault (`record-damaged`, `storage-failed`) without anything new is reported, whatever the patience, once it is
/// what each node said last: three times of each node of three. It is in what they store, and waiting does not mend it.
pub const FAULTS_MAX: u32 = 9;

/// Since anything new was told.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Without another answer in between.
    count: u32,
    /// Addresses of nodes whose last attempt ended so.
    nodes: BTreeSet<String>,
}

impl Faults {
    /// The attempt at `address` failed.
    pub fn failed(&mut self, address: &str, failed: &Failed) {
        let refusal = failed.answer();
        if refusal.is_some_and(|refusal| refusal.code.kind() == Kind::Fault) {
            self.count = self.count.saturating_add(1);
            self.nodes.insert(address.to_owned());
            return;
        }
        if refusal.is_some() {
            self.count = 0;
        }
        self.nodes.remove(address);
    }

    /// Whether no node of `all` will do better.
    pub fn end<'a>(&self, mut all: impl Iterator<Item = &'a str>) -> bool {
        self.count >= FAULTS_MAX && all.all(|address| self.nodes.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::error::{Code, Refusal};

    const ALL: [&str; 3] = ["a:1", "b:1", "c:1"];

    fn damaged() -> Failed {
        Failed::Admitted(Refusal::new(Code::RecordDamaged, "it does not open"))
    }

    fn ends(faults: &Faults) -> bool {
        faults.end(ALL.into_iter())
    }

    #[test]
    fn a_fault_of_all_nodes_ends_it() {
        let mut faults = Faults::default();
        for said in 1..=FAULTS_MAX {
            assert!(!ends(&faults), "after {} faults", said - 1);
            faults.failed(ALL[said as usize % ALL.len()], &damaged());
        }
        assert!(ends(&faults));
    }

    #[test]
    fn a_node_that_is_away_may_have_what_another_lost() {
        let mut faults = Faults::default();
        for _ in 0..FAULTS_MAX * 2 {
            faults.failed(ALL[0], &damaged());
            for away in &ALL[1..] {
                faults.failed(away, &Failed::Unreached("refused".to_owned()));
            }
            assert!(!ends(&faults));
        }
        // they are back, and no better
        faults.failed(ALL[1], &damaged());
        assert!(!ends(&faults));
        faults.failed(ALL[2], &damaged());
        assert!(ends(&faults));
    }

    #[test]
    fn another_answer_begins_anew() {
        let mut faults = Faults::default();
        for said in 0..FAULTS_MAX {
            faults.failed(ALL[said as usize % ALL.len()], &damaged());
        }
        faults.failed(ALL[0], &Failed::Refused(Refusal::new(Code::NoLeader, "an election")));
        faults.failed(ALL[0], &damaged());
        assert!(!ends(&faults));
    }
}
