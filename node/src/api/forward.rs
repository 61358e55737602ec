//! `kho.peer.v1.Forward`: what other nodes ask of this one as the leader.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, TryStreamExt};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1::forward_server::Forward;
use kho_proto::pb::peer::v1::{
    CallStatus, DescribeRequest, DescribeResponse, Origin, Proposal, ProposalAnswer, ProposeRequest, ProposeResponse,
    PulseRequest, PulseResponse, ReadIndexRequest, ReadIndexResponse, proposal_answer,
};
use tokio::sync::watch;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::context::{deadline, identity, refuse};
use crate::consensus::{Consensus, PeerGate};
use crate::pulse::Pulse;
use crate::write::batch::{ENTRY_COMMANDS_MAX, Hop};
use crate::write::{Deadline, PROPOSALS_MAX, PROPOSE_TIMEOUT, Queue, to_wire};

/// The peer plane's service for forwarded requests.
#[derive(Clone)]
pub struct ForwardService {
    pub(crate) node: NodeId,
    pub(crate) gate: PeerGate,
    pub(crate) consensus: Consensus,
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) queue: Queue,
    pub(crate) pulse: Arc<Pulse>,
}

impl ForwardService {
    fn admit(&self, extensions: &Extensions, origin: Option<&Origin>) -> Result<(), Refusal> {
        let peer = identity(extensions).node()?;
        self.gate.check(origin, Some(&peer)).map(drop).map_err(|mismatch| {
            Refusal::new(Code::PeerMismatch, format!("a peer message is not for this node: {}", mismatch.field))
                .expected_found(mismatch.expected, mismatch.found)
        })
    }

    fn check(&self, extensions: &Extensions, origin: Option<&Origin>) -> Result<(), Refusal> {
        self.admit(extensions, origin)?;
        if *self.leader.borrow() == Some(self.node) { Ok(()) } else { Err(not_leader()) }
    }

    async fn propose_for(
        &self,
        extensions: &Extensions,
        request: ProposeRequest,
        deadline: Deadline,
    ) -> Result<ProposeResponse, Status> {
        self.check(extensions, request.origin.as_ref()).map_err(refuse)?;
        let commands = request.commands;
        if !(1..=ENTRY_COMMANDS_MAX).contains(&commands.len()) {
            let refusal = Refusal::new(Code::RequestMalformed, "a forwarded batch is empty or too large")
                .expected_found(format!("1 to {ENTRY_COMMANDS_MAX} commands"), commands.len().to_string());
            return Err(refuse(refusal));
        }
        let answers =
            self.queue.propose_all(commands, Hop::Peer, deadline).await.map_err(|error| refuse(error.into()))?;
        let outcomes = answers.into_iter().map(to_wire).collect();
        Ok(ProposeResponse { epoch: self.gate.epoch(), outcomes })
    }

    async fn answer(&self, extensions: &Extensions, proposal: Proposal) -> ProposalAnswer {
        let deadline = Deadline::after(Some(PROPOSE_TIMEOUT));
        let answered = self.propose_for(extensions, proposal.request.unwrap_or_default(), deadline).await;
        let result = match answered {
            Ok(response) => proposal_answer::Result::Response(response),
            Err(status) => proposal_answer::Result::Status(CallStatus {
                code: status.code().into(),
                message: status.message().to_owned(),
                details: status.details().to_vec().into(),
            }),
        };
        ProposalAnswer { number: proposal.number, result: Some(result) }
    }
}

fn not_leader() -> Refusal {
    Refusal::new(Code::NotLeader, "this node does not lead; nothing was proposed")
}

#[async_trait]
impl Forward for ForwardService {
    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        let deadline = deadline(request.metadata());
        let (_, extensions, request) = request.into_parts();
        self.propose_for(&extensions, request, deadline).await.map(Response::new)
    }

    type ProposeStreamStream = Pin<Box<dyn Stream<Item = Result<ProposalAnswer, Status>> + Send>>;

    async fn propose_stream(
        &self,
        request: Request<Streaming<Proposal>>,
    ) -> Result<Response<Self::ProposeStreamStream>, Status> {
        let (_, extensions, proposals) = request.into_parts();
        let (service, extensions) = (self.clone(), Arc::new(extensions));
        let answers = proposals
            .map_ok(move |proposal| {
                let (service, extensions) = (service.clone(), extensions.clone());
                async move { Ok(service.answer(&extensions, proposal).await) }
            })
            // as many as the other node's batches that may be under way: nothing waits unread
            .try_buffer_unordered(PROPOSALS_MAX);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn read_index(&self, request: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        self.check(request.extensions(), request.get_ref().origin.as_ref()).map_err(refuse)?;
        let index = self.consensus.read_index().await.map_err(|error| {
            tracing::debug!(%error, "no read index");
            refuse(not_leader())
        })?;
        Ok(Response::new(ReadIndexResponse { epoch: self.gate.epoch(), index: index.0 }))
    }

    async fn describe(&self, request: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        self.admit(request.extensions(), request.get_ref().origin.as_ref()).map_err(refuse)?;
        let (version, newest) = (env!("CARGO_PKG_VERSION").to_owned(), *kho_ledger::bounds::ENTRY_VERSIONS.end());
        Ok(Response::new(DescribeResponse { version, entry_version_max: newest }))
    }

    async fn pulse(&self, request: Request<PulseRequest>) -> Result<Response<PulseResponse>, Status> {
        self.admit(request.extensions(), request.get_ref().origin.as_ref()).map_err(refuse)?;
        Ok(Response::new(self.pulse.tell(self.gate.epoch())))
    }
}
