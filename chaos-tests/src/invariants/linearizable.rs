//! I3: reads of records are linearizable, from any node.
//!
//! Answers carry positions in the log, so the one order that could explain them is known, and is verified instead of
//! searched for: a record joins the log at its index, a read stands behind the records that its log size covers and before
//! the others. Every answer must be what that order says, and nothing may come before what had ended when it was asked
//! for. O(n log n). A full search over small histories comes to the same verdicts (`linearizable/search.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Breach;
use crate::history::{Kind, Operation, Outcome};

#[cfg(test)]
mod search;

/// Holds a history against the order that its positions name.
pub fn judge(operations: &[Operation]) -> Vec<Breach> {
    let mut breaches = Breaches::default();
    let records = records(operations, &mut breaches);
    places(&records, &mut breaches);
    let mut steps = Vec::new();
    for (id, record) in &records {
        steps.extend(record.step(id, &mut breaches));
    }
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Ok) {
        if operation.kind == Kind::Get {
            read(operation, &records, &mut breaches);
            steps.push(Step::read(operation));
        }
        steps.extend(Step::size(operation));
    }
    real_time(steps, &mut breaches);
    breaches.0
}

#[derive(Default)]
struct Breaches(Vec<Breach>);

impl Breaches {
    fn add(&mut self, what: String) {
        self.0.push(Breach { invariant: "I3", what });
    }
}

/// What a history says of one record.
struct Record<'a> {
    digest: &'a str,
    /// Where it stands, if any answer says so.
    index: Option<u64>,
    /// First submission that may have brought it in.
    invoked: Option<u64>,
    /// First answer that knows it to be in.
    known: u64,
}

fn records<'a>(operations: &'a [Operation], breaches: &mut Breaches) -> BTreeMap<&'a str, Record<'a>> {
    let mut records: BTreeMap<&str, Record<'_>> = BTreeMap::new();
    for operation in operations {
        let id = &operation.record_id;
        let record = records.entry(id).or_insert_with(|| Record {
            digest: &operation.digest,
            index: None,
            invoked: None,
            known: u64::MAX,
        });
        if operation.digest != record.digest {
            breaches.add(format!("record {id} has digest {} here and {} there", operation.digest, record.digest));
        }
        if operation.kind != Kind::Get && operation.outcome != Outcome::Failed {
            let first = record.invoked.map_or(operation.invoked_us, |first| first.min(operation.invoked_us));
            record.invoked = Some(first);
        }
        let Some(index) = operation.index() else { continue };
        record.known = record.known.min(operation.returned_us);
        let known = *record.index.get_or_insert(index);
        if known != index {
            breaches.add(format!("record {id} stands at {known} and at {index}"));
        }
    }
    records
}

/// One place, one record.
fn places(records: &BTreeMap<&str, Record<'_>>, breaches: &mut Breaches) {
    let mut holders = BTreeMap::new();
    for (id, record) in records {
        let Some(index) = record.index else { continue };
        if let Some(other) = holders.insert(index, id) {
            breaches.add(format!("records {other} and {id} both stand at {index}"));
        }
    }
}

fn read(read: &Operation, records: &BTreeMap<&str, Record<'_>>, breaches: &mut Breaches) {
    let (id, size, node) = (&read.record_id, read.position, read.node);
    match (read.found, records.get(id.as_str()).and_then(|record| record.index)) {
        (Some(found), _) if found >= size => {
            breaches.add(format!("node {node} read record {id} at {found} out of a log of {size}"));
        }
        (None, Some(index)) if index < size => {
            breaches.add(format!("node {node} did not find record {id} of {index} in a log of {size}"));
        }
        _ => {}
    }
}

/// Something that happened at one instant between two, at one place of the order.
struct Step<'a> {
    /// Twice the size of the log behind it, and one more for a read: so records come before the reads that cover them.
    order: u64,
    invoked: u64,
    returned: u64,
    what: What<'a>,
}

enum What<'a> {
    Joins(&'a str, u64),
    Read(&'a Operation),
    Size(&'a Operation),
}

impl Record<'_> {
    fn step<'a>(&self, id: &'a str, breaches: &mut Breaches) -> Option<Step<'a>> {
        let index = self.index?;
        let Some(invoked) = self.invoked else {
            breaches.add(format!("record {id} stands at {index}, and nobody submitted it, or it was refused"));
            return None;
        };
        Some(Step { order: 2 * (index + 1), invoked, returned: self.known, what: What::Joins(id, index) })
    }
}

impl<'a> Step<'a> {
    fn read(read: &'a Operation) -> Self {
        let (invoked, returned) = (read.invoked_us, read.returned_us);
        Step { order: 2 * read.position + 1, invoked, returned, what: What::Read(read) }
    }

    /// A receipt proves that the log had this size at the latest when it came; when it got there is not said.
    fn size(operation: &'a Operation) -> Option<Self> {
        let size = operation.checkpoint.as_ref()?.size;
        Some(Step { order: 2 * size, invoked: 0, returned: operation.returned_us, what: What::Size(operation) })
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invoked, returned, .. } = self;
        match &self.what {
            What::Joins(id, index) => write!(f, "record {id} joining at {index} in {invoked}..{returned} µs"),
            What::Read(read) => {
                let Operation { record_id, position, node, .. } = read;
                write!(f, "the read of {record_id} by node {node} at size {position} in {invoked}..{returned} µs")
            }
            What::Size(operation) => {
                write!(f, "the receipt of {} at size {} by {returned} µs", operation.record_id, self.order / 2)
            }
        }
    }
}

/// No step comes before one that had returned when it was invoked.
fn real_time(mut steps: Vec<Step<'_>>, breaches: &mut Breaches) {
    steps.sort_by_key(|step| step.order);
    let mut latest: Option<&Step<'_>> = None;
    let mut told = BTreeSet::new();
    for group in steps.chunk_by(|one, other| one.order == other.order) {
        for step in group {
            // one line for each culprit
            if let Some(before) = latest.filter(|before| step.returned < before.invoked)
                && told.insert((before.order, before.invoked))
            {
                breaches.add(format!("{before} must come before {step}, which had returned by then"));
            }
        }
        latest = group.iter().chain(latest).max_by_key(|step| step.invoked);
    }
}
