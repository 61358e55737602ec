use std::fs;
use std::path::Path;
use std::sync::Arc;

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
