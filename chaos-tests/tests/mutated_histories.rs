//! The checkers are proven: a history recorded from a real cluster passes, and each change of it that a broken store could
//! have brought about is refused, by the invariant that it breaks.
//!
//! `histories/straggler.jsonl` is from a run of `a_straggler_gets_a_snapshot_and_leads` (`KHO_KEEP_HISTORY`), thinned out.

use std::path::Path;

use kho_chaos_tests::history::{Checkpoint, Kind, Operation, Outcome, Recorded};
use kho_chaos_tests::invariants::recorded;
use kho_chaos_tests::observation::{Observation, Vote};

/// Changes one thing; which invariant it breaks.
type Mutation = (&'static str, &'static str, fn(&mut Recorded));

const MUTATIONS: &[Mutation] = &[
    ("a lost write", "I3", |history| *read(history).found = None),
    ("a stale read", "I3", |history| {
        let read = read(history);
        (*read.position, *read.found) = (read.leaf, None);
    }),
    ("a read of its own future", "I3", |history| {
        let read = read(history);
        *read.position = read.leaf;
    }),
    ("a read before the record was sent", "I3", |history| {
        let read = read(history);
        (*read.invoked_us, *read.returned_us) = (0, 0);
    }),
    ("a log that shrinks from read to read", "I3", |history| {
        let early = reads(history).map(|one| one.position).min().expect("reads");
        let late = reads(history).rfind(|one| one.found.is_none()).expect("an absent read");
        let (id, position) = (late.record_id.clone(), early.min(late.position) - 1);
        let late = history.operations.iter_mut().rfind(|one| one.record_id == id && one.kind == Kind::Get);
        let late = late.expect("found before");
        (late.position, late.found) = (position, None);
    }),
    ("two records at one place", "I3", |history| {
        let (one, other) = (accepted(history, 3), accepted(history, 20));
        place(history, &one.record_id, other.position);
    }),
    ("a record at two places", "I3", |history| again(history).position += 1),
    ("an order that real time forbids", "I3", |history| {
        let (early, late) = (accepted(history, 3), accepted(history, 40));
        assert!(early.returned_us < late.invoked_us);
        place(history, &early.record_id, late.position);
        place(history, &late.record_id, early.position);
    }),
    ("another content", "I3", |history| {
        let read = read(history);
        read.digest.replace_range(0..2, "zz");
    }),
    ("a refused record that is there", "I3", |history| {
        let id = accepted(history, 10).record_id;
        submissions(history, &id).for_each(|one| one.outcome = Outcome::Failed);
        assert!(reads(history).any(|one| one.record_id == id && one.found.is_some()));
    }),
    ("a record that nobody sent", "I3", |history| {
        let id = accepted(history, 10).record_id;
        history.operations.retain(|one| one.record_id != id || one.kind == Kind::Get);
        assert!(reads(history).any(|one| one.record_id == id && one.found.is_some()));
    }),
    ("a record accepted twice", "I2", |history| again(history).duplicate = false),
    ("a retry with a newer receipt", "I2", |history| {
        let other = accepted(history, 40).checkpoint;
        again(history).checkpoint = other;
    }),
    ("a receipt of a tree without the leaf", "I2", |history| {
        let index = accepted(history, 10).position;
        let root = accepted(history, 3).checkpoint.expect("a receipt").root;
        let checkpoint = Some(Checkpoint { size: index, root });
        let id = accepted(history, 10).record_id;
        history
            .operations
            .iter_mut()
            .filter(|one| one.record_id == id)
            .for_each(|one| one.checkpoint = checkpoint.clone());
    }),
    ("a receipt of another tree", "I5", |history| {
        let id = accepted(history, 10).record_id;
        for one in history.operations.iter_mut().filter(|one| one.record_id == id) {
            one.checkpoint.iter_mut().for_each(|one| flip(&mut one.root));
        }
    }),
    ("a node with another tree", "I5", |history| flip(&mut observation(history, |one| one.tree_size > 20).tree_root)),
    ("a commit that goes back", "I6", |history| {
        let one = observation(history, |one| one.committed.index > 20);
        one.committed.index -= 15;
        one.applied = one.committed;
    }),
    ("an applied entry that was not committed", "I6", |history| {
        let one = observation(history, |one| one.applied.index > 20);
        one.committed.index = one.applied.index - 1;
    }),
    ("a committed entry that changed", "I6", |history| {
        let one = observation(history, |one| one.committed.index > 20);
        one.committed.term += 1;
    }),
    ("a term that goes back", "I6", |history| {
        let one = history.observations.iter_mut().rfind(|one| one.life == 0 && one.formed());
        one.expect("an observation").term = 0;
    }),
    ("two votes in a term", "I6", |history| {
        let one = observation(history, |one| one.vote.term == 1);
        one.vote = Vote { node: one.vote.node % 3 + 1, ..one.vote };
    }),
    ("a log purged before its snapshot", "I6", |history| {
        let one = observation(history, |one| one.purged.index > 0);
        one.snapshot.index = one.purged.index - 1;
    }),
    ("a snapshot that goes back", "I6", |history| {
        let one = history.observations.iter_mut().rfind(|one| one.snapshot.index > 0).expect("a snapshot");
        (one.snapshot, one.purged) = Default::default();
    }),
    ("two leaders of a term", "I7", |history| {
        let one = observation(history, |one| !one.leads() && one.leader != 0);
        (one.role, one.leader) = ("leader".to_owned(), one.node);
    }),
    ("a commit without a majority", "I7", |history| {
        let one = observation(history, |one| one.leads() && one.committed.index > 20);
        let (leader, committed) = (one.node, one.committed.index);
        one.matched.iter_mut().filter(|(node, _)| **node != leader).for_each(|(_, index)| *index = committed - 1);
    }),
    ("a follower that lost what it had confirmed", "I7", |history| {
        observation(history, |one| !one.leads() && one.last > 20).last = 1;
    }),
];

/// The parts of a read that found its record, to be changed.
struct Read<'a> {
    leaf: u64,
    position: &'a mut u64,
    found: &'a mut Option<u64>,
    invoked_us: &'a mut u64,
    returned_us: &'a mut u64,
    digest: &'a mut String,
}

fn reads(history: &Recorded) -> impl DoubleEndedIterator<Item = &Operation> {
    history.operations.iter().filter(|one| one.kind == Kind::Get && one.outcome == Outcome::Ok)
}

/// One in the middle.
fn read(history: &mut Recorded) -> Read<'_> {
    let found = |one: &&mut Operation| one.kind == Kind::Get && one.outcome == Outcome::Ok && one.found > Some(10);
    let Operation { position, found, invoked_us, returned_us, digest, .. } =
        history.operations.iter_mut().filter(found).nth(20).expect("reads that found their record");
    Read { leaf: found.expect("found"), position, found, invoked_us, returned_us, digest }
}

fn submissions<'a>(history: &'a mut Recorded, id: &'a str) -> impl Iterator<Item = &'a mut Operation> {
    history.operations.iter_mut().filter(move |one| one.record_id == id && one.kind != Kind::Get)
}

/// The `n`th accepted record.
fn accepted(history: &Recorded, n: usize) -> Operation {
    let mut accepted = history.operations.iter().filter(|one| one.kind == Kind::Submit && one.outcome == Outcome::Ok);
    accepted.nth(n).expect("so many accepted records").clone()
}

/// A resubmission of an accepted record.
fn again(history: &mut Recorded) -> &mut Operation {
    let first = accepted(history, 10);
    let resubmitted = |one: &&mut Operation| one.kind == Kind::Resubmit && one.record_id == first.record_id;
    history.operations.iter_mut().find(resubmitted).expect("a resubmission")
}

fn place(history: &mut Recorded, id: &str, index: u64) {
    for one in history.operations.iter_mut().filter(|one| one.record_id == id && one.index().is_some()) {
        if one.kind == Kind::Get {
            one.found = Some(index)
        } else {
            one.position = index
        }
        one.checkpoint = None;
    }
}

/// One in the middle.
fn observation(history: &mut Recorded, like: fn(&Observation) -> bool) -> &mut Observation {
    let (count, middle) = (history.observations.iter().filter(|one| like(one)).count(), |count: usize| count / 2);
    history.observations.iter_mut().filter(|one| like(one)).nth(middle(count)).expect("such an observation")
}

fn flip(root: &mut String) {
    let other = if root.starts_with('0') { "1" } else { "0" };
    root.replace_range(0..1, other);
}

fn recorded_run() -> Recorded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/straggler.jsonl");
    Recorded::read(&path).expect("the recorded history")
}

#[test]
fn a_recorded_history_passes() {
    let history = recorded_run();
    assert_eq!(recorded::judge(&history), []);
    // what the mutations need to bite
    assert!(reads(&history).any(|one| one.found.is_none()) && history.observations.iter().any(Observation::leads));
}

#[test]
fn every_mutated_history_is_refused() {
    assert!(MUTATIONS.len() >= 20);
    let passed: Vec<_> = MUTATIONS
        .iter()
        .filter(|(_, invariant, mutate)| {
            let mut history = recorded_run();
            mutate(&mut history);
            !recorded::judge(&history).iter().any(|breach| breach.invariant == *invariant)
        })
        .map(|(name, invariant, _)| format!("{name}: {invariant} finds nothing"))
        .collect();
    assert_eq!(passed, Vec::<String>::new());
}
