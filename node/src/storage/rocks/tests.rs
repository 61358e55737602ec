use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{RocksStorage, Tuning};
use crate::storage::{Batch, Direction, Durability, KeyRange, KvEngine, KvErrorKind, Profile, Storage};

const TABLES: &[&str] = &["log", "records"];

fn open(path: &Path, profile: Profile) -> Arc<dyn KvEngine> {
    RocksStorage::new(Tuning::default()).open(path, profile, TABLES).expect("a database")
}

fn put(engine: &dyn KvEngine, key: &str, value: &str) {
    let mut batch = Batch::default();
    batch.put("log", key.to_owned(), value.to_owned());
    engine.write(&batch, Durability::Buffered).unwrap();
}

fn rows(rows: crate::storage::Rows<'_>) -> Vec<String> {
    rows.map(|row| row.map(|(key, value)| format!("{}={}", text(&key), text(&value))).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn ranges_iterate_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Profile::State);
    for key in ["a", "b", "c", "d"] {
        put(&*engine, key, key);
    }
    let all = |range, direction| rows(engine.iter("log", range, direction).unwrap());
    assert_eq!(all(KeyRange::new("b", "d"), Direction::Forward), ["b=b", "c=c"]);
    assert_eq!(all(KeyRange::new("b", "d"), Direction::Backward), ["c=c", "b=b"]);
    assert_eq!(all(KeyRange::starting("c"), Direction::Forward), ["c=c", "d=d"]);
    assert_eq!(all(KeyRange::starting(""), Direction::Backward), ["d=d", "c=c", "b=b", "a=a"]);
}

#[test]
fn a_snapshot_keeps_its_moment_and_outlives_the_handle() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Profile::State);
    put(&*engine, "a", "1");
    let before = engine.snapshot().unwrap();
    put(&*engine, "a", "2");
    put(&*engine, "b", "1");
    let after = engine.snapshot().unwrap();
    drop(engine);
    assert_eq!(before.get("log", b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(before.get("log", b"b").unwrap(), None);
    for _ in 0..2 {
        assert_eq!(rows(before.iter("log", KeyRange::starting(""), Direction::Forward).unwrap()), ["a=1"]);
        assert_eq!(rows(after.iter("log", KeyRange::starting(""), Direction::Forward).unwrap()), ["a=2", "b=1"]);
    }
}

#[test]
fn a_checkpoint_has_what_was_only_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("live"), Profile::State);
    put(&*engine, "a", "1");
    engine.checkpoint(&dir.path().join("copy")).unwrap();
    put(&*engine, "a", "2");
    let storage = RocksStorage::new(Tuning::default());
    let copy = storage.open_read_only(&dir.path().join("copy"), Profile::State, TABLES).unwrap();
    assert_eq!(copy.get("log", b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), Profile::Log);
    let second = RocksStorage::new(Tuning::default()).open(dir.path(), Profile::Log, TABLES);
    assert_eq!(second.err().map(|error| error.kind), Some(KvErrorKind::Locked));
}

fn copy_of(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Changes the write-ahead log of a closed database.
fn damage(database: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let files = fs::read_dir(database).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let log = logs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    change(&mut bytes);
    fs::write(&log, bytes).unwrap();
}

/// The default recovery mode would open after damage, with the synced rows behind it gone.
#[test]
fn a_torn_tail_of_the_log_opens_and_damage_inside_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Profile::Log);
    for index in 0..100 {
        let mut batch = Batch::default();
        batch.put("log", format!("{index:03}"), vec![0x55; 1000]);
        engine.write(&batch, Durability::Sync).unwrap();
    }
    // Copied while open, as a kill would leave it: rows are in the log, not in tables.
    let torn = copy_of(dir.path());
    let flipped = copy_of(dir.path());

    damage(torn.path(), |log| log.truncate(log.len() - 300));
    let engine = open(torn.path(), Profile::Log);
    assert!(engine.get("log", b"098").unwrap().is_some());
    assert!(engine.get("log", b"099").unwrap().is_none());

    damage(flipped.path(), |log| log[50_000] ^= 1);
    let refused = RocksStorage::new(Tuning::default()).open(flipped.path(), Profile::Log, TABLES);
    assert_eq!(refused.err().map(|error| error.kind), Some(KvErrorKind::Corruption));
}

#[test]
fn sorted_files_are_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("live"), Profile::State);
    put(&*engine, "a", "old");
    let file = dir.path().join("rows.sst");
    let options = rocksdb::Options::default();
    let mut writer = rocksdb::SstFileWriter::create(&options);
    writer.open(&file).unwrap();
    for (key, value) in [("a", "new"), ("b", "new")] {
        writer.put(key, value).unwrap();
    }
    writer.finish().unwrap();
    engine.ingest("log", std::slice::from_ref(&file)).unwrap();
    let all = rows(engine.iter("log", KeyRange::starting(""), Direction::Forward).unwrap());
    assert_eq!(all, ["a=new", "b=new"], "what is taken in wins over what was there");

    std::fs::write(&file, b"not a table").unwrap();
    assert!(engine.ingest("log", &[file]).is_err());
    assert_eq!(rows(engine.iter("log", KeyRange::starting("b"), Direction::Forward).unwrap()), ["b=new"]);
}

/// A file whose last row is where the range ends holds a row that nobody removed (docs/postmortems/0013).
#[test]
fn reclaiming_space_takes_no_row_that_is_there() {
    for (to, left) in [("d", "d=4"), ("c\0", "d=4"), ("e", ""), ("a", "a=1 b=2 c=3 d=4")] {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), Profile::Log);
        let file = dir.path().join("rows.sst");
        let options = rocksdb::Options::default();
        let mut writer = rocksdb::SstFileWriter::create(&options);
        writer.open(&file).unwrap();
        for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")] {
            writer.put(key, value).unwrap();
        }
        writer.finish().unwrap();
        // below level 0, where files are dropped as a whole
        engine.ingest("log", &[file]).unwrap();
        let mut batch = Batch::default();
        batch.delete_range("log", "a".to_owned(), to.to_owned());
        engine.write(&batch, Durability::Sync).unwrap();
        engine.reclaim("log", b"a", to.as_bytes()).unwrap();
        let all = rows(engine.iter("log", KeyRange::starting(""), Direction::Forward).unwrap());
        assert_eq!(all.join(" "), left, "up to {to:?}");
    }
}

/// Tables of the state, one of them late.
const WITH_LATE: &[&str] = &["log", "records", "objects"];

fn put_object(engine: &dyn KvEngine, key: &str, value: &[u8]) {
    let mut batch = Batch::default();
    batch.put("records", key.to_owned(), "beside");
    batch.put("objects", key.to_owned(), value.to_vec());
    engine.write(&batch, Durability::Buffered).unwrap();
}

#[test]
fn a_late_table_is_made_with_its_first_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let storage = RocksStorage::new(Tuning::default());
    let engine = storage.open(&path, Profile::State, WITH_LATE).unwrap();
    put(&*engine, "a", "1");
    assert_eq!(engine.get("objects", b"a").unwrap(), None);
    assert!(rows(engine.iter("objects", KeyRange::starting(""), Direction::Forward).unwrap()).is_empty());
    engine.flush().unwrap();
    drop(engine);
    // a build from before the table opens what has none of its rows
    drop(open(&path, Profile::State));
    let engine = storage.open(&path, Profile::State, WITH_LATE).unwrap();
    let before = engine.snapshot().unwrap();
    put_object(&*engine, "large", &[7; 100_000]);
    assert_eq!(before.get("objects", b"large").unwrap(), None);
    engine.flush().unwrap();
    drop((engine, before));
    let refused = RocksStorage::new(Tuning::default()).open(&path, Profile::State, TABLES).err().expect("not opened");
    assert_eq!(refused.kind, KvErrorKind::Misuse);
    let engine = storage.open(&path, Profile::State, WITH_LATE).unwrap();
    assert_eq!(engine.get("objects", b"large").unwrap().map(|value| value.len()), Some(100_000));
    assert!(engine.approximate_bytes("objects").unwrap() >= 100_000);
}

/// A first row and a flush at the same time: what is on disk is of one moment, whatever comes after.
#[test]
fn large_values_are_in_checkpoints_and_after_a_crash_with_what_stands_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let storage = RocksStorage::new(Tuning::default());
    let (path, copy) = (dir.path().join("state"), dir.path().join("copy"));
    let engine = storage.open(&path, Profile::State, WITH_LATE).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| engine.flush().unwrap()));
        scope.spawn(|| (0..50).for_each(|n| put_object(&*engine, &format!("{n:02}"), &[n; 50_000])));
    });
    engine.checkpoint(&copy).unwrap();
    let copied = storage.open_read_only(&copy, Profile::State, WITH_LATE).unwrap();
    assert_eq!(copied.scan("objects", KeyRange::starting("")).unwrap().count(), 50);
    let blobs = fs::read_dir(&copy)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "blob"));
    assert!(blobs.count() > 0, "the checkpoint has the files of large values");
    let crashed = dir.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    put_object(&*engine, "lost", &[1; 50_000]);
    for file in fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), crashed.join(file.file_name())).unwrap();
    }
    let found = storage.open(&crashed, Profile::State, WITH_LATE).unwrap();
    let count = |table| found.scan(table, KeyRange::starting("")).unwrap().count();
    assert_eq!((count("objects"), count("records")), (50, 50));
}

fn blob_files(path: &Path) -> BTreeSet<PathBuf> {
    files(path, "blob")
}

fn files(path: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn blob_bytes(path: &Path) -> u64 {
    blob_files(path).iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// Compactions of keys that come in no order go over all of them again and again.
#[test]
fn large_values_are_written_once_and_their_space_is_freed() {
    const FLUSHES: u8 = 24;
    let dir = tempfile::tempdir().unwrap();
    let engine = RocksStorage::new(Tuning::default()).open(dir.path(), Profile::State, WITH_LATE).unwrap();
    let key = |object: u8, chunk: u8| format!("{object:02}-{chunk:02}");
    let mut begun = BTreeSet::new();
    for chunk in 0..FLUSHES {
        (0..8).for_each(|object| put_object(&*engine, &key(object, chunk), &[chunk; 50_000]));
        engine.flush().unwrap();
        begun.extend(blob_files(dir.path()));
    }
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {} bytes", blob_bytes(dir.path()));
            put_object(&*engine, "beside", b"small");
            engine.flush().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let tables = || {
        fs::read_dir(dir.path()).unwrap().filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "sst"))
    };
    wait("compacted", &|| tables().count() < usize::from(FLUSHES));
    assert_eq!(blob_files(dir.path()), begun, "the files of the first writes, and no others");
    // all objects but one are dropped: each file holds chunks of all
    for chunk in 0..FLUSHES {
        let mut batch = Batch::default();
        (1..8).for_each(|object| batch.delete("objects", key(object, chunk)));
        engine.write(&batch, Durability::Buffered).unwrap();
    }
    let left = u64::from(FLUSHES) * 50_000;
    wait("freed", &|| blob_bytes(dir.path()) < left * 3 / 2);
    for chunk in 0..FLUSHES {
        assert_eq!(engine.get("objects", key(0, chunk).as_bytes()).unwrap().unwrap()[..], [chunk; 50_000]);
    }
}

/// Each body was written a second time, by a compaction that only took sequence numbers out of its file (4.2 bytes written
/// for a byte of a report).
#[test]
fn appended_rows_are_not_written_again_when_a_snapshot_goes() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), Profile::State);
    let mut written = BTreeSet::new();
    for round in 0..6 {
        let snapshot = engine.snapshot().unwrap();
        put(&*engine, &format!("{round}"), &"x".repeat(1 << 16));
        engine.flush().unwrap();
        let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() > 1 << 16);
        written.extend(files(dir.path(), "sst").into_iter().filter(large));
        drop(snapshot);
    }
    assert_eq!(written.len(), 6, "a file each");
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        for file in &written {
            assert!(file.exists(), "{file:?} was written again");
        }
        drop(engine.snapshot().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}
