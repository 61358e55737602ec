//! The live state: apply, publish, persist, snapshot, install.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kho_ledger::{Change, Effects, Tip};
use kho_proto::id::LogIndex;
use openraft::EntryPayload;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::position::{self, Position, put_base, put_last, put_membership, tables};
use super::view::{Rows, StateView};
use crate::consensus::codec::CodecError;
use crate::consensus::log_store::PersistState;
use crate::consensus::types::{Entry, EntryBytes, LogId, StoredMembership};
use crate::kill_points::KillPoint;
use crate::mutants::Mutant;
use crate::seams::{Clock, Seams, Tasks};
use crate::snapshot::SnapshotFiles;
use crate::snapshot::files::{self, FileError};
use crate::snapshot::layout::{Layout, LayoutError};
use crate::snapshot::store::{Kept, SnapshotError, SnapshotStore};
use crate::storage::guard::{self, Guard, OnDamage};
use crate::storage::{Batch, Durability, KvEngine, KvError, KvErrorKind, KvRead, Profile, Storage};

/// Why the state cannot go on. All of them stop the node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Store(#[from] KvError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("applied {name}: {source}")]
    Position { name: &'static str, source: CodecError },
    #[error(transparent)]
    Read(#[from] kho_ledger::view::ReadError),
    #[error("expected log entry {expected} to apply, found {found}")]
    Gap { expected: u64, found: u64 },
    #[error("log entry {index} does not apply: {source}")]
    Apply { index: u64, source: kho_ledger::apply::Error },
    #[error("expected a snapshot at {expected:?}, found one at {found:?}")]
    SnapshotPosition { expected: Option<LogId>, found: Option<LogId> },
    #[error(transparent)]
    Cut(io::Error),
    #[error("expected the state on disk up to index {expected}, found {found:?}")]
    Behind { expected: u64, found: Option<u64> },
}

impl StateError {
    /// Whether stored bytes are damaged: not a disk that fails, and no bug.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            // a database of other tables than ours was never written: its description is damaged
            StateError::Store(error) => matches!(error.kind, KvErrorKind::Corruption | KvErrorKind::Misuse),
            StateError::Layout(error) => {
                matches!(error, LayoutError::Current { .. } | LayoutError::StateMissing { .. })
            }
            StateError::Position { .. } | StateError::Read(_) => true,
            _ => false,
        }
    }
}

impl From<StateError> for io::Error {
    fn from(error: StateError) -> Self {
        io::Error::other(error)
    }
}

/// What readers see, after an entry.
pub(super) struct Published {
    pub(super) view: StateView,
    pub(super) tip: Arc<Tip>,
    position: Position,
}

impl Published {
    pub(super) fn applied(&self) -> LogIndex {
        LogIndex(self.position.last.map_or(0, |last| last.index()))
    }
}

struct Live {
    engine: Arc<dyn KvEngine>,
    number: u64,
}

/// The state and its files.
pub(crate) struct StateCore {
    storage: Arc<dyn Storage>,
    layout: Layout,
    clock: Arc<dyn Clock>,
    tasks: Arc<dyn Tasks>,
    live: RwLock<Live>,
    published: ArcSwap<Published>,
    applied: watch::Sender<Option<u64>>,
    persisted: Mutex<Option<u64>>,
    snapshots: SnapshotStore,
    damaged: OnDamage,
}

impl StateCore {
    /// Opens the live state, or makes the first. `damaged` hears of damage that is met later; what is met here is an
    /// error for which [`StateError::is_damage`] holds.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        layout: Layout,
        seams: &Seams,
        damaged: OnDamage,
    ) -> Result<Self, StateError> {
        let current = layout.current()?;
        let number = current.unwrap_or(1);
        layout.sweep(number)?;
        let engine = storage.open(&layout.state(number), Profile::State, &tables())?;
        if current.is_none() {
            layout.set_current(number)?;
        }
        load_checked(&engine)?;
        let engine: Arc<dyn KvEngine> = Arc::new(Guard::new(engine, Arc::clone(&damaged)));
        let published = load(&*engine)?;
        let index = published.position.last.map(|last| last.index());
        let snapshots = SnapshotStore::open(layout.clone())?;
        let unreadable = snapshots.newest().map(|kept| position::read_position(&*storage, kept.files.path()));
        let damaged_snapshot = matches!(&unreadable, Some(Err(error)) if error.is_damage());
        if let Some(Err(error)) = unreadable.filter(|_| damaged_snapshot) {
            tracing::warn!(%error, "the newest snapshot is damaged, and made anew");
            snapshots.forget();
        }
        let core = Self {
            damaged,
            storage,
            clock: Arc::clone(&seams.clock),
            tasks: Arc::clone(&seams.tasks),
            live: RwLock::new(Live { engine, number }),
            published: ArcSwap::from_pointee(published),
            applied: watch::Sender::new(index),
            persisted: Mutex::new(index),
            snapshots,
            layout,
        };
        if damaged_snapshot {
            core.snapshot()?;
        }
        Ok(core)
    }

    /// Runs `work` on this state away from the tasks: it may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let core = Arc::clone(self);
        self.tasks.blocking(move || work(&core)).await.map_err(StateError::Cut)?
    }

    pub(super) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Where the state stands.
    pub(crate) fn position(&self) -> Position {
        self.published.load().position.clone()
    }

    /// Index of the last applied entry, as it moves.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<Option<u64>> {
        self.applied.subscribe()
    }

    /// Index of the last applied entry.
    pub(crate) fn applied(&self) -> Option<u64> {
        *self.applied.borrow()
    }

    /// Snapshots made here.
    pub(crate) fn snapshots(&self) -> &SnapshotStore {
        &self.snapshots
    }

    /// Refuses an entry that is not the next one: a hole here would be a hole for ever.
    pub(crate) fn check_next(&self, entry: &Entry) -> Result<(), StateError> {
        match self.published.load().position.last {
            Some(last) if entry.log_id.index() != last.index() + 1 => {
                Err(StateError::Gap { expected: last.index() + 1, found: entry.log_id.index() })
            }
            _ => Ok(()),
        }
    }

    /// Applies one entry: one write batch, then published. Called by one thread at a time, in log order.
    pub(crate) fn apply(&self, entry: &Entry) -> Result<Option<Effects>, StateError> {
        let engine = Arc::clone(&self.live.read().engine);
        let before = self.published.load();
        let mut position = before.position.clone();
        let mut tip = Arc::clone(&before.tip);
        let mut batch = Batch::default();
        let mut effects = None;
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(EntryBytes(bytes)) => {
                #[cfg(feature = "mutants")]
                let bytes = &mutant::restamped(bytes, &*self.clock);
                let applied = kho_ledger::apply(&Rows(&*engine as &dyn KvRead), &tip, bytes)
                    .map_err(|source| StateError::Apply { index: entry.log_id.index(), source })?;
                for change in applied.changes {
                    match change {
                        Change::Put { table, key, value } => batch.put(table.name(), key, value),
                        Change::Delete { table, key } => batch.delete(table.name(), key),
                    }
                }
                tip = Arc::new(applied.tip);
                effects = Some(applied.effects);
            }
            EntryPayload::Membership(membership) => {
                position.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                put_membership(&mut batch, &position.membership);
            }
        }
        position.last = Some(entry.log_id);
        put_last(&mut batch, &entry.log_id);
        engine.write(&batch, Durability::Buffered)?;
        let view = StateView::new(engine.snapshot()?);
        self.published.store(Arc::new(Published { view, tip, position }));
        self.applied.send_replace(Some(entry.log_id.index()));
        Ok(effects)
    }

    /// Puts everything applied so far on disk.
    pub(crate) fn flush(&self) -> Result<(), StateError> {
        // Under the lock, so that an install cannot swap the state between the two.
        let live = self.live.read();
        let applied = self.published.load().position.last.map(|last| last.index());
        live.engine.flush()?;
        let mut persisted = self.persisted.lock();
        *persisted = (*persisted).max(applied);
        Ok(())
    }

    /// Makes a snapshot of the state as it is now.
    pub(crate) fn snapshot(&self) -> Result<Kept, StateError> {
        let live = self.live.read();
        self.snapshot_of(&*live.engine)
    }

    fn snapshot_of(&self, engine: &dyn KvEngine) -> Result<Kept, StateError> {
        let kept = self.snapshots.make(engine, self.clock.now(), |checkpoint| {
            let position = position::read_position(&*self.storage, checkpoint).map_err(|error| match error {
                StateError::Store(error) => error,
                other => unreadable(&other),
            })?;
            Ok(position.last.map_or(0, |last| last.index()))
        })?;
        let mut persisted = self.persisted.lock();
        *persisted = (*persisted).max(Some(kept.index));
        Ok(kept)
    }

    /// Reads all of the live state, at the pace of `go_on`.
    pub(crate) fn scrub(&self, go_on: impl FnMut(usize) -> bool) -> Result<(), KvError> {
        let engine = Arc::clone(&self.live.read().engine);
        guard::verify(&*engine, &tables(), go_on)
    }

    /// Reads all of a snapshot that came from elsewhere.
    pub(crate) fn verify(&self, snapshot: &SnapshotFiles) -> Result<(), StateError> {
        verify(&*self.storage, snapshot.path())
    }

    /// The position that a snapshot holds.
    pub(crate) fn position_of(&self, snapshot: &SnapshotFiles) -> Result<Position, StateError> {
        position::read_position(&*self.storage, snapshot.path())
    }

    /// Replaces the state by a snapshot that must stand at `expected`. A crash leaves the old or the new one.
    pub(crate) fn install(&self, snapshot: &SnapshotFiles, expected: Option<LogId>) -> Result<(), StateError> {
        let number = self.live.read().number + 1;
        let engine = place(&*self.storage, &self.layout, number, snapshot, expected)?;
        let index = expected.map_or(0, |last| last.index());
        let engine: Arc<dyn KvEngine> = Arc::new(Guard::new(engine, Arc::clone(&self.damaged)));
        let published = load(&*engine)?;
        // Before it goes live: raft purges its log up to this state, and must find a snapshot of no less when it starts.
        self.snapshot_of(&*engine)?;
        self.layout.set_current(number)?;
        KillPoint::SnapshotInstalled.reached();
        let old = std::mem::replace(&mut *self.live.write(), Live { engine, number });
        *self.persisted.lock() = Some(index);
        self.published.store(Arc::new(published));
        self.applied.send_replace(Some(index));
        // Readers may hold views of the old database; its files live until they let go.
        drop(old.engine);
        files::remove_directory(&self.layout.state(old.number))?;
        Ok(())
    }
}

/// Puts a snapshot that must stand at `expected` beside the live state, as number `number`, durably.
pub(crate) fn place(
    storage: &dyn Storage,
    layout: &Layout,
    number: u64,
    snapshot: &SnapshotFiles,
    expected: Option<LogId>,
) -> Result<Arc<dyn KvEngine>, StateError> {
    let home = layout.state(number);
    files::remove_directory(&home)?;
    files::link_tree(snapshot.path(), &home)?;
    let engine = storage.open(&home, Profile::State, &tables())?;
    let found = Position::load(&*engine)?.last;
    if found != expected && !Mutant::SnapshotMislabelled.planted() {
        drop(engine);
        files::remove_directory(&home)?;
        return Err(StateError::SnapshotPosition { expected, found });
    }
    let mut batch = Batch::default();
    put_base(&mut batch, found.map_or(0, |last| last.index()));
    #[cfg(feature = "mutants")]
    mutant::installed(&mut batch, expected);
    engine.write(&batch, Durability::Sync)?;
    // The linked files were synced before, and those that the database has made since it syncs itself. They are not
    // listed here: it removes obsolete ones meanwhile.
    files::sync_directory(&home)?;
    Ok(engine)
}

/// Reads all of a checkpoint: a damaged block is an error.
pub(crate) fn verify(storage: &dyn Storage, checkpoint: &Path) -> Result<(), StateError> {
    let rows = storage.open_read_only(checkpoint, Profile::State, &tables())?;
    Ok(guard::verify(&*rows, &tables(), |_| true)?)
}

/// What is read at every start; damage is told from a disk that fails.
fn load_checked(engine: &Arc<dyn KvEngine>) -> Result<(), StateError> {
    let met = Arc::new(Mutex::new(None));
    let meet = Arc::clone(&met);
    let guarded = Guard::new(Arc::clone(engine), Arc::new(move |error: &KvError| *meet.lock() = Some(error.clone())));
    let loaded = load(&guarded);
    let met = met.lock().take();
    // the ledger's errors keep only the words of the database's
    met.map_or(loaded.map(drop), |error| Err(error.into()))
}

#[cfg(feature = "mutants")]
mod mutant;

fn unreadable(error: &StateError) -> KvError {
    let kind = KvErrorKind::Corruption;
    KvError { operation: "read position of checkpoint", kind, detail: error.to_string() }
}

fn load(engine: &dyn KvEngine) -> Result<Published, StateError> {
    let view = StateView::new(engine.snapshot()?);
    let tip = Arc::new(Tip::load(&view)?);
    Ok(Published { view, tip, position: Position::load(engine as &dyn KvRead)? })
}

/// The log's question: is the state on disk up to there?
pub(crate) struct Persist(pub(crate) Arc<StateCore>);

#[async_trait::async_trait]
impl PersistState for Persist {
    async fn persist_up_to(&self, index: u64) -> io::Result<()> {
        if *self.0.persisted.lock() >= Some(index) {
            return Ok(());
        }
        let flushed = self.0.blocking(move |core| {
            core.flush()?;
            let found = *core.persisted.lock();
            if found >= Some(index) { Ok(()) } else { Err(StateError::Behind { expected: index, found }) }
        });
        Ok(flushed.await?)
    }
}
