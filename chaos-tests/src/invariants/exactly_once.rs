//! I2: one record id, one leaf; whoever submits the record again gets the same leaf, sequence number and
//! checkpoint body (the signature over it may differ).

use std::collections::{BTreeMap, BTreeSet};

use super::{Acknowledged, Breach};
use crate::auditor::{self, Proven, VerifierKey};

fn breach(what: String) -> Option<Breach> {
    Some(Breach { invariant: "I2", what })
}

/// Holds the receipt of a resubmission against the first one.
pub fn same_receipt(key: &VerifierKey, first: &Acknowledged, again: &Acknowledged) -> Option<Breach> {
    let id = &first.record_id;
    if !again.duplicate {
        return breach(format!("record {id} was accepted a second time"));
    }
    let (first, again) = match (auditor::verify(key, &first.receipt), auditor::verify(key, &again.receipt)) {
        (Ok(first), Ok(again)) => (first, again),
        (first, again) => {
            return breach(format!("record {id}: receipts do not verify: {:?}, {:?}", first.err(), again.err()));
        }
    };
    if first == again {
        return None;
    }
    breach(format!("record {id} has two receipts: {}, then {}", describe(&first), describe(&again)))
}

/// Holds all receipts against each other: no place in the log for two records, no record at two places.
pub fn one_leaf_each(key: &VerifierKey, acknowledged: &[Acknowledged]) -> Vec<Breach> {
    let (mut by_index, mut by_id) = (BTreeMap::new(), BTreeMap::new());
    let mut breaches = Vec::new();
    for one in acknowledged {
        let Ok(proven) = auditor::verify(key, &one.receipt) else { continue }; // I4 tells
        if let Some(other) = by_index.insert(proven.index, &one.record_id).filter(|other| *other != &one.record_id) {
            breaches.extend(breach(format!("records {other} and {} both stand at {}", one.record_id, proven.index)));
        }
        if let Some(other) = by_id.insert(&one.record_id, proven.index).filter(|other| *other != proven.index) {
            breaches.extend(breach(format!("record {} stands at {other} and at {}", one.record_id, proven.index)));
        }
    }
    breaches
}

/// Holds the tree against all records that are known to be in it: a leaf that nobody was told of is a record applied
/// twice, or one that was said not to be in. Leaf 0 is the genesis record.
pub fn no_other_leaf(size: u64, acknowledged: &[Acknowledged]) -> Option<Breach> {
    let ids: BTreeSet<_> = acknowledged.iter().map(|one| &one.record_id).collect();
    let expected = 1 + ids.len() as u64;
    if size == expected { None } else { breach(format!("{expected} leaves are accounted for, the tree has {size}")) }
}

fn describe(proven: &Proven) -> String {
    format!("leaf {} at {} of {}", hex::encode(auditor::sha256(&[&proven.leaf])), proven.index, proven.checkpoint.size)
}
