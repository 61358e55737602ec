//! A snapshot for a node that asks for one (see `rebuild`): it has no state, or a damaged one, and raft does not run there.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kho_proto::pb::peer::v1 as pb;
use kho_proto::pb::peer::v1::fetch_snapshot_response::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::network::snapshot::{CHUNKS_AHEAD, feed};
use super::state::StateCore;
use super::types::{Raft, SnapshotMeta};
use super::wire;
use crate::seams::Tasks;
use crate::snapshot::manifest;
use crate::snapshot::store::Kept;

/// A snapshot that covers what is asked for is made within this.
const MAKE_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The answer.
pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<pb::FetchSnapshotResponse, Status>> + Send>>;

/// The newest snapshot, if it includes the entry at `at_least`; else a new one.
pub(super) async fn serve(
    raft: &Raft,
    core: Arc<StateCore>,
    tasks: &Arc<dyn Tasks>,
    at_least: u64,
) -> Result<Parts, Status> {
    let kept = snapshot(raft, &core, at_least).await?;
    let files = kept.files.clone();
    let manifest = core.blocking(move |core| {
        let position = core.position_of(&files)?;
        let meta = SnapshotMeta { last_log_id: position.last, last_membership: position.membership };
        Ok(manifest::make(&files, wire::meta_to_pb(&meta))?)
    });
    let manifest = manifest.await.map_err(|error| unreadable(&error))?;
    let wanted: Vec<_> =
        manifest.files.iter().map(|file| pb::WantedFile { name: file.name.clone(), offset: 0 }).collect();
    tracing::info!(index = kept.index, files = wanted.len(), "a snapshot goes to a node that rebuilds its state");

    let (chunks, outbound) = mpsc::channel(CHUNKS_AHEAD);
    let of_task = Arc::clone(tasks);
    let feeding = async move {
        // the receiver finds that files are not whole
        if let Err(error) = feed(&of_task, &kept.files, pb::SnapshotChunk::default(), &wanted, chunks).await {
            tracing::error!(%error, "a snapshot can't be read");
        }
    };
    tasks.spawn("fed-snapshot", Box::pin(feeding));
    let part = |part| Ok(pb::FetchSnapshotResponse { part: Some(part) });
    let first = stream::once(async move { part(Part::Manifest(manifest)) });
    Ok(Box::pin(first.chain(ReceiverStream::new(outbound).map(move |chunk| part(Part::Chunk(chunk))))))
}

async fn snapshot(raft: &Raft, state: &StateCore, at_least: u64) -> Result<Kept, Status> {
    let newest = || state.snapshots().newest().filter(|kept| kept.index >= at_least);
    if let Some(kept) = newest() {
        return Ok(kept);
    }
    raft.trigger().snapshot().await.map_err(|error| Status::unavailable(format!("node-stopping: {error}")))?;
    let made = async {
        loop {
            if let Some(kept) = newest() {
                return kept;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let late =
        |_| Status::unavailable(format!("no-leader: no snapshot up to entry {at_least} within {MAKE_TIMEOUT:?}"));
    tokio::time::timeout(MAKE_TIMEOUT, made).await.map_err(late)
}

fn unreadable(error: &dyn std::fmt::Display) -> Status {
    Status::internal(format!("storage-failed: {error}"))
}
