//! openraft's network over gRPC: to each peer a connection of its own for appends, for heartbeats and votes, and for
//! snapshots, so that none waits behind another.

mod append;
mod channel;
mod confirmed;
pub(super) mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1 as pb;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tonic::{Code, Status};

pub(crate) use self::channel::{Channels, MESSAGE_BYTES_MAX, Plane};
pub(crate) use self::confirmed::Confirmed;
use super::peer::PeerGate;
use super::types::{MemberAddress, RpcError, Snapshot, TypeConfig, Vote};
use super::wire;
use crate::seams::Tasks;
use crate::snapshot::SnapshotFiles;

/// Makes clients of peers.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) gate: PeerGate,
    pub(crate) channels: Arc<Channels>,
    pub(crate) confirmed: Arc<Confirmed>,
    pub(crate) tasks: Arc<dyn Tasks>,
}

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    General,
    Heartbeat,
}

/// A client of one peer.
pub(crate) struct Peer {
    network: Network,
    target: NodeId,
    address: String,
    purpose: Purpose,
}

impl Network {
    fn peer(&self, target: u64, node: &MemberAddress, purpose: Purpose) -> Peer {
        Peer { network: self.clone(), target: NodeId(target), address: node.peer.clone(), purpose }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &MemberAddress) -> Peer {
        self.peer(target, node, Purpose::General)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &MemberAddress) -> Peer {
        self.peer(target, node, Purpose::Heartbeat)
    }
}

impl Network {
    /// Asks a member whether it follows `vote` now, by an append that carries nothing.
    pub(crate) async fn follows(&self, member: NodeId, node: &MemberAddress, vote: Vote) -> Result<bool, RpcError> {
        let peer = self.peer(member.0, node, Purpose::Heartbeat);
        let request = AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
        let message = wire::append_to_pb(peer.origin(), request);
        let response = peer.client(Plane::Control).heartbeat(message).await.map_err(|status| failed(&status))?;
        Ok(wire::appended_from_pb(response.into_inner()).map_err(malformed)?.is_ok())
    }
}

type Client = pb::raft_client::RaftClient<tonic::transport::Channel>;

impl Peer {
    fn client(&self, plane: Plane) -> Client {
        let channel = self.network.channels.get(self.target, &self.address, plane);
        pb::raft_client::RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn origin(&self) -> pb::Origin {
        self.network.gate.origin(self.target)
    }
}

/// Waits for an answer, but not longer than `limit`.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, RpcError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(failed(&status)),
        Err(_) => Err(NetworkError::from_string(format!("no answer within {limit:?}")).into()),
    }
}

fn failed(status: &Status) -> RpcError {
    match status.code() {
        // Nobody there, or somebody who will not listen: back off.
        Code::Unavailable | Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented => {
            Unreachable::new(status).into()
        }
        _ => NetworkError::new(status).into(),
    }
}

fn malformed(error: wire::WireError) -> RpcError {
    NetworkError::new(&error).into()
}

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            match self.purpose {
                Purpose::Heartbeat => Ok(append::unary(self, input, option.hard_ttl())),
                Purpose::General => append::pipelined(self, input).await,
            }
        })
    }
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Plane::Control);
        let response = within(option.soft_ttl(), client.vote(self.ballot(request))).await?;
        voted(response)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Plane::Control);
        let response = within(option.soft_ttl(), client.pre_vote(self.ballot(request))).await?;
        voted(response)
    }
}

impl Peer {
    fn ballot(&self, request: VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            origin: Some(self.origin()),
            vote: Some(wire::vote_to_pb(&request.vote)),
            last_log_id: wire::some_log_id(request.last_log_id.as_ref()),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

fn voted(response: pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, RpcError> {
    Ok(VoteResponse {
        vote: wire::vote_from_pb(response.vote).map_err(malformed)?,
        vote_granted: response.granted,
        last_log_id: wire::maybe_log_id(response.last_log_id),
    })
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let message = pb::TransferLeaderRequest {
            origin: Some(self.origin()),
            from: Some(wire::vote_to_pb(request.from_leader())),
            to: *request.to_node_id(),
            last_log_id: wire::some_log_id(request.last_log_id()),
        };
        let mut client = self.client(Plane::Control);
        let response = within(option.soft_ttl(), client.transfer_leader(message)).await?;
        if response.accepted {
            return Ok(Ok(()));
        }
        let actual = wire::vote_from_pb(response.vote).map_err(malformed)?;
        Ok(Err(TransferLeaderError::VoteChanged { expected: *request.from_leader(), actual }))
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = SnapshotFiles;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = snapshot::send(self, vote, snapshot) => sent,
        }
    }
}
