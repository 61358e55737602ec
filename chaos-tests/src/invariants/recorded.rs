//! Everything that a history alone can break.

use std::collections::BTreeMap;

use super::merkle::Stated;
use super::{Breach, linearizable, log, merkle, one_leader};
use crate::history::{Checkpoint, Kind, Operation, Outcome, Recorded};

/// I2, I3, I5, I6, I7 over a history.
pub fn judge(recorded: &Recorded) -> Vec<Breach> {
    let Recorded { operations, observations } = recorded;
    let mut breaches = linearizable::judge(operations);
    breaches.extend(same_answers(operations));
    breaches.extend(roots(recorded));
    breaches.extend(log::judge(observations));
    breaches.extend(one_leader::judge(observations));
    breaches
}

/// I2: accepted once, and whoever asks again gets the first receipt, which stands in the checkpoint that it names.
fn same_answers(operations: &[Operation]) -> Vec<Breach> {
    let breach = |what| Breach { invariant: "I2", what };
    let mut accepted: BTreeMap<&str, u64> = BTreeMap::new();
    let mut receipts: BTreeMap<&str, &Checkpoint> = BTreeMap::new();
    let mut breaches = Vec::new();
    for one in operations.iter().filter(|one| one.outcome == Outcome::Ok) {
        let id = one.record_id.as_str();
        if one.kind != Kind::Get && !one.duplicate {
            let times = accepted.entry(id).or_default();
            *times += 1;
            if *times == 2 {
                breaches.push(breach(format!("record {id} was accepted a second time")));
            }
        }
        let (Some(checkpoint), Some(index)) = (&one.checkpoint, one.index()) else { continue };
        if index >= checkpoint.size {
            breaches.push(breach(format!(
                "record {id} stands at {index}, its receipt is of a tree of {}",
                checkpoint.size
            )));
        }
        let first = receipts.entry(id).or_insert(checkpoint);
        if *first != checkpoint {
            breaches.push(breach(format!("record {id} has receipts of two checkpoints: {first:?}, {checkpoint:?}")));
        }
    }
    breaches
}

/// I5: of receipts and of nodes.
fn roots(recorded: &Recorded) -> Vec<Breach> {
    let mut unreadable = Vec::new();
    let mut state = |by: String, size: u64, root: &str| {
        let bytes = hex::decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        if bytes.is_none() {
            unreadable.push(Breach { invariant: "I5", what: format!("{by} names {root:?} as a root") });
        }
        bytes.map(|root| Stated { by, size, root })
    };
    let mut stated = Vec::new();
    for one in &recorded.operations {
        if let Some(Checkpoint { size, root }) = &one.checkpoint {
            stated.extend(state(format!("the receipt of {}", one.record_id), *size, root));
        }
    }
    for one in recorded.observations.iter().filter(|one| one.formed()) {
        stated.extend(state(format!("node {}", one.node), one.tree_size, &one.tree_root));
    }
    unreadable.extend(merkle::judge(stated));
    unreadable
}
