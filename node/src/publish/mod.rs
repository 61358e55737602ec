//! The public log, for anybody: the newest signed checkpoint, tiles of hashes and bundles of leaves (C2SP tlog-tiles).
//!
//! Read only, and of nothing but the tree: no name, no figure, no index row. What a leaf tells is in
//! `docs/adr/0018-the-public-log.md`.

mod answer;
mod checkpoint;
mod door;
mod held;
pub(crate) mod metric_definitions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_ledger::publish::{self, PUBLISHED_LENGTH_MAX};
use kho_proto::error::{Code, Refusal};
use kho_proto::tlog::Resource;
use tokio::sync::Semaphore;

pub(crate) use door::LogDoor;

use crate::consensus::StateStore;
use crate::seams::Tasks;
use crate::write::Receipts;
use answer::Lifetime;
use checkpoint::Newest;
use held::Held;

/// Reads of the state at once, at most: a bundle is 256 of them, and writes must not wait for readers.
const READS_MAX: usize = 8;
/// Bytes of answers that are read or not yet sent, at most: some 600 bundles. A reader that does not take its answer
/// holds its part of it until its connection is cut.
const ANSWERS_BYTES_MAX: usize = 32 << 20;
/// A request waits so long for a place among the above; then it is told to come again.
const PLACE_TIMEOUT: Duration = Duration::from_secs(2);
/// Hint to a reader that found no place.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const _: () = assert!(ANSWERS_BYTES_MAX > 2 * READS_MAX * PUBLISHED_LENGTH_MAX, "reads must not wait for room alone");

/// What is there for anybody to read.
pub(crate) struct PublicLog {
    state: StateStore,
    newest: Option<Arc<Newest>>,
    tasks: Arc<dyn Tasks>,
    reads: Semaphore,
    room: Arc<Semaphore>,
}

/// A resource, as it is sent.
struct Found {
    body: Bytes,
    lifetime: Lifetime,
    /// What tells it from what stood there before, where that changes.
    tag: Option<String>,
}

impl PublicLog {
    /// Over committed state. Without `receipts`, as on a node without keys, there are tiles but no checkpoint.
    pub fn new(state: StateStore, receipts: Option<Arc<Receipts>>, tasks: Arc<dyn Tasks>) -> Self {
        Self {
            state,
            newest: receipts.map(|receipts| Arc::new(Newest::new(receipts))),
            tasks,
            reads: Semaphore::new(READS_MAX),
            room: Arc::new(Semaphore::new(ANSWERS_BYTES_MAX)),
        }
    }

    async fn find(&self, resource: Resource) -> Result<Found, Refusal> {
        let Resource::Checkpoint = resource else { return self.tile(resource).await };
        let Some(newest) = &self.newest else {
            let text = "this node has no keys and signs no checkpoint; ask another node";
            return Err(Refusal { retry_after: Some(RETRY_AFTER), ..Refusal::new(Code::KeysMissing, text) });
        };
        // a new size is read for and signed: not on the threads that serve requests
        let _read = place(self.reads.acquire()).await?;
        let (newest, state) = (newest.clone(), self.state.clone());
        let signed = self.tasks.blocking(move || newest.sign(&state)).await;
        let signed = signed.map_err(|_| Refusal::new(Code::NodeStopping, "the node is shutting down"))??;
        Ok(Found { tag: Some(signed.tag()), body: signed.note, lifetime: Lifetime::Newest })
    }

    async fn tile(&self, resource: Resource) -> Result<Found, Refusal> {
        // room first: it is what slow readers hold
        let length = u32::try_from(PUBLISHED_LENGTH_MAX).expect("a constant of some 50,000");
        let room = place(self.room.clone().acquire_many_owned(length)).await?;
        let _read = place(self.reads.acquire()).await?;
        let (view, tip) = self.state.read();
        let size = tip.size();
        let read = move || match resource {
            Resource::Tile(tile) => publish::tile(&view, &tip, tile),
            Resource::Entries(bundle) => publish::bundle(&view, &tip, bundle),
            Resource::Checkpoint => Ok(None),
        };
        let found = self
            .tasks
            .blocking(read)
            .await
            .map_err(|_| Refusal::new(Code::NodeStopping, "the node is shutting down"))?;
        let found = found.map_err(|error| {
            // the details are for the operator's log
            tracing::error!(%error, %resource, "a part of the public log can't be read");
            Refusal::new(Code::StorageFailed, "this part of the log can't be read here; ask another node")
        })?;
        let bytes = found.ok_or_else(|| {
            let absent = format!("no {resource} in the {size} leaves that this node has applied");
            Refusal {
                log_size: Some(size),
                retry_after: Some(RETRY_AFTER),
                ..Refusal::new(Code::LogTileAbsent, absent)
            }
        })?;
        Ok(Found { body: Held::new(bytes, room).into_bytes(), lifetime: Lifetime::of(resource), tag: None })
    }
}

/// Waits for a place, not for ever.
async fn place<P>(free: impl Future<Output = Result<P, tokio::sync::AcquireError>>) -> Result<P, Refusal> {
    match tokio::time::timeout(PLACE_TIMEOUT, free).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_closed)) => Err(Refusal::new(Code::NodeStopping, "the node is shutting down")),
        Err(_elapsed) => {
            let text = "too much of the log is being read at once";
            Err(Refusal { retry_after: Some(RETRY_AFTER), ..Refusal::new(Code::Overloaded, text) })
        }
    }
}
