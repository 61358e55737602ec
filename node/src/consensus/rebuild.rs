//! A state that is damaged, above a log and a vote that are sound: it is built anew before raft starts, so nothing of the
//! damaged one is served, and no vote is given meanwhile. From the log, if that still reaches back to the first entry;
//! else from a snapshot of another node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1 as pb;
use kho_proto::pb::peer::v1::fetch_snapshot_response::Part;
use tonic::Status;

use super::error::OpenError;
use super::network::{Channels, MESSAGE_BYTES_MAX, Plane};
use super::peer::PeerGate;
use super::state::{self, StateError};
use super::types::{LogId, MemberAddress};
use super::wire::{self, WireError};
use crate::seams::Tasks;
use crate::snapshot::files;
use crate::snapshot::incoming::{Incoming, IncomingError};
use crate::snapshot::layout::{Layout, LayoutError};
use crate::storage::{Profile, Storage};

/// Between two rounds over the other nodes.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// A node that sends nothing for so long is given up; it may have to make the snapshot first.
const IDLE_LIMIT: Duration = Duration::from_secs(90);

/// Why one node did not give a state. Others may.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}: {}", .0.code(), .0.message())]
    Peer(#[from] Status),
    #[error("it sent nothing for {IDLE_LIMIT:?}")]
    Idle,
    #[error("expected a manifest, then chunks of its files, found otherwise")]
    Order,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("expected a snapshot at {expected} or above, found one at {found}")]
    Old { expected: u64, found: u64 },
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Cut(std::io::Error),
}

impl FetchError {
    /// Whether this node's own disk is the trouble: asking others would not help.
    fn of_this_disk(&self) -> bool {
        matches!(self, FetchError::Incoming(IncomingError::File(_)) | FetchError::Layout(_))
    }
}

/// All that it takes.
pub(super) struct Rebuild<'a> {
    pub storage: &'a Arc<dyn Storage>,
    pub layout: &'a Layout,
    pub gate: PeerGate,
    pub channels: &'a Channels,
    pub node: NodeId,
    pub members: &'a BTreeMap<NodeId, MemberAddress>,
    pub tasks: &'a Arc<dyn Tasks>,
}

impl Rebuild<'_> {
    /// Builds the state anew for a log that is purged up to `purged`. Waits for other nodes for as long as it takes.
    pub async fn run(&self, purged: Option<LogId>) -> Result<(), OpenError> {
        let Some(purged) = purged else {
            let number = self.layout.unused()?;
            drop(self.storage.open(&self.layout.state(number), Profile::State, &state::tables())?);
            self.layout.rebuilt(number)?;
            tracing::warn!("the state is built anew from the log");
            return Ok(());
        };
        loop {
            for (&peer, address) in self.members.iter().filter(|(peer, _)| **peer != self.node) {
                match self.fetch(peer, &address.peer, purged.index()).await {
                    Ok(index) => {
                        tracing::warn!(%peer, index, "the state was fetched from another node");
                        return Ok(());
                    }
                    Err(error) if error.of_this_disk() => return Err(OpenError::Io(std::io::Error::other(error))),
                    Err(error) => tracing::warn!(%peer, %error, "no state from there"),
                }
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Fetches a snapshot, checks every byte of it, and makes it the live state.
    async fn fetch(&self, peer: NodeId, address: &str, at_least: u64) -> Result<u64, FetchError> {
        let channel = self.channels.get(peer, address, Plane::Snapshot);
        let mut client = pb::raft_client::RaftClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request = pb::FetchSnapshotRequest { origin: Some(self.gate.origin(peer)), at_least };
        let mut parts = idle(client.fetch_snapshot(request)).await?.into_inner();
        let Some(Part::Manifest(manifest)) = idle(parts.message()).await?.and_then(|first| first.part) else {
            return Err(FetchError::Order);
        };
        let meta = wire::meta_from_pb(&manifest.meta.clone().unwrap_or_default())?;
        let found = meta.last_log_id.map_or(0, |last| last.index());
        if found < at_least {
            return Err(FetchError::Old { expected: at_least, found });
        }
        let layout = self.layout.clone();
        let mut incoming = blocking(self.tasks, move || {
            // what an earlier transfer left would be in the way of files that come from their beginning
            files::remove_directory(&layout.incoming()).map_err(IncomingError::from)?;
            files::create_directory(&layout.incoming()).map_err(IncomingError::from)?;
            Ok(Incoming::begin(&layout, manifest)?)
        })
        .await?;
        while let Some(next) = idle(parts.message()).await? {
            let Some(Part::Chunk(chunk)) = next.part else { return Err(FetchError::Order) };
            // the first says only who speaks
            if !chunk.name.is_empty() {
                incoming = blocking(self.tasks, move || {
                    incoming.chunk(&chunk.name, chunk.offset, &chunk.data)?;
                    Ok(incoming)
                })
                .await?;
            }
        }
        let (storage, layout) = (Arc::clone(self.storage), self.layout.clone());
        blocking(self.tasks, move || {
            let (snapshot, _) = incoming.finish()?;
            state::verify(&*storage, snapshot.path())?;
            let number = layout.unused()?;
            drop(state::place(&*storage, &layout, number, &snapshot, meta.last_log_id)?);
            layout.rebuilt(number)?;
            Ok(found)
        })
        .await
    }
}

async fn idle<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, FetchError> {
    Ok(tokio::time::timeout(IDLE_LIMIT, call).await.map_err(|_| FetchError::Idle)??)
}

async fn blocking<T: Send + 'static>(
    tasks: &Arc<dyn Tasks>,
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tasks.blocking(work).await.map_err(FetchError::Cut)?
}
