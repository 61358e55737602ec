//! Sending a snapshot: offer the manifest, stream what the peer lacks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
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
    let manifest = tokio::task::spawn_blocking(move || manifest::make(&of_task, meta))
        .await
        .map_err(|error| unreadable(&io::Error::other(error)))?
        .map_err(|error| unreadable(&error.into()))?;

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
    let reader = tokio::task::spawn_blocking(move || feed(&files, first, &wanted.files, &chunks));
    // No limit on the whole: it may be hours. Pings find a dead peer.
    let done = client.send_snapshot(ReceiverStream::new(outbound)).await;
    match reader.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(unreadable(&error)),
        Err(error) => return Err(unreadable(&io::Error::other(error))),
    }
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
pub(in crate::consensus) fn feed(
    files: &SnapshotFiles,
    first: pb::SnapshotChunk,
    wanted: &[pb::WantedFile],
    chunks: &mpsc::Sender<pb::SnapshotChunk>,
) -> io::Result<()> {
    let mut send = |chunk| chunks.blocking_send(chunk).is_ok();
    if !send(first) {
        return Ok(());
    }
    for file in wanted {
        // The name came from the peer: only what is in the manifest's directory is read.
        let plain = Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
        if !plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("unknown file {:?} wanted", file.name)));
        }
        if !feed_file(files, file, &mut send)? {
            return Ok(());
        }
    }
    Ok(())
}

fn feed_file(
    files: &SnapshotFiles,
    wanted: &pb::WantedFile,
    send: &mut impl FnMut(pb::SnapshotChunk) -> bool,
) -> io::Result<bool> {
    let mut file = File::open(files.path().join(&wanted.name))?;
    let mut offset = file.seek(SeekFrom::Start(wanted.offset))?;
    loop {
        let mut data = Vec::with_capacity(CHUNK_BYTES);
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut data)?;
        let chunk =
            pb::SnapshotChunk { name: wanted.name.clone(), offset, data: Bytes::from(data), ..Default::default() };
        // An empty file is one empty chunk.
        if (read > 0 || offset == wanted.offset) && !send(chunk) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        offset += read as u64;
    }
}
