//! openraft's view of the state: apply, snapshots.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::state::{Position, StateCore, StateError};
use super::types::{LogId, Reply, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use super::wire;
use crate::kill_points::KillPoint;
use crate::mutants::Mutant;
use crate::snapshot::SnapshotFiles;
use crate::storage::fatal::FatalSwitch;

/// Bytes of entries applied in one go, at most (one entry at least).
const APPLY_BYTES_MAX: usize = 4 << 20;
/// Below this many bytes a hop to another thread costs more than it saves.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// The state machine.
pub(crate) struct StateMachine {
    core: Arc<StateCore>,
    flushed: watch::Receiver<Option<u64>>,
    fatal: FatalSwitch,
    gaps_allowed: bool,
}

impl StateMachine {
    /// `flushed` says how far the local log is on disk.
    pub(crate) fn new(core: Arc<StateCore>, flushed: watch::Receiver<Option<u64>>, fatal: FatalSwitch) -> Self {
        Self { core, flushed, fatal, gaps_allowed: false }
    }

    /// openraft's storage suite leaves out entries; raft never does.
    #[cfg(test)]
    pub(super) fn allowing_gaps(mut self) -> Self {
        self.gaps_allowed = true;
        self
    }

    /// A state above the log on disk could never start again after a power cut.
    async fn wait_flushed(&mut self, index: u64) -> io::Result<()> {
        let reached = self.flushed.wait_for(|flushed| *flushed >= Some(index)).await;
        reached.map(drop).map_err(|_| io::Error::other("the raft log was closed"))
    }

    async fn apply_all(&mut self, entries: Vec<EntryResponder<TypeConfig>>, bytes: usize) -> io::Result<()> {
        let Some(last) = entries.last().map(|(entry, _)| entry.log_id.index()) else {
            return Ok(());
        };
        self.wait_flushed(last).await?;
        if let Some((first, _)) = entries.first()
            && !self.gaps_allowed
        {
            self.core.check_next(first).map_err(|error| self.failed(error))?;
        }
        let applied = if bytes <= INLINE_BYTES_MAX {
            apply_in_order(&self.core, entries)
        } else {
            self.core.blocking(move |core| apply_in_order(core, entries)).await
        };
        applied.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: StateError) -> io::Error {
        self.fatal.fire(&error.to_string());
        error.into()
    }
}

fn apply_in_order(core: &StateCore, entries: Vec<EntryResponder<TypeConfig>>) -> Result<(), StateError> {
    for (entry, responder) in entries {
        let effects = core.apply(&entry)?;
        if let Some(responder) = responder {
            KillPoint::Applied.reached();
            responder.send(Reply(effects));
        }
    }
    Ok(())
}

fn meta_of(position: &Position) -> SnapshotMeta {
    SnapshotMeta { last_log_id: position.last, last_membership: position.membership.clone() }
}

/// Builds a snapshot; the checkpoint itself is taken when the builder is made, between two entries.
pub(crate) struct SnapshotBuilder {
    made: Option<io::Result<Snapshot>>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.made.take().unwrap_or_else(|| Err(io::Error::other("this builder has built its snapshot")))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let position = self.core.position();
        Ok((position.last, position.membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut waiting = Vec::new();
        let mut bytes = 0;
        while let Some((entry, responder)) = entries.try_next().await? {
            bytes += wire::entry_bytes(&entry);
            waiting.push((entry, responder));
            if bytes >= APPLY_BYTES_MAX {
                self.apply_all(std::mem::take(&mut waiting), bytes).await?;
                bytes = 0;
            }
        }
        self.apply_all(waiting, bytes).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        // Here and not in the builder's own task: openraft must not hear of a snapshot that is ahead of what
        // it knows to be applied.
        let made = self.core.blocking(|core| {
            let kept = core.snapshot()?;
            let position = core.position_of(&kept.files)?;
            Ok(Snapshot { meta: meta_of(&position), snapshot: kept.files })
        });
        SnapshotBuilder { made: Some(made.await.map_err(|error| self.failed(error))) }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFiles) -> io::Result<()> {
        KillPoint::SnapshotReceived.reached();
        let expected = meta.last_log_id;
        let installed = self.core.blocking(move |core| core.install(&snapshot, expected));
        installed.await.map_err(|error| self.failed(error))
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Some(kept) = self.core.snapshots().newest() else {
            return Ok(None);
        };
        if Mutant::SnapshotMislabelled.planted() {
            return Ok(Some(Snapshot { meta: meta_of(&self.core.position()), snapshot: kept.files }));
        }
        let files = kept.files.clone();
        let position = self.core.blocking(move |core| core.position_of(&files));
        let position = position.await.map_err(|error| self.failed(error))?;
        Ok(Some(Snapshot { meta: meta_of(&position), snapshot: kept.files }))
    }
}
