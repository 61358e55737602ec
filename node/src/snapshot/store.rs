//! Snapshots made here: one is kept, the newest.

use std::path::Path;

use kho_proto::id::UnixMs;
use parking_lot::Mutex;

use super::SnapshotFiles;
use super::files::{self, Context, FileError};
use super::layout::{self, Layout};
use crate::storage::{KvEngine, KvError};

/// Why a snapshot was not made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] KvError),
}

impl From<SnapshotError> for std::io::Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::File(error) => error.into(),
            SnapshotError::Store(error) => error.into(),
        }
    }
}

/// A snapshot that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its files.
    pub files: SnapshotFiles,
    /// Log index at which it was made.
    pub index: u64,
    /// Log index of the snapshot before it; 0 if there was none.
    pub previous: u64,
    /// When it was made.
    pub made_at: UnixMs,
}

/// The snapshots directory.
pub struct SnapshotStore {
    layout: Layout,
    newest: Mutex<Option<Kept>>,
}

impl SnapshotStore {
    /// Finds the newest snapshot; removes older ones.
    pub fn open(layout: Layout) -> Result<Self, FileError> {
        let mut found: Vec<Kept> =
            layout::directories(&layout.snapshots())?.into_iter().filter_map(|home| parse(&home)).collect();
        found.sort_by_key(|kept| (kept.index, kept.made_at));
        let newest = found.pop();
        for old in found {
            old.files.retire();
        }
        Ok(Self { layout, newest: Mutex::new(newest) })
    }

    /// The newest snapshot.
    pub fn newest(&self) -> Option<Kept> {
        self.newest.lock().clone()
    }

    /// Lets go of the newest snapshot: it is damaged.
    pub fn forget(&self) {
        if let Some(kept) = self.newest.lock().take() {
            kept.files.retire();
        }
    }

    /// Makes a checkpoint of `engine`; `index_of` reads from it where in the log it stands.
    pub fn make(
        &self,
        engine: &dyn KvEngine,
        now: UnixMs,
        index_of: impl FnOnce(&Path) -> Result<u64, KvError>,
    ) -> Result<Kept, SnapshotError> {
        let temporary = self.layout.snapshots().join("tmp");
        files::remove_directory(&temporary)?;
        files::create_directory(&temporary)?;
        let db = temporary.join("db");
        engine.checkpoint(&db)?;
        let index = index_of(&db)?;
        files::sync_tree(&db)?;
        files::sync_directory(&temporary)?;
        let mut newest = self.newest.lock();
        if let Some(kept) = newest.as_ref().filter(|kept| kept.index == index && index > 0) {
            // Nothing was applied since: the same state again.
            files::remove_directory(&temporary)?;
            return Ok(kept.clone());
        }
        let previous = newest.as_ref().map_or(0, |kept| kept.index);
        let home = (now.0..)
            .map(|at| self.layout.snapshots().join(format!("{index}-{previous}-{at}")))
            .find(|home| !home.exists())
            .unwrap_or_else(|| temporary.clone());
        std::fs::rename(&temporary, &home).context("rename to", &home)?;
        files::sync_directory(&self.layout.snapshots())?;
        let kept = Kept { files: SnapshotFiles::new(&home, home.join("db")), index, previous, made_at: now };
        if let Some(old) = newest.replace(kept.clone()) {
            old.files.retire();
        }
        Ok(kept)
    }
}

fn parse(home: &Path) -> Option<Kept> {
    let name = layout::name(home);
    let mut parts = name.split('-').map(str::parse::<u64>);
    let (index, previous, made_at) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let files = SnapshotFiles::new(home, home.join("db"));
    Some(Kept { files, index, previous, made_at: UnixMs(made_at) })
}
