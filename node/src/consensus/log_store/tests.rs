use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use parking_lot::{Condvar, Mutex};

use super::*;
use crate::consensus::types::{EntryBytes, log_id};
use crate::seams::Seams;
use crate::storage::rocks::{RocksStorage, Tuning};
use crate::storage::{Batch, Direction, Durability, KeyRange, KvError, KvErrorKind, KvRead, Profile, Rows, Storage};

pub(super) const IDENTITY: Identity = Identity { cluster: [7; 16], node: 1 };

/// A state that is always on disk.
pub(super) struct StateOnDisk;

#[async_trait::async_trait]
impl PersistState for StateOnDisk {
    async fn persist_up_to(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn rocks() -> RocksStorage {
    RocksStorage::new(Tuning { block_cache_mib: 8, write_buffer_mib: 8, ..Tuning::default() })
}

pub(super) fn no_fatal() -> FatalSwitch {
    FatalSwitch::new(|reason| panic!("storage failed in a test: {reason}"))
}

/// Waits until a background task of the store before has let go of the database.
fn engine(path: &Path) -> Arc<dyn KvEngine> {
    for _ in 0..500 {
        match rocks().open(path, Profile::Log, TABLES) {
            Err(error) if error.kind == KvErrorKind::Locked => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.expect("a log database"),
        }
    }
    panic!("the log database stays locked");
}

fn store(path: &Path) -> LogStore {
    LogStore::open(engine(path), IDENTITY, Arc::new(StateOnDisk), no_fatal(), &Seams::system().tasks, None)
        .expect("a log")
}

fn entry(term: u64, index: u64) -> Entry {
    let payload = EntryPayload::Normal(EntryBytes(format!("{term}/{index}").into_bytes().into()));
    Entry { log_id: log_id(term, index), payload }
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index)).collect()
}

fn callback() -> (IOFlushed<TypeConfig>, BoxFuture<'static, io::Result<()>>) {
    let (tx, rx) = TypeConfig::oneshot();
    (IOFlushed::signal(tx), Box::pin(async { rx.await.expect("every append is reported") }))
}

async fn append(store: &mut LogStore, entries: Vec<Entry>) {
    let (callback, flushed) = callback();
    store.append(entries, callback).await.expect("queued");
    flushed.await.expect("synced");
}

/// An engine that counts its batches, can be held back, and can be made to fail.
struct Wrapped {
    inner: Arc<dyn KvEngine>,
    failing: AtomicBool,
    /// Frees one row too many.
    greedy: AtomicBool,
    batches: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
}

impl Wrapped {
    fn new(inner: Arc<dyn KvEngine>) -> Arc<Self> {
        let (failing, greedy, batches) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { inner, failing, greedy, batches, held: Mutex::new(false), released: Condvar::new() })
    }

    fn hold(&self, held: bool) {
        *self.held.lock() = held;
        self.released.notify_all();
    }
}

impl KvRead for Wrapped {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<bytes::Bytes>, KvError> {
        self.inner.get(table, key)
    }

    fn iter(&self, table: &'static str, range: KeyRange, direction: Direction) -> Result<Rows<'_>, KvError> {
        self.inner.iter(table, range, direction)
    }
}

impl KvEngine for Wrapped {
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), KvError> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.released.wait_while(&mut self.held.lock(), |held| *held);
        if self.failing.load(Ordering::SeqCst) {
            return Err(KvError { operation: "write", kind: KvErrorKind::Io, detail: "injected".to_owned() });
        }
        self.inner.write(batch, durability)
    }

    fn snapshot(&self) -> Result<Arc<dyn KvRead>, KvError> {
        self.inner.snapshot()
    }

    fn flush(&self) -> Result<(), KvError> {
        self.inner.flush()
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), KvError> {
        self.inner.checkpoint(directory)
    }

    fn ingest(&self, table: &'static str, files: &[std::path::PathBuf]) -> Result<(), KvError> {
        self.inner.ingest(table, files)
    }

    fn reclaim(&self, table: &'static str, from: &[u8], to: &[u8]) -> Result<(), KvError> {
        if self.greedy.load(Ordering::SeqCst) {
            let mut batch = Batch::default();
            batch.delete(table, to.to_vec());
            self.inner.write(&batch, Durability::Sync)?;
        }
        self.inner.reclaim(table, from, to)
    }

    fn approximate_bytes(&self, table: &'static str) -> Result<u64, KvError> {
        self.inner.approximate_bytes(table)
    }
}

#[tokio::test]
async fn synced_entries_vote_and_purge_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vote = Vote::new_committed(3, 2);
    {
        let mut log = store(dir.path());
        append(&mut log, entries(1, 0..10)).await;
        log.save_vote(&vote).await.unwrap();
        log.save_committed(Some(log_id(1, 7))).await.unwrap();
        append(&mut log, entries(3, 10..12)).await;
        log.purge(log_id(1, 4)).await.unwrap();
    }
    let mut log = store(dir.path());
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 7)));
    assert_eq!(log.bounds(), (Some(log_id(1, 4)), Some(log_id(3, 11))));
    let read = log.try_get_log_entries(0..100).await.unwrap();
    assert_eq!(read, [entries(1, 5..10), entries(3, 10..12)].concat());
    assert_eq!(*log.watch_flushed().borrow(), Some(11));
}

#[tokio::test]
async fn entries_are_readable_before_they_are_flushed_and_one_sync_serves_many() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Wrapped::new(engine(dir.path()));
    let mut log = LogStore::open(
        Arc::clone(&engine) as _,
        IDENTITY,
        Arc::new(StateOnDisk),
        no_fatal(),
        &Seams::system().tasks,
        None,
    )
    .expect("a log");
    let before = engine.batches.load(Ordering::SeqCst);
    engine.hold(true);
    let mut flushed = Vec::new();
    for index in 0..20 {
        let (callback, done) = callback();
        log.append([entry(1, index)], callback).await.unwrap();
        flushed.push(done);
    }
    let read = log.limited_get_log_entries(0, 20).await.unwrap();
    assert_eq!(read, entries(1, 0..20));
    assert_eq!(*log.watch_flushed().borrow(), None);
    assert!(flushed.iter_mut().all(|done| done.now_or_never().is_none()), "nothing is reported before it is synced");
    engine.hold(false);
    for done in flushed {
        done.await.unwrap();
    }
    assert_eq!(*log.watch_flushed().borrow(), Some(19));
    let batches = engine.batches.load(Ordering::SeqCst) - before;
    assert!(batches <= 2, "one batch under way, one for all that waited; found {batches}");
}

#[tokio::test]
async fn reports_come_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = store(dir.path());
    let mut watched = log.watch_flushed();
    let mut reports = Vec::new();
    for index in 0..200 {
        let (callback, done) = callback();
        log.append([entry(1, index)], callback).await.unwrap();
        reports.push(done);
        if index % 50 == 25 {
            log.save_vote(&Vote::new(1, index)).await.unwrap();
            // The vote was behind the entries, so they are on disk as well.
            assert!(*watched.borrow_and_update() >= Some(index));
        }
    }
    for (index, done) in (0..).zip(reports) {
        done.await.unwrap();
        assert!(*watched.borrow_and_update() >= Some(index), "reported before it was seen as flushed");
    }
}

#[tokio::test]
async fn truncation_makes_room_for_another_leaders_entries() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut log = store(dir.path());
        append(&mut log, entries(1, 0..10)).await;
        log.truncate_after(Some(log_id(1, 4))).await.unwrap();
        assert_eq!(*log.watch_flushed().borrow(), Some(4));
        append(&mut log, entries(2, 5..8)).await;
        log.truncate_after(Some(log_id(2, 7))).await.unwrap();
    }
    let mut log = store(dir.path());
    assert_eq!(log.bounds(), (None, Some(log_id(2, 7))));
    let read = log.try_get_log_entries(..).await.unwrap();
    assert_eq!(read, [entries(1, 0..5), entries(2, 5..8)].concat());
}

#[tokio::test]
async fn purging_past_the_end_leaves_an_empty_log_that_goes_on_there() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut log = store(dir.path());
        append(&mut log, entries(1, 0..5)).await;
        log.purge(log_id(4, 100)).await.unwrap();
        assert!(log.try_get_log_entries(..).await.unwrap().is_empty());
        append(&mut log, entries(4, 101..103)).await;
    }
    let mut log = store(dir.path());
    assert_eq!(log.bounds(), (Some(log_id(4, 100)), Some(log_id(4, 102))));
    assert_eq!(log.try_get_log_entries(0..).await.unwrap(), entries(4, 101..103));
}

/// I12: a log with a hole behind its purged part is of no use to anyone, and nobody may wait for the next start to hear it.
#[tokio::test]
async fn a_purge_that_takes_too_much_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    for greedy in [false, true] {
        let engine = Wrapped::new(engine(&dir.path().join(greedy.to_string())));
        let (fired, mut reason) = tokio::sync::mpsc::unbounded_channel();
        let fatal = FatalSwitch::new(move |reason| fired.send(reason.to_owned()).unwrap());
        let shared = Arc::clone(&engine) as _;
        let tasks = &Seams::system().tasks;
        let mut log = LogStore::open(shared, IDENTITY, Arc::new(StateOnDisk), fatal, tasks, None).expect("a log");
        append(&mut log, entries(1, 0..10)).await;
        engine.greedy.store(greedy, Ordering::SeqCst);
        log.purge(log_id(1, 4)).await.unwrap();
        // the store is still open: without a word this waits to its end
        let heard = tokio::time::timeout(Duration::from_secs(2), reason.recv()).await.ok().flatten();
        let expected = greedy.then(|| "the raft log has a hole behind its purged part: 5..6".to_owned());
        assert_eq!(heard, expected);
    }
}

#[tokio::test]
async fn a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = store(dir.path());
    append(&mut log, entries(1, 0..3)).await;
    let (callback, _done) = callback();
    assert!(log.append([entry(1, 4)], callback).await.is_err());
}

#[tokio::test]
async fn reads_are_capped_by_bytes_and_streams_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let big = |index| Entry {
        log_id: log_id(1, index),
        payload: EntryPayload::Normal(EntryBytes(vec![index as u8; 1 << 20].into())),
    };
    {
        let mut log = store(dir.path());
        append(&mut log, (0..40).map(big).collect()).await;
        // Newer entries are cached, older ones were dropped from the cache.
        let read = log.limited_get_log_entries(0, 40).await.unwrap();
        assert!((1..=2).contains(&read.len()), "{} entries of 1 MiB", read.len());
        let read = log.limited_get_log_entries(39, 40).await.unwrap();
        assert_eq!(read.len(), 1);
    }
    let mut log = store(dir.path());
    let streamed: Vec<Entry> = log.entries_stream(0..40).await.try_collect().await.unwrap();
    assert_eq!(streamed, (0..40).map(big).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_io_error_poisons_the_log_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Wrapped::new(engine(dir.path()));
    let fatal = FatalSwitch::new(|_| {});
    let mut log = LogStore::open(
        Arc::clone(&engine) as _,
        IDENTITY,
        Arc::new(StateOnDisk),
        fatal.clone(),
        &Seams::system().tasks,
        None,
    )
    .expect("a log");
    append(&mut log, entries(1, 0..3)).await;
    engine.failing.store(true, Ordering::SeqCst);
    let (failing, failed) = callback();
    log.append([entry(1, 3)], failing).await.unwrap();
    assert!(failed.await.is_err(), "the error reaches who waits");
    assert!(fatal.fired());
    // The disk works again, the log does not: what reached it is not known.
    engine.failing.store(false, Ordering::SeqCst);
    let batches = engine.batches.load(Ordering::SeqCst);
    let (late, _done) = callback();
    assert!(log.append([entry(1, 4)], late).await.is_err());
    assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
    assert!(log.truncate_after(Some(log_id(1, 0))).await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(engine.batches.load(Ordering::SeqCst), batches, "a failed write is never tried again");
    assert_eq!(*log.watch_flushed().borrow(), Some(2));
}

#[tokio::test]
async fn a_log_of_another_node_or_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(store(dir.path()));
    let open = |identity| {
        LogStore::open(engine(dir.path()), identity, Arc::new(StateOnDisk), no_fatal(), &Seams::system().tasks, None)
            .err()
    };
    let other_node = open(Identity { node: 2, ..IDENTITY });
    assert!(matches!(other_node, Some(LogOpenError::OtherNode { expected: 2, found: 1 })));
    let other_cluster = open(Identity { cluster: [8; 16], ..IDENTITY });
    assert!(matches!(other_cluster, Some(LogOpenError::OtherCluster { .. })));
}

#[tokio::test]
async fn a_damaged_vote_is_told() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut log = store(dir.path());
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
    }
    {
        let engine = engine(dir.path());
        let mut batch = Batch::default();
        let mut bytes = engine.get("meta", b"vote").unwrap().unwrap().to_vec();
        bytes[6] ^= 1;
        batch.put("meta", &b"vote"[..], bytes);
        engine.write(&batch, Durability::Sync).unwrap();
    }
    let error =
        LogStore::open(engine(dir.path()), IDENTITY, Arc::new(StateOnDisk), no_fatal(), &Seams::system().tasks, None)
            .err();
    assert!(matches!(error, Some(LogOpenError::Metadata { key: "vote", .. })), "{error:?}");
}

/// A log whose end is cut off opens as if it had never been longer: but for the mark.
#[tokio::test]
async fn a_log_that_ends_below_where_it_was_on_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tide = || Some(Tide::open(&dir.path().join("TIDE")).unwrap());
    let open = |tide| {
        LogStore::open(
            engine(&dir.path().join("log")),
            IDENTITY,
            Arc::new(StateOnDisk),
            no_fatal(),
            &Seams::system().tasks,
            tide,
        )
    };
    let mut log = open(tide()).unwrap();
    append(&mut log, entries(1, 0..5)).await;
    while tide().unwrap().mark() != Some(4) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // raft cuts a log back itself: that is no damage
    log.truncate_after(Some(log_id(1, 2))).await.unwrap();
    drop(log);
    let mut log = open(tide()).unwrap();
    append(&mut log, entries(2, 3..9)).await;
    while tide().unwrap().mark() != Some(8) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // the same without the mark's knowledge
    drop(log);
    let mut log = open(None).unwrap();
    log.truncate_after(Some(log_id(2, 6))).await.unwrap();
    drop(log);
    assert!(matches!(open(tide()).err(), Some(LogOpenError::Cut { expected: 8, found: 6 })));
}
