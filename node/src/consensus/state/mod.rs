//! The replicated state on disk, and what readers see of it.
//!
//! One writer, apply; many readers. Each applied entry is one write batch (rows of the ledger, applied
//! position) and then one publication: a snapshot of the rows with the tip that belongs to them. The
//! write-ahead log is off, so what is on disk may lag; the raft log brings it back.

mod core;
mod position;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use kho_ledger::Tip;
use kho_proto::id::LogIndex;
use tokio::sync::watch;

pub(crate) use self::core::{Persist, StateCore, StateError, place, verify};
pub(crate) use self::position::{Position, tables};
pub use self::view::StateView;

/// Readers' handle to the state. Cheap to clone.
#[derive(Clone)]
pub struct StateStore {
    core: Arc<StateCore>,
}

impl StateStore {
    pub(crate) fn new(core: Arc<StateCore>) -> Self {
        Self { core }
    }

    /// Rows and tip of one moment: after some entry, before the next.
    pub fn read(&self) -> (StateView, Arc<Tip>) {
        let published = self.core.published();
        (published.view.clone(), Arc::clone(&published.tip))
    }

    /// The same, and the index of the entry.
    pub fn read_at(&self) -> (StateView, Arc<Tip>, LogIndex) {
        let published = self.core.published();
        (published.view.clone(), Arc::clone(&published.tip), published.applied())
    }

    /// Says whenever an entry was applied.
    pub fn watch_applied(&self) -> watch::Receiver<Option<u64>> {
        self.core.watch_applied()
    }

    /// Rows as of the last applied entry.
    pub fn view(&self) -> StateView {
        self.core.published().view.clone()
    }

    /// Tip after the last applied entry.
    pub fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.core.published().tip)
    }
}
