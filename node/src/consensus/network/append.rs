//! Appends: a pipelined stream for log entries, single calls for heartbeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kho_proto::pb::peer::v1 as pb;
use openraft::base::BoxStream;
use openraft::errors::{NetworkError, Unreachable};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tonic::Streaming;

use super::{Peer, Plane, RpcError, failed, malformed, within};
use crate::consensus::types::TypeConfig;
use crate::consensus::wire;

/// A request unanswered for so long means that the stream is dead. Longer than a slow disk takes; the stream as a
/// whole may live for ever, and rest.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the peer to take the stream.
const SETUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two attempts to open a stream; adds to the time that a peer takes to catch up after it is back.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

#[cfg(feature = "mutants")]
mod mutant;

type Results<'s> = BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>;

/// One call per request.
pub(super) fn unary<'s, S>(peer: &'s Peer, input: S, limit: Duration) -> Results<'s>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    Box::pin(input.then(move |request| async move {
        let term = request.vote.leader_id.term;
        let message = wire::append_to_pb(peer.origin(), request);
        let response = within(limit, peer.client(Plane::Control).heartbeat(message)).await?;
        let answer = wire::appended_from_pb(response).map_err(malformed)?;
        peer.network.confirmed.check(peer.target, term, &answer)?;
        Ok(answer)
    }))
}

struct Responses<'s> {
    peer: &'s Peer,
    inbound: Streaming<pb::AppendResponse>,
    /// Of all requests: a stream belongs to one leadership.
    term: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    received: u64,
}

/// All requests on one stream; answers come in order.
pub(super) async fn pipelined<'s, S>(peer: &'s Peer, input: S) -> Result<Results<'s>, RpcError>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    #[cfg(feature = "mutants")]
    if crate::mutants::Mutant::SentIsConfirmed.planted() {
        return Ok(mutant::sent_is_confirmed(peer, input));
    }
    let sent = Arc::new(AtomicU64::new(0));
    let origin = peer.origin();
    let counter = Arc::clone(&sent);
    let term = Arc::new(AtomicU64::new(0));
    let of_requests = Arc::clone(&term);
    let requests = input.map(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        of_requests.store(request.vote.leader_id.term, Ordering::Relaxed);
        wire::append_to_pb(origin.clone(), request)
    });
    let mut client = peer.client(Plane::Append);
    let opened = within(SETUP_TIMEOUT, client.append(requests)).await;
    if opened.is_err() {
        // openraft's backoff sits in the input, which a stream that never opened does not reach: without a pause a dead
        // peer would be tried thousands of times a second.
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
    let inbound = opened?;
    let responses = Responses { peer, inbound, term, sent, received: 0 };
    Ok(Box::pin(stream::unfold(Some(responses), |responses| async {
        let mut responses = responses?;
        let next = responses.next().await?;
        let rest = next.is_ok().then_some(responses);
        Some((next, rest))
    })))
}

impl Responses<'_> {
    fn believe(&self, response: pb::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
        let answer = wire::appended_from_pb(response).map_err(malformed)?;
        self.peer.network.confirmed.check(self.peer.target, self.term.load(Ordering::Relaxed), &answer)?;
        Ok(answer)
    }

    fn waiting(&self) -> bool {
        self.received < self.sent.load(Ordering::Relaxed)
    }

    async fn next(&mut self) -> Option<Result<StreamAppendResult<TypeConfig>, RpcError>> {
        loop {
            match tokio::time::timeout(RESPONSE_TIMEOUT, self.inbound.message()).await {
                Ok(Ok(Some(response))) => {
                    self.received += 1;
                    return Some(self.believe(response));
                }
                // openraft takes a silent end for a finished stream and never frees the log that it was sending.
                Ok(Ok(None)) if self.waiting() => {
                    return Some(Err(Unreachable::from_string("the peer closed the stream before its answer").into()));
                }
                Ok(Ok(None)) => return None,
                Ok(Err(status)) => return Some(Err(failed(&status))),
                // Nothing asked, nothing to answer.
                Err(_) if !self.waiting() => {}
                Err(_) => {
                    let text = format!("no answer to an append within {RESPONSE_TIMEOUT:?}");
                    return Some(Err(NetworkError::from_string(text).into()));
                }
            }
        }
    }
}
