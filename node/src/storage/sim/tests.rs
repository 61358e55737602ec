//! What a crash may leave: a moment that the database was in, not before the last sync.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::storage::{Batch, Direction, Durability, KeyRange};

const TABLES: &[&str] = &["a", "b"];

fn open(disk: &Arc<SimDisk>, path: &Path, profile: Profile) -> Arc<dyn KvEngine> {
    SimStorage(Arc::clone(disk)).open(path, profile, TABLES).expect("a database")
}

/// A row in each table, so that a batch that is kept in part shows.
fn write(engine: &dyn KvEngine, value: u32, durability: Durability) -> Result<(), KvError> {
    let mut batch = Batch::default();
    for table in TABLES {
        batch.put(table, "n", value.to_be_bytes().to_vec());
    }
    engine.write(&batch, durability)
}

/// The last value written, which is the same in both tables.
fn value(rows: &dyn KvRead) -> u32 {
    let [a, b] = ["a", "b"].map(|table| rows.get(table, b"n").unwrap());
    assert_eq!(a, b, "a batch is kept as a whole");
    a.map_or(0, |bytes| u32::from_be_bytes(bytes.as_ref().try_into().unwrap()))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(Durability),
    Flush,
    Kill,
    PowerLoss,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Write(Durability::Buffered)),
        2 => Just(Step::Write(Durability::Sync)),
        1 => Just(Step::Flush),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerLoss),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest(seed: u64, log: bool, steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let profile = if log { Profile::Log } else { Profile::State };
        let disk = SimDisk::new(seed);
        let mut engine = open(&disk, dir.path(), profile);
        let (mut synced, mut written) = (0, 0);
        for step in steps {
            match step {
                Step::Write(durability) => {
                    written += 1;
                    write(&*engine, written, durability).unwrap();
                    if durability == Durability::Sync {
                        synced = written;
                    }
                }
                Step::Flush => {
                    engine.flush().unwrap();
                    synced = written;
                }
                Step::Kill | Step::PowerLoss => {
                    let power = matches!(step, Step::PowerLoss);
                    disk.crash(power);
                    prop_assert!(write(&*engine, 0, Durability::Sync).is_err(), "the old handle is dead");
                    engine = open(&disk, dir.path(), profile);
                    let left = value(&*engine);
                    prop_assert!((synced..=written).contains(&left));
                    prop_assert!(power || !log || left == written, "a killed process loses nothing of its log");
                    (synced, written) = (left, left);
                }
            }
            prop_assert_eq!(value(&*engine), written);
        }
    }
}

#[test]
fn a_failed_write_is_not_seen_and_may_be_there_after_a_crash() {
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::new(seed);
        let engine = open(&disk, dir.path(), Profile::Log);
        write(&*engine, 1, Durability::Sync).unwrap();
        disk.set_faults(SimFaults { write_fails: 1.0, ..SimFaults::default() });
        assert!(write(&*engine, 2, Durability::Sync).is_err());
        assert_eq!(value(&*engine), 1);
        disk.crash(true);
        found.insert(value(&*open(&disk, dir.path(), Profile::Log)));
    }
    assert_eq!(found, [1, 2].into());
}

#[test]
fn what_a_killed_process_left_with_the_kernel_goes_with_the_power_unless_it_was_opened_again() {
    let left = |seed, opened: bool| {
        let dir = tempfile::tempdir().unwrap();
        let disk = SimDisk::new(seed);
        let engine = open(&disk, dir.path(), Profile::Log);
        write(&*engine, 1, Durability::Sync).unwrap();
        write(&*engine, 2, Durability::Buffered).unwrap();
        disk.crash(false);
        if opened {
            assert_eq!(value(&*open(&disk, dir.path(), Profile::Log)), 2);
        }
        disk.crash(true);
        value(&*open(&disk, dir.path(), Profile::Log))
    };
    let found: std::collections::BTreeSet<_> = (0..32).map(|seed| left(seed, false)).collect();
    assert_eq!(found, [1, 2].into());
    assert!((0..32).all(|seed| left(seed, true) == 2), "opening puts into tables what the log brings back");
}

/// What is there after a cut at the nth operation of a kind, and how many writes of five succeeded.
fn cut_at(cut: Cut) -> (u32, usize) {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new(1);
    let profile = if cut.point == Point::LogSync { Profile::Log } else { Profile::State };
    let engine = open(&disk, dir.path(), profile);
    disk.arm(Some(cut));
    let done = (1..=5).filter(|value| {
        let written = match cut.point {
            Point::LogSync | Point::Install => write(&*engine, *value, Durability::Sync),
            _ => write(&*engine, *value, Durability::Buffered).and_then(|()| engine.flush()),
        };
        assert_eq!(written.is_err(), disk.is_cut(), "nobody hears what became of it");
        written.is_ok()
    });
    let done = done.count();
    assert!(disk.is_cut() && open_fails(&disk, dir.path(), profile));
    disk.crash(cut.power);
    (value(&*open(&disk, dir.path(), profile)), done)
}

fn open_fails(disk: &Arc<SimDisk>, path: &Path, profile: Profile) -> bool {
    SimStorage(Arc::clone(disk)).open(path, profile, TABLES).is_err()
}

#[test]
fn a_machine_is_cut_right_before_or_right_after_the_nth_operation() {
    for power in [false, true] {
        for point in [Point::LogSync, Point::Install, Point::Flush] {
            let cut = |side| cut_at(Cut { point, nth: 3, side, power });
            assert_eq!(cut(Side::After), (3, 2), "{point:?} was done, and nobody heard of it");
            let (left, done) = cut(Side::Before);
            assert_eq!(done, 2);
            // the third batch waits for its flush; chance may have saved it
            assert!(left == 2 || (left == 3 && point == Point::Flush), "{point:?}: {left}");
        }
    }
}

#[test]
fn a_cut_at_the_mark_comes_between_its_write_and_the_logs_next() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new(1);
    let mark = dir.path().join("mark");
    disk.watch(mark.clone());
    let engine = open(&disk, &dir.path().join("log"), Profile::Log);
    disk.arm(Some(Cut { point: Point::Mark, nth: 2, side: Side::Before, power: true }));
    let write = |value| write(&*engine, value, Durability::Sync).is_ok();
    assert!(write(1));
    fs::write(&mark, "1").unwrap();
    assert!(write(2) && write(3), "the first of two");
    fs::write(&mark, "3").unwrap();
    assert!(!write(4) && disk.is_cut());
    disk.crash(true);
    assert_eq!(value(&*open(&disk, &dir.path().join("log"), Profile::Log)), 3);
}

#[test]
fn one_holder_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new(1);
    let engine = open(&disk, dir.path(), Profile::Log);
    let second = SimStorage(Arc::clone(&disk)).open(dir.path(), Profile::Log, TABLES);
    assert_eq!(second.err().map(|error| error.kind), Some(KvErrorKind::Locked));
    drop(engine);
    open(&disk, dir.path(), Profile::Log);
}

#[test]
fn a_checkpoint_opens_elsewhere_as_a_database_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new(1);
    let engine = open(&disk, &dir.path().join("live"), Profile::State);
    write(&*engine, 1, Durability::Buffered).unwrap();
    let copy = dir.path().join("copy");
    engine.checkpoint(&copy).unwrap();
    write(&*engine, 2, Durability::Buffered).unwrap();
    let storage = SimStorage(SimDisk::new(2));
    assert_eq!(value(&*storage.open_read_only(&copy, Profile::State, TABLES).unwrap()), 1);
    let copied = storage.open(&copy, Profile::State, TABLES).unwrap();
    assert_eq!(value(&*copied), 1);
    write(&*copied, 7, Durability::Buffered).unwrap();
    assert_eq!((value(&*engine), value(&*copied)), (2, 7));
}

#[test]
fn ranges_iterate_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&SimDisk::new(1), dir.path(), Profile::State);
    let mut batch = Batch::default();
    for key in ["a", "b", "c", "d"] {
        batch.put("a", key, key);
    }
    engine.write(&batch, Durability::Buffered).unwrap();
    let keys = |range, direction| -> Vec<u8> {
        engine.iter("a", range, direction).unwrap().map(|row| row.unwrap().0[0]).collect()
    };
    assert_eq!(keys(KeyRange::new("b", "d"), Direction::Forward), b"bc");
    assert_eq!(keys(KeyRange::new("b", "d"), Direction::Backward), b"cb");
    assert_eq!(keys(KeyRange::new("d", "b"), Direction::Forward), b"");
    assert_eq!(keys(KeyRange::starting("c"), Direction::Forward), b"cd");
    assert_eq!(keys(KeyRange::starting(""), Direction::Backward), b"dcba");
}
