use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::{Stream, StreamExt, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1::forward_server::{Forward, ForwardServer};
use kho_proto::pb::peer::v1::{
    CallStatus, DescribeRequest, DescribeResponse, Proposal, ProposalAnswer, ProposeRequest, ProposeResponse,
    PulseRequest, PulseResponse, ReadIndexRequest, ReadIndexResponse, proposal_answer,
};
use tonic::{Code as GrpcCode, Request, Response, Status, Streaming};

use super::connection::{ConnectError, Link};
use super::lane::NotSent;
use super::{Error, not_opened};
use crate::seams::{BoxIo, Dial, Seams};

/// A leader that takes three proposals, answers them last first, the second with a refusal, and ends the call with the
/// fourth. Or one of a release that knows no such call.
#[derive(Clone, Default)]
struct Leader {
    old: bool,
    asked: Arc<AtomicUsize>,
}

fn answer(proposal: Proposal) -> ProposalAnswer {
    let epoch = proposal.request.and_then(|request| request.origin).map_or(0, |origin| origin.epoch);
    let result = if epoch == 2 {
        proposal_answer::Result::Status(CallStatus {
            code: GrpcCode::ResourceExhausted.into(),
            message: "full".to_owned(),
            details: b"details".as_slice().into(),
        })
    } else {
        proposal_answer::Result::Response(ProposeResponse { epoch, outcomes: Vec::new() })
    };
    ProposalAnswer { number: proposal.number, result: Some(result) }
}

#[async_trait]
impl Forward for Leader {
    async fn propose(&self, _: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type ProposeStreamStream = Pin<Box<dyn Stream<Item = Result<ProposalAnswer, Status>> + Send>>;

    async fn propose_stream(
        &self,
        request: Request<Streaming<Proposal>>,
    ) -> Result<Response<Self::ProposeStreamStream>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.old {
            return Err(Status::unimplemented(""));
        }
        let mut proposals = request.into_inner();
        let answers = stream::once(async move {
            let mut taken = Vec::new();
            for _ in 0..3 {
                taken.extend(proposals.message().await.ok().flatten().map(answer));
            }
            let fourth = stream::once(async move {
                drop(proposals.message().await);
                Err(Status::unavailable("the leader is gone"))
            });
            stream::iter(taken.into_iter().rev().map(Ok)).chain(fourth)
        });
        Ok(Response::new(Box::pin(answers.flatten())))
    }

    async fn read_index(&self, _: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn describe(&self, _: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn pulse(&self, _: Request<PulseRequest>) -> Result<Response<PulseResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[async_trait]
impl Dial for Leader {
    async fn dial(&self, _: NodeId, _: &str) -> io::Result<BoxIo> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let service = TowerToHyperService::new(ForwardServer::new(self.clone()));
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(served.serve_connection(TokioIo::new(far), service));
        Ok(Box::new(near))
    }
}

fn link(leader: &Leader) -> Link {
    Link::new(Arc::new(leader.clone()), Seams::system().tasks, NodeId(1), "leader:1".to_owned())
}

/// A proposal that its answer can be told by.
fn marked(epoch: u64) -> ProposeRequest {
    let origin = kho_proto::pb::peer::v1::Origin { epoch, ..Default::default() };
    ProposeRequest { origin: Some(origin), commands: Vec::new() }
}

#[tokio::test]
async fn answers_find_those_who_wait_for_them_in_whatever_order() {
    let lane = link(&Leader::default()).lane().await.expect("the leader answers").expect("and takes the call");
    let mut answered = Vec::new();
    for epoch in 1..=3 {
        answered.push(lane.propose(marked(epoch)).await.expect("the call goes on"));
    }
    let mut found = Vec::new();
    for answered in answered {
        found.push(answered.await.expect("an answer"));
    }
    assert_eq!(found[0].as_ref().map(|response| response.epoch).ok(), Some(1));
    assert_eq!(found[2].as_ref().map(|response| response.epoch).ok(), Some(3));
    let refused = found[1].as_ref().expect_err("the second is refused");
    assert_eq!(
        (refused.code(), refused.message(), refused.details()),
        (GrpcCode::ResourceExhausted, "full", &b"details"[..])
    );
}

#[tokio::test]
async fn what_was_on_its_way_when_the_call_ended_is_unknown_and_the_next_is_not_sent() {
    let link = link(&Leader::default());
    let lane = link.lane().await.expect("the leader answers").expect("and takes the call");
    let mut answered = Vec::new();
    for epoch in 1..=4 {
        answered.push(lane.propose(marked(epoch)).await.expect("the call goes on"));
    }
    let last = answered.pop().expect("there are four");
    for answered in answered {
        answered.await.expect("an answer").ok();
    }
    last.await.expect_err("nobody will ever know");
    assert!(!lane.stands());
    assert!(matches!(lane.propose(marked(5)).await, Err(NotSent)));
    let next = link.lane().await.expect("the leader answers").expect("and takes another call");
    next.propose(marked(6)).await.expect("which takes proposals again");
}

#[tokio::test]
async fn a_leader_of_an_older_release_is_asked_once() {
    let leader = Leader { old: true, ..Leader::default() };
    let link = link(&leader);
    for _ in 0..3 {
        assert!(link.lane().await.expect("the leader answers").is_none());
    }
    assert_eq!(leader.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_call_that_was_refused_says_why_and_one_that_was_not_reached_may_be_tried_elsewhere() {
    let refusal = Refusal::new(Code::PeerMismatch, "another cluster");
    let refused = ConnectError::Call(Box::new(kho_proto::status::to_status(&refusal)));
    assert_eq!(not_opened(&refused), Error::NotProposed(refusal));
    for lost in [
        ConnectError::Call(Box::new(Status::deadline_exceeded("the call was not taken in time"))),
        ConnectError::Dial(io::ErrorKind::ConnectionRefused.into()),
    ] {
        assert_eq!(not_opened(&lost), Error::NotLeader);
    }
}
