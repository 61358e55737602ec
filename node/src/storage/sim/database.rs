//! One database: what is written, what of it is on disk, and what a crash leaves.

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::SmallRng;

use super::rows::Tables;
use crate::storage::{Batch, Durability, Profile};

pub(super) struct Database {
    profile: Profile,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Tables,
    durable: Tables,
    /// Batches between the two, in order.
    unsynced: Vec<Batch>,
    open: bool,
    /// Crashes so far: a handle from before is dead.
    crashes: u64,
}

/// How a write that failed left the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    Failed,
}

/// One opening of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened(u64);

impl Database {
    pub(super) fn new(profile: Profile, tables: Tables) -> Self {
        let state = State { now: tables.clone(), durable: tables, ..State::default() };
        Self { profile, state: Mutex::new(state) }
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// None: somebody has it open. What a write-ahead log brings back is put into tables, and so on disk, before it opens.
    pub(super) fn open(&self) -> Option<Opened> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.open, true) {
            return None;
        }
        if self.profile == Profile::Log {
            state.sync();
        }
        Some(Opened(state.crashes))
    }

    pub(super) fn close(&self, opened: Opened) {
        let mut state = self.state.lock();
        if state.crashes == opened.0 {
            state.open = false;
        }
    }

    /// Rows as readers see them; none: the handle is dead.
    pub(super) fn rows(&self, opened: Opened) -> Option<Tables> {
        let state = self.state.lock();
        (state.crashes == opened.0).then(|| state.now.clone())
    }

    /// Writes; on [`Outcome::Failed`] the batch may be on disk or not. None: the handle is dead.
    pub(super) fn write(
        &self,
        opened: Opened,
        batch: &Batch,
        durability: Durability,
        outcome: Outcome,
        flush: bool,
    ) -> Option<()> {
        let mut state = self.state.lock();
        if state.crashes != opened.0 {
            return None;
        }
        state.unsynced.push(batch.clone());
        if outcome == Outcome::Failed {
            return Some(());
        }
        state.now.apply(batch);
        if durability == Durability::Sync || (flush && self.profile == Profile::State) {
            state.sync();
        }
        Some(())
    }

    /// Everything written is on disk. None: the handle is dead.
    pub(super) fn flush(&self, opened: Opened) -> Option<()> {
        let mut state = self.state.lock();
        (state.crashes == opened.0).then(|| state.sync())
    }

    /// Power: the synced rows stay, and of what follows a beginning, drawn by chance (a torn record ends it). A killed
    /// process: what went through the write-ahead log stays, for the kernel has it until the power goes as well; what
    /// waited in the process's memory is gone.
    pub(super) fn crash(&self, power: bool, chance: &mut SmallRng) {
        let mut state = self.state.lock();
        state.open = false;
        state.crashes += 1;
        let written = state.unsynced.len();
        let kept = match (self.profile, power) {
            (Profile::Log, false) => {
                let State { now, durable, unsynced, .. } = &mut *state;
                *now = durable.clone();
                unsynced.iter().for_each(|batch| now.apply(batch));
                return;
            }
            // no log: only a flush that was under way can have saved any of it
            (Profile::State, _) if chance.random_bool(0.7) => 0,
            _ => chance.random_range(0..=written),
        };
        let unsynced = std::mem::take(&mut state.unsynced);
        for batch in &unsynced[..kept] {
            state.durable.apply(batch);
        }
        state.now = state.durable.clone();
    }
}

impl State {
    fn sync(&mut self) {
        self.durable = self.now.clone();
        self.unsynced.clear();
    }
}
