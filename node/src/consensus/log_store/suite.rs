//! openraft's storage suite, on real RocksDB and on the simulation's engine.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::watch;

use super::tests::{IDENTITY, StateOnDisk, no_fatal, rocks};
use super::{LogStore, TABLES};
use crate::consensus::state::StateCore;
use crate::consensus::state_machine::StateMachine;
use crate::consensus::types::TypeConfig;
use crate::seams::Seams;
use crate::snapshot::layout::Layout;
use crate::storage::sim::{SimDisk, SimStorage};
use crate::storage::{Profile, Storage};

struct Builder(fn() -> Arc<dyn Storage>);

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a directory for a test");
        let storage = self.0();
        let layout = Layout::create(dir.path(), 1).expect("an empty directory");
        let engine = storage.open(&layout.raft(), Profile::Log, TABLES).expect("a new log");
        let log = LogStore::open(engine, IDENTITY, Arc::new(StateOnDisk), no_fatal(), &Seams::system().tasks, None)
            .expect("a new log");
        let state = StateCore::open(storage, layout, &Seams::system(), Arc::new(|_| {})).expect("a new state");
        // The suite applies entries that it never appends, so here nothing waits for the log's sync.
        let flushed = watch::Sender::new(Some(u64::MAX));
        let machine = StateMachine::new(Arc::new(state), flushed.subscribe(), no_fatal());
        Ok((dir, log, machine.allowing_gaps()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Builder(|| Arc::new(rocks()))).await.expect("the suite");
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes_on_the_engine_of_the_simulation() {
    Suite::test_all(Builder(|| Arc::new(SimStorage(SimDisk::new(1))))).await.expect("the suite");
}
