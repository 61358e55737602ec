use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kho_ledger::Change;
use kho_ledger::conformance::check_view;
use openraft::EntryPayload;

use super::{StateCore, StateView, place, tables};
use crate::consensus::types::{Entry, log_id};
use crate::seams::Seams;
use crate::snapshot::layout::Layout;
use crate::storage::rocks::{RocksStorage, Tuning};
use crate::storage::sim::{Cut, Point, Side, SimDisk, SimStorage};
use crate::storage::{Batch, Durability, KvEngine, KvError, KvRead, Profile, Storage};

/// RocksDB in whose directory table files come and go, as they do while it compacts.
struct Compacting(RocksStorage, Arc<AtomicBool>);

impl Storage for Compacting {
    fn open(&self, path: &Path, profile: Profile, tables: &[&'static str]) -> Result<Arc<dyn KvEngine>, KvError> {
        let (file, going): (PathBuf, _) = (path.join("999999.sst"), Arc::clone(&self.1));
        std::thread::spawn(move || {
            while going.load(Ordering::Relaxed) {
                // the directory goes with the test
                let _ = std::fs::write(&file, b"a table").and_then(|()| std::fs::remove_file(&file));
            }
        });
        self.0.open(path, profile, tables)
    }

    fn open_read_only(
        &self,
        path: &Path,
        profile: Profile,
        tables: &[&'static str],
    ) -> Result<Arc<dyn KvRead>, KvError> {
        self.0.open_read_only(path, profile, tables)
    }
}

/// What the ledger reads is what it reads of its own state in memory, on RocksDB.
#[test]
fn the_state_is_a_view() {
    let dir = tempfile::tempdir().unwrap();
    let storage = RocksStorage::new(Tuning { block_cache_mib: 8, write_buffer_mib: 8, ..Tuning::default() });
    let engine = storage.open(&dir.path().join("state"), Profile::State, &tables()).unwrap();
    check_view(|changes| {
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Put { table, key, value } => batch.put(table.name(), key.clone(), value.clone()),
                Change::Delete { table, key } => batch.delete(table.name(), key.clone()),
            }
        }
        engine.write(&batch, Durability::Buffered).unwrap();
        StateView::new(engine.snapshot().unwrap())
    });
}

/// docs/postmortems/0010: a received snapshot was opened, and its files synced by name while the database removed some.
#[test]
fn a_snapshot_is_put_in_place_while_the_database_tidies_up() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path(), 1).unwrap();
    let storage = RocksStorage::new(Tuning { block_cache_mib: 8, write_buffer_mib: 8, ..Tuning::default() });
    let state = StateCore::open(Arc::new(storage.clone()), layout.clone(), &Seams::system(), Arc::new(|_| {})).unwrap();
    let snapshot = state.snapshot().unwrap();
    let going = Arc::new(AtomicBool::new(true));
    let compacting = Compacting(storage, Arc::clone(&going));
    for number in 2..30 {
        place(&compacting, &layout, number, &snapshot.files, None).unwrap();
    }
    going.store(false, Ordering::Relaxed);
}

/// docs/postmortems/0018: the pointer was moved to a state that had no snapshot beside it, and raft did not start again.
#[test]
fn a_state_from_elsewhere_goes_live_with_its_snapshot_or_not_at_all() {
    let core = |dir: &Path, disk: &Arc<SimDisk>| {
        let layout = Layout::create(dir, 1).unwrap();
        let storage = Arc::new(SimStorage(Arc::clone(disk)));
        StateCore::open(storage, layout, &Seams::system(), Arc::new(|_| {})).unwrap()
    };
    let at = |index| Entry { log_id: log_id(1, index), payload: EntryPayload::Blank };
    let [there, here] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let ahead = core(there.path(), &SimDisk::new(1));
    ahead.apply(&at(7)).unwrap();
    let snapshot = ahead.snapshot().unwrap().files;
    let disk = SimDisk::new(2);
    let state = core(here.path(), &disk);
    state.apply(&at(3)).unwrap();
    state.snapshot().unwrap();
    disk.arm(Some(Cut { point: Point::Checkpoint, nth: 1, side: Side::Before, power: true }));
    assert!(state.install(&snapshot, Some(log_id(1, 7))).is_err());
    drop(state);
    disk.crash(true);
    let state = core(here.path(), &disk);
    let indexes =
        |state: &StateCore| (state.position().last.unwrap().index(), state.snapshots().newest().unwrap().index);
    assert_eq!(indexes(&state), (3, 3));
    state.install(&snapshot, Some(log_id(1, 7))).unwrap();
    assert_eq!(indexes(&state), (7, 7));
}
