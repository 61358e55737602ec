//! Attachments that no record names: the leader names them, and the state decides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_ledger::bounds::DROPPED_OBJECTS_MAX;
use kho_ledger::{ReadError, View};
use kho_proto::id::{NodeId, UnixMs};
use kho_proto::object::chunk_count;
use kho_proto::pb::ledger::v1::{Command, DropObjects, command::Kind};
use tokio::sync::watch;

use crate::config::AttachmentsConfig;
use crate::consensus::StateStore;
use crate::seams::{Clock, Tasks};
use crate::write::metric_definitions::OBJECTS_DROPPED;
use crate::write::{Answer, DEADLINE_MAX, Deadline, Queue};

/// Between looks, at most: a day's orphans may stay some minutes longer.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(10 * 60);
/// Chunks that one command drops, at most: those of the largest object.
const CHUNKS_MAX: u64 = kho_ledger::bounds::OBJECT_LENGTH_MAX / kho_proto::object::CHUNK_LENGTH as u64;

/// Looks for orphans wherever this node leads.
pub struct Orphans {
    pub(crate) node: NodeId,
    pub(crate) after: Duration,
    pub(crate) state: StateStore,
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) queue: Queue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Arc<dyn Tasks>,
}

impl Orphans {
    /// How long an attachment may wait for its record.
    pub(crate) fn after(config: &AttachmentsConfig) -> Duration {
        Duration::from_secs(config.orphan_after_s)
    }

    /// Looks again and again, for ever.
    pub async fn run(self) {
        let interval = (self.after / 4).clamp(Duration::from_millis(250), LOOK_INTERVAL_MAX);
        loop {
            tokio::time::sleep(interval).await;
            if *self.leader.borrow() == Some(self.node) {
                self.look().await;
            }
        }
    }

    async fn look(&self) {
        let idle_since = UnixMs(self.clock.now().0.saturating_sub(self.after.as_millis() as u64));
        let view = self.state.view();
        let found = match self.tasks.blocking(move || orphans(&view, idle_since)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::error!(%error, "attachments without a record"),
            Err(error) => return tracing::debug!(%error, "attachments without a record were not looked for"),
        };
        for object_ids in found {
            let count = object_ids.len() as u64;
            let drop = DropObjects { object_ids, idle_since_ms: idle_since.0, incomplete_only: false };
            let command = Command { kind: Some(Kind::DropObjects(drop)) };
            match self.queue.propose(command, Deadline::after(Some(DEADLINE_MAX))).await {
                Ok(Answer::Done | Answer::Accepted { .. }) => {
                    metrics::counter!(OBJECTS_DROPPED).increment(count);
                    tracing::info!(count, "attachments that no record named were dropped, but for those touched since");
                }
                Ok(Answer::Refused(refusal)) => {
                    return tracing::error!(%refusal, "attachments without a record can't be dropped");
                }
                // the next look finds them again
                Err(error) => return tracing::debug!(%error, "attachments without a record stay for now"),
            }
        }
    }
}

/// Objects that no record names and that were not touched since, as many as a command takes.
fn orphans(view: &dyn View, idle_since: UnixMs) -> Result<Vec<Vec<Bytes>>, ReadError> {
    let (mut found, mut some, mut chunks, mut after) = (Vec::new(), Vec::new(), 0, None);
    while let Some((id, row)) = kho_ledger::object_after(view, after.as_ref())? {
        after = Some(id);
        let touched = kho_ledger::object_touched(view, &id)?;
        if touched.is_some_and(|touched| touched > idle_since) || kho_ledger::is_named(view, &id)? {
            continue;
        }
        let more = chunk_count(row.length);
        if some.len() == DROPPED_OBJECTS_MAX || (chunks + more > CHUNKS_MAX && !some.is_empty()) {
            found.push(std::mem::take(&mut some));
            chunks = 0;
        }
        chunks += more;
        some.push(Bytes::copy_from_slice(id.as_ref()));
    }
    if !some.is_empty() {
        found.push(some);
    }
    Ok(found)
}
