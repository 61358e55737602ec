//! A planted bug of replication.

use futures::stream::{Stream, StreamExt};
use openraft::errors::Unreachable;
use openraft::raft::AppendEntriesRequest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Results, SETUP_TIMEOUT};
use crate::consensus::network::{Peer, Plane};
use crate::consensus::types::TypeConfig;
use crate::consensus::wire;

/// Requests that wait for the connection to take them.
const AHEAD: usize = 64;

/// What has gone into the stream counts as written by the peer; its answers are read and forgotten.
pub(super) fn sent_is_confirmed<'s, S>(peer: &'s Peer, input: S) -> Results<'s>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    let (sender, requests) = mpsc::channel(AHEAD);
    let mut client = peer.client(Plane::Append);
    tokio::spawn(async move {
        if let Ok(opened) = client.append(ReceiverStream::new(requests)).await {
            let mut answers = opened.into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        }
    });
    let origin = peer.origin();
    Box::pin(input.then(move |request| {
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let term = request.vote.leader_id.term;
        let message = wire::append_to_pb(origin.clone(), request);
        let sender = sender.clone();
        async move {
            peer.network.confirmed.check(peer.target, term, &Ok(last))?;
            let sent = tokio::time::timeout(SETUP_TIMEOUT, sender.send(message)).await;
            sent.map_err(|_| ())
                .and_then(|sent| sent.map_err(drop))
                .map_or_else(|()| Err(Unreachable::from_string("the stream is closed").into()), |()| Ok(Ok(last)))
        }
    }))
}
