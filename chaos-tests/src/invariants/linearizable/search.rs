//! Wing and Gong's search: tries every order that real time allows. Slow, and simple enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::judge;
use crate::history::{Kind, Operation, Outcome};

/// A log: how long, and what of the history's records it holds where. Others may write to it as well.
#[derive(Clone, Default)]
struct Log {
    size: u64,
    records: BTreeMap<String, u64>,
}

impl Log {
    /// The logs that may follow when `operation` takes effect now.
    fn after(&self, operation: &Operation, candidates: &BTreeSet<u64>) -> Vec<Log> {
        let held = self.records.get(&operation.record_id).copied();
        match (operation.kind, operation.outcome) {
            (Kind::Get, Outcome::Ok) => {
                let fits = operation.position >= self.size && operation.found == held;
                fits.then(|| Log { size: operation.position, ..self.clone() }).into_iter().collect()
            }
            (Kind::Get, _) => vec![self.clone()],
            (_, Outcome::Failed) => vec![self.clone()],
            (_, Outcome::Ok) if held.is_some() => {
                if held == Some(operation.position) {
                    vec![self.clone()]
                } else {
                    Vec::new()
                }
            }
            (_, Outcome::Ok) => self.joined(&operation.record_id, operation.position).into_iter().collect(),
            (_, Outcome::Unknown) if held.is_some() => vec![self.clone()],
            (_, Outcome::Unknown) => {
                candidates.iter().filter_map(|index| self.joined(&operation.record_id, *index)).collect()
            }
        }
    }

    fn joined(&self, id: &str, index: u64) -> Option<Log> {
        let mut records = self.records.clone();
        records.insert(id.to_owned(), index);
        (index >= self.size).then_some(Log { size: index + 1, records })
    }
}

/// Whether there is an order.
fn linearizable(operations: &[Operation]) -> bool {
    let mut digests = BTreeMap::new();
    let same = operations.iter().all(|one| *digests.entry(&one.record_id).or_insert(&one.digest) == &one.digest);
    same && search(operations, &mut vec![false; operations.len()], &Log::default())
}

/// When it had ended, for all that anyone knows: what has no answer may take effect at any time.
fn ended(operation: &Operation) -> u64 {
    if operation.outcome == Outcome::Unknown { u64::MAX } else { operation.returned_us }
}

fn search(operations: &[Operation], done: &mut Vec<bool>, log: &Log) -> bool {
    let left = || operations.iter().zip(done.iter()).filter(|(_, done)| !**done).map(|(operation, _)| operation);
    if left().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    let horizon = left().map(ended).min().unwrap_or(u64::MAX);
    for (at, operation) in operations.iter().enumerate() {
        if done[at] || operation.invoked_us > horizon {
            continue;
        }
        let of_record = operations.iter().filter(|other| other.record_id == operation.record_id);
        let candidates = of_record.filter_map(Operation::index).collect();
        for next in log.after(operation, &candidates) {
            done[at] = true;
            if search(operations, done, &next) {
                return true;
            }
            done[at] = false;
        }
    }
    false
}

const RECORDS: usize = 3;

fn operation(random: &mut StdRng) -> Operation {
    let kind = [Kind::Submit, Kind::Resubmit, Kind::Get, Kind::Get][random.random_range(0..4)];
    let outcome = [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Unknown, Outcome::Failed][random.random_range(0..5)];
    let invoked_us = random.random_range(0..20);
    Operation {
        kind,
        record_id: random.random_range(0..RECORDS).to_string(),
        digest: String::new(),
        invoked_us,
        returned_us: invoked_us + random.random_range(0..12),
        outcome,
        node: 1,
        epoch: 1,
        position: random.random_range(0..4),
        found: None,
        duplicate: false,
        checkpoint: None,
        detail: String::new(),
    }
}

/// What a correct log would answer to random questions, each taking effect at a random instant of its time.
fn honest(random: &mut StdRng) -> Vec<Operation> {
    let mut operations: Vec<_> = (0..random.random_range(1..7)).map(|_| operation(random)).collect();
    let mut order: Vec<_> = (0..operations.len()).collect();
    let instants: Vec<u64> =
        operations.iter().map(|one| random.random_range(one.invoked_us..=one.returned_us)).collect();
    order.sort_by_key(|at| instants[*at]);
    let mut log = Log::default();
    for at in order {
        let one = &mut operations[at];
        // others write as well
        log.size += u64::from(random.random_bool(0.2));
        if one.kind != Kind::Get && one.outcome != Outcome::Failed && !log.records.contains_key(&one.record_id) {
            log = log.joined(&one.record_id, log.size).expect("the end of the log");
        }
        let held = log.records.get(&one.record_id).copied();
        if one.kind == Kind::Get {
            (one.position, one.found) = (log.size, held);
        } else {
            one.position = held.unwrap_or(0);
        }
    }
    operations
}

fn disturbed(random: &mut StdRng) -> Vec<Operation> {
    let mut operations = honest(random);
    let at = random.random_range(0..operations.len());
    let one = &mut operations[at];
    match random.random_range(0..6) {
        0 => one.position = random.random_range(0..6),
        1 => one.found = one.found.xor(Some(random.random_range(0..4))),
        2 => (one.invoked_us, one.returned_us) = (one.invoked_us + 9, one.returned_us + 9),
        3 => one.record_id = random.random_range(0..RECORDS).to_string(),
        4 => one.outcome = Outcome::Failed,
        _ => (one.invoked_us, one.returned_us) = (one.invoked_us / 2, one.invoked_us / 2),
    }
    operations
}

#[test]
fn the_witness_check_and_a_full_search_agree() {
    let mut random = StdRng::seed_from_u64(3);
    let mut verdicts = [0; 2];
    for round in 0..60_000 {
        let operations = match round % 3 {
            0 => honest(&mut random),
            1 => disturbed(&mut random),
            _ => (0..random.random_range(1..6)).map(|_| operation(&mut random)).collect(),
        };
        let (searched, breaches) = (linearizable(&operations), judge(&operations));
        assert_eq!(searched, breaches.is_empty(), "{breaches:?}\n{operations:#?}");
        assert!(searched || round % 3 != 0, "a correct log was refused: {operations:#?}");
        verdicts[usize::from(searched)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 5_000), "one-sided: {verdicts:?}");
}
