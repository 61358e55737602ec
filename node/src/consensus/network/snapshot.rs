//! Sending a snapshot: offer the manifest, stream what the peer lacks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_proto::pb::peer::v1 as pb;
use openraft::errors::{ErrorSource, StreamingError};
use openraft::raft::SnapshotResponse;
use openraft::{RaftTypeConfig, StorageError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Peer, Plane, failed, malformed, within};
use crate::consensus::types::{Snapshot, TypeConfig, Vote};
use crate::consensus::wire;
use crate::seams::Tasks;
use crate::snapshot::{SnapshotFiles, manifest};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks read ahead.
pub(in crate::consensus) const CHUNKS_AHEAD: usize = 4;
/// Time for the peer to look at an offer; it may have to remove another transfer.
const OFFER_TIMEOUT: Duration = Duration::from_secs(120);

type Sent = Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>>;

pub(super) async fn send(peer: &Peer, vote: Vote, snapshot: Snapshot) -> Sent {
    let files = snapshot.snapshot;
    let meta = wire::meta_to_pb(&snapshot.meta);
    let of_task = files.clone();
    let tasks = &peer.network.tasks;
    let manifest = tasks.blocking(move || manifest::make(&of_task, meta)).await;
    let manifest = manifest.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error.into()))?;

    let offer = pb::SnapshotOffer {
        origin: Some(peer.origin()),
        vote: Some(wire::vote_to_pb(&vote)),
        manifest: Some(manifest),
    };
    let mut client = peer.client(Plane::Snapshot);
    let wanted = within(OFFER_TIMEOUT, client.offer_snapshot(offer)).await?;
    if wanted.higher_vote.is_some() {
        let vote = wire::vote_from_pb(wanted.higher_vote).map_err(malformed)?;
        return Ok(SnapshotResponse::new(vote));
    }

    let (chunks, outbound) = mpsc::channel(CHUNKS_AHEAD);
    let first = pb::SnapshotChunk {
        origin: Some(peer.origin()),
        transfer_id: wanted.transfer_id.clone(),
        ..pb::SnapshotChunk::default()
    };
    let fed = feed(tasks, &files, first, &wanted.files, chunks);
    // No limit on the whole: it may be hours. Pings find a dead peer.
    let (done, fed) = tokio::join!(client.send_snapshot(ReceiverStream::new(outbound)), fed);
    fed.map_err(|error| unreadable(&error))?;
    let done = done.map_err(|status| failed(&status))?.into_inner();
    let vote = wire::vote_from_pb(done.vote).map_err(malformed)?;
    Ok(SnapshotResponse::new(vote))
}

fn unreadable(error: &io::Error) -> StreamingError<TypeConfig> {
    StreamingError::StorageError(StorageError::read_snapshot(
        None,
        <TypeConfig as RaftTypeConfig>::ErrorSource::from_error(error),
    ))
}

/// Reads wanted files into chunks, until all are read or the call has ended.
pub(in crate::consensus) async fn feed(
    tasks: &Arc<dyn Tasks>,
    files: &SnapshotFiles,
    first: pb::SnapshotChunk,
    wanted: &[pb::WantedFile],
    chunks: mpsc::Sender<pb::SnapshotChunk>,
) -> io::Result<()> {
    if chunks.send(first).await.is_err() {
        return Ok(());
    }
    for file in wanted {
        // The name came from the peer: only what is in the manifest's directory is read.
        let plain = Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
        if !plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown file {:?} wanted", file.name)));
        }
        let mut offset = file.offset;
        loop {
            let path = files.path().join(&file.name);
            let data = tasks.blocking(move || read_at(&path, offset)).await??;
            let read = data.len() as u64;
            // An empty file is one empty chunk.
            if read > 0 || offset == file.offset {
                let chunk = pb::SnapshotChunk { name: file.name.clone(), offset, data, ..Default::default() };
                if chunks.send(chunk).await.is_err() {
                    return Ok(());
                }
            }
            if read == 0 {
                break;
            }
            offset += read;
        }
    }
    Ok(())
}

/// A chunk; empty at the end of the file.
fn read_at(path: &Path, offset: u64) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::with_capacity(CHUNK_BYTES);
    file.take(CHUNK_BYTES as u64).read_to_end(&mut data)?;
    Ok(data.into())
}
