//! The peer plane's `Raft` service: checks who speaks, then hands to openraft.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kho_proto::digest::Digest;
use kho_proto::pb::peer::v1 as pb;
use kho_proto::pb::peer::v1::raft_server::{Raft as RaftRpc, RaftServer};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, VoteRequest};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tonic::{Request, Response, Status, Streaming};

use super::fetch;
use super::heard::Heard;
use super::network::MESSAGE_BYTES_MAX;
use super::peer::{PeerGate, PeerIdentity};
use super::state::StateCore;
use super::types::{Raft, Snapshot, TypeConfig, Vote};
use super::wire::{self, WireError};
use crate::seams::{Clock, Seams, Tasks};
use crate::snapshot::SnapshotFiles;
use crate::snapshot::incoming::{Incoming, IncomingError};
use crate::snapshot::layout::Layout;

/// Time that an offer waits for another transfer to end.
const TRANSFER_WAIT: Duration = Duration::from_secs(60);

/// A transfer that was offered, and under which leader.
type Offered = Option<(Incoming, Vote)>;

/// Serves the peers of a node.
#[derive(Clone)]
pub struct RaftService {
    raft: Raft,
    gate: PeerGate,
    layout: Layout,
    /// Connections outlive the node in tests; they must not hold its database.
    state: Weak<StateCore>,
    offered: Arc<tokio::sync::Mutex<Offered>>,
    tasks: Arc<dyn Tasks>,
    clock: Arc<dyn Clock>,
    heard: Arc<Heard>,
}

impl RaftService {
    pub(super) fn new(
        raft: Raft,
        gate: PeerGate,
        layout: Layout,
        state: &Arc<StateCore>,
        seams: &Seams,
        heard: Arc<Heard>,
    ) -> Self {
        let (tasks, clock) = (Arc::clone(&seams.tasks), Arc::clone(&seams.clock));
        Self { raft, gate, layout, state: Arc::downgrade(state), offered: Arc::default(), tasks, clock, heard }
    }

    pub(super) fn server(self) -> RaftServer<Self> {
        RaftServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The message of a request whose origin is acceptable.
    fn admit<T>(&self, request: Request<T>, origin: impl Fn(&T) -> Option<&pb::Origin>) -> Result<T, Status> {
        let identity = PeerGate::identity(&request);
        let message = request.into_inner();
        self.gate.check(origin(&message), identity.as_ref())?;
        Ok(message)
    }

    /// What a leader says with `request`, as of now.
    fn word(&self, request: &AppendEntriesRequest<TypeConfig>) -> Word {
        Word { at: self.clock.monotonic(), committed: request.leader_commit.map(|id| id.index()) }
    }

    /// A word counts once this node has followed who said it.
    fn hear(&self, word: Word, answer: &StreamAppendResult<TypeConfig>) {
        if matches!(answer, Err(StreamAppendError::HigherVote(_))) {
            return;
        }
        if let Some(state) = self.state.upgrade() {
            self.heard.hear(word.at, word.committed, state.applied());
        }
    }

    fn vote_request(request: pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
        let mut vote = VoteRequest::new(
            wire::vote_from_pb(request.vote).map_err(malformed)?,
            wire::maybe_log_id(request.last_log_id),
        );
        vote.leadership_transfer = request.leadership_transfer;
        Ok(vote)
    }

    fn voted(&self, response: &openraft::raft::VoteResponse<TypeConfig>) -> Response<pb::VoteResponse> {
        Response::new(pb::VoteResponse {
            epoch: self.gate.epoch(),
            vote: Some(wire::vote_to_pb(&response.vote)),
            last_log_id: wire::some_log_id(response.last_log_id.as_ref()),
            granted: response.vote_granted,
        })
    }
}

fn malformed(error: WireError) -> Status {
    Status::invalid_argument(format!("request-malformed: {error}"))
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("node-stopping: {error}"))
}

fn transfer(error: IncomingError) -> Status {
    match error {
        IncomingError::File(error) => Status::internal(format!("storage-failed: {error}")),
        other => Status::failed_precondition(format!("request-malformed: {other}")),
    }
}

/// How far the log is committed, as a leader says, and when the word came.
struct Word {
    at: Duration,
    committed: Option<u64>,
}

/// Words whose answers are under way, oldest first; as many as openraft works on at once.
type Words = Arc<Mutex<VecDeque<Word>>>;

/// Requests of a stream, until one is not acceptable: then it ends, and `refused` says why.
fn requests(
    gate: PeerGate,
    identity: Option<PeerIdentity>,
    inbound: Streaming<pb::AppendRequest>,
    refused: Arc<Mutex<Option<Status>>>,
    arrived: impl Fn(&AppendEntriesRequest<TypeConfig>) + Clone + Send + 'static,
) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    stream::unfold(inbound, move |mut inbound| {
        let (refused, arrived) = (Arc::clone(&refused), arrived.clone());
        async move {
            let read = async {
                let Some(message) = inbound.message().await? else { return Ok(None) };
                gate.check(message.origin.as_ref(), identity.as_ref())?;
                wire::append_from_pb(message).map(Some).map_err(malformed)
            };
            match read.await {
                Ok(request) => request.map(|request| {
                    arrived(&request);
                    (request, inbound)
                }),
                Err(status) => {
                    *refused.lock() = Some(status);
                    None
                }
            }
        }
    })
}

#[tonic::async_trait]
impl RaftRpc for RaftService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<pb::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let identity = PeerGate::identity(&request);
        let refused = Arc::new(Mutex::new(None));
        let words = Words::default();
        let arrived = {
            let (service, words) = (self.clone(), Arc::clone(&words));
            move |request: &_| words.lock().push_back(service.word(request))
        };
        let inbound = requests(self.gate, identity, request.into_inner(), Arc::clone(&refused), arrived);
        let epoch = self.gate.epoch();
        let service = self.clone();
        let answers = self.raft.stream_append(inbound).map(move |result| {
            // one answer a request, in order
            let word = words.lock().pop_front();
            if let (Some(word), Ok(answer)) = (word, &result) {
                service.hear(word, answer);
            }
            result.map(|result| wire::appended_to_pb(epoch, &result)).map_err(stopped)
        });
        let last = stream::once(async move { refused.lock().take() }).filter_map(|status| async { status.map(Err) });
        Ok(Response::new(Box::pin(answers.chain(last))))
    }

    async fn heartbeat(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendResponse>, Status> {
        let message = self.admit(request, |message| message.origin.as_ref())?;
        let request = wire::append_from_pb(message).map_err(malformed)?;
        let word = self.word(&request);
        // A stream of one, for its answer says where a conflict is.
        let mut answers = Box::pin(self.raft.stream_append(stream::iter([request])));
        let answer = answers.next().await.ok_or_else(|| stopped("no answer"))?.map_err(stopped)?;
        self.hear(word, &answer);
        Ok(Response::new(wire::appended_to_pb(self.gate.epoch(), &answer)))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let message = self.admit(request, |message| message.origin.as_ref())?;
        let response = self.raft.vote(Self::vote_request(message)?).await.map_err(stopped)?;
        Ok(self.voted(&response))
    }

    async fn pre_vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let message = self.admit(request, |message| message.origin.as_ref())?;
        let response = self.raft.pre_vote(Self::vote_request(message)?).await.map_err(stopped)?;
        Ok(self.voted(&response))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let message = self.admit(request, |message| message.origin.as_ref())?;
        let from = wire::vote_from_pb(message.from).map_err(malformed)?;
        let request = TransferLeaderRequest::new(from, message.to, wire::maybe_log_id(message.last_log_id));
        let answer = self.raft.handle_transfer_leader(request).await.map_err(stopped)?;
        let vote = match &answer {
            Ok(()) => from,
            Err(TransferLeaderError::VoteChanged { actual, .. }) => *actual,
            Err(TransferLeaderError::LogNotFlushed { .. }) => from,
        };
        Ok(Response::new(pb::TransferLeaderResponse {
            epoch: self.gate.epoch(),
            accepted: answer.is_ok(),
            vote: Some(wire::vote_to_pb(&vote)),
        }))
    }

    type FetchSnapshotStream = fetch::Parts;

    async fn fetch_snapshot(
        &self,
        request: Request<pb::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let message = self.admit(request, |message| message.origin.as_ref())?;
        fetch::serve(&self.raft, self.state()?, &self.tasks, message.at_least).await.map(Response::new)
    }

    async fn offer_snapshot(
        &self,
        request: Request<pb::SnapshotOffer>,
    ) -> Result<Response<pb::SnapshotWanted>, Status> {
        let offer = self.admit(request, |message| message.origin.as_ref())?;
        let vote = wire::vote_from_pb(offer.vote).map_err(malformed)?;
        let manifest = offer.manifest.ok_or_else(|| malformed(WireError::Missing("manifest")))?;
        wire::meta_from_pb(manifest.meta.as_ref().unwrap_or(&pb::SnapshotMeta::default())).map_err(malformed)?;
        let epoch = self.gate.epoch();
        let mine = self.raft.metrics().borrow_watched().vote;
        if mine > vote {
            let higher_vote = Some(wire::vote_to_pb(&mine));
            return Ok(Response::new(pb::SnapshotWanted { epoch, higher_vote, ..pb::SnapshotWanted::default() }));
        }
        let mut offered = self.transfer_slot().await?;
        *offered = None;
        let layout = self.layout.clone();
        let (incoming, files) = blocking(&self.tasks, move || {
            let incoming = Incoming::begin(&layout, manifest)?;
            let wanted = incoming.wanted()?;
            Ok((incoming, wanted))
        })
        .await?;
        tracing::info!(transfer = %incoming.id(), files = files.len(), "snapshot offered");
        let transfer_id = incoming.id().0.to_vec().into();
        *offered = Some((incoming, vote));
        Ok(Response::new(pb::SnapshotWanted { epoch, transfer_id, files, higher_vote: None }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotDone>, Status> {
        let identity = PeerGate::identity(&request);
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.unwrap_or_default();
        self.gate.check(first.origin.as_ref(), identity.as_ref())?;
        let mut slot = self.transfer_slot().await?;
        let (mut incoming, vote) = slot.take().ok_or_else(|| transfer(IncomingError::OtherTransfer))?;
        if Digest::try_from(first.transfer_id.as_ref()) != Ok(incoming.id()) {
            return Err(transfer(IncomingError::OtherTransfer));
        }
        while let Some(chunk) = chunks.message().await? {
            // The slot goes along: if this call is dropped, no other transfer starts while a write is under way.
            (incoming, slot) = blocking(&self.tasks, move || {
                incoming.chunk(&chunk.name, chunk.offset, &chunk.data)?;
                Ok((incoming, slot))
            })
            .await?;
        }
        let ((files, manifest), slot) = blocking(&self.tasks, move || Ok((incoming.finish()?, slot))).await?;
        self.sound(&files).await?;
        let meta = wire::meta_from_pb(&manifest.meta.unwrap_or_default()).map_err(malformed)?;
        tracing::info!(%meta, "snapshot received");
        let response =
            self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot: files }).await.map_err(stopped)?;
        drop(slot);
        Ok(Response::new(pb::SnapshotDone { epoch: self.gate.epoch(), vote: Some(wire::vote_to_pb(&response.vote)) }))
    }
}

impl RaftService {
    /// Whether all of a received snapshot can be read: its files are what the sender has, which may be damaged.
    async fn sound(&self, files: &SnapshotFiles) -> Result<(), Status> {
        let files = files.clone();
        self.state()?.blocking(move |state| state.verify(&files)).await.map_err(|error| {
            tracing::error!(%error, "a snapshot was received that is damaged: it is not installed");
            Status::data_loss(format!("record-damaged: the snapshot is damaged where it came from: {error}"))
        })
    }

    fn state(&self) -> Result<Arc<StateCore>, Status> {
        self.state.upgrade().ok_or_else(|| stopped("the state is closed"))
    }

    async fn transfer_slot(&self) -> Result<OwnedMutexGuard<Offered>, Status> {
        let slot = Arc::clone(&self.offered).lock_owned();
        tokio::time::timeout(TRANSFER_WAIT, slot)
            .await
            .map_err(|_| Status::resource_exhausted("overloaded: another snapshot transfer is under way"))
    }
}

async fn blocking<T: Send + 'static>(
    tasks: &Arc<dyn Tasks>,
    work: impl FnOnce() -> Result<T, IncomingError> + Send + 'static,
) -> Result<T, Status> {
    tasks.blocking(work).await.map_err(stopped)?.map_err(transfer)
}
