//! Snapshots of the state: made as checkpoints that share files with the live state, moved between nodes
//! file by file, verified, and put in place beside the live state.
//!
//! On disk, under `data/logs/<log id>/`:
//! ```text
//! raft/                     the raft log
//! state-N/                  the state; N counts installed snapshots
//! CURRENT                   which state-N is live; replaced atomically
//! snapshots/I-P-T/db/       checkpoint at log index I, made at T (Unix ms); the one before it was at P
//! snapshots/I-P-T/manifest  its files with SHA-256, once it was offered
//! incoming/ID/              files on their way in; ID names the manifest
//! ```
//! What a checkpoint holds (applied position, membership) is read from the checkpoint, never remembered.
//! A crash at any point leaves the old state or the new one; [`layout::Layout::sweep`] removes the rest.

pub mod files;
pub mod incoming;
pub mod layout;
pub mod manifest;
pub mod store;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory with the files of a snapshot. It goes when it is obsolete and the last holder lets go.
#[derive(Debug)]
pub struct SnapshotDir {
    home: PathBuf,
    files: PathBuf,
    obsolete: AtomicBool,
}

/// A held snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotFiles(Arc<SnapshotDir>);

impl SnapshotFiles {
    /// The snapshot whose files stand in `files`; `home` is what goes when it is obsolete.
    pub fn new(home: impl Into<PathBuf>, files: impl Into<PathBuf>) -> Self {
        Self(Arc::new(SnapshotDir { home: home.into(), files: files.into(), obsolete: AtomicBool::new(false) }))
    }

    /// Directory of the files.
    pub fn path(&self) -> &Path {
        &self.0.files
    }

    /// File that keeps the manifest.
    pub fn manifest_path(&self) -> PathBuf {
        self.0.home.join("manifest")
    }

    /// Removes the directory once nobody holds it any more.
    pub fn retire(&self) {
        self.0.obsolete.store(true, Ordering::SeqCst);
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::SeqCst)
            && let Err(error) = std::fs::remove_dir_all(&self.home)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.home.display(), "an obsolete snapshot was not removed");
        }
    }
}
