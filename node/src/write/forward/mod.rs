//! To the leader, over the peer plane. A request that may have been delivered is never sent again.

mod connection;
mod lane;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};
use kho_proto::id::{LogIndex, NodeId};
use kho_proto::pb::ledger::v1::Command;
use kho_proto::pb::peer::v1::forward_client::ForwardClient;
use kho_proto::pb::peer::v1::{
    DescribeRequest, ProposeRequest, ProposeResponse, PulseRequest, PulseResponse, ReadIndexRequest,
};
use parking_lot::Mutex;
use tonic::{Code as GrpcCode, Request, Status};

use super::propose::{Answer, Error};
use crate::consensus::Consensus;
use crate::seams::{Dial, Tasks};
use connection::{ConnectError, Http2, Link};
use lane::{Lane, NotSent};

use outcome::from_wire;
pub(crate) use outcome::to_wire;

/// Bytes of a message between nodes, at most: an entry of the largest size with room.
pub const MESSAGE_LENGTH_MAX: usize = 16 << 20;
/// A leader that has not answered by then is not waited for: longer than any client's default deadline.
pub(crate) const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// A round of heartbeats takes milliseconds.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(2);
/// A node says at once what it knows.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a build from before it could be asked applies.
const ENTRY_VERSION_FIRST: u32 = 1;
/// An answer that takes longer says nothing of a clock.
const PULSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections to the other nodes for what is forwarded.
pub struct Peers {
    consensus: Consensus,
    dial: Arc<dyn Dial>,
    tasks: Arc<dyn Tasks>,
    links: Mutex<BTreeMap<NodeId, Arc<Link>>>,
}

impl Peers {
    /// To whoever is a member, where it then listens.
    pub fn new(consensus: Consensus, dial: Arc<dyn Dial>, tasks: Arc<dyn Tasks>) -> Self {
        Self { consensus, dial, tasks, links: Mutex::default() }
    }

    fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        let address = self.consensus.peer_address(node)?;
        let mut links = self.links.lock();
        match links.get(&node).filter(|link| link.address() == address) {
            Some(link) => Some(link.clone()),
            None => {
                let link = Arc::new(Link::new(self.dial.clone(), self.tasks.clone(), node, address));
                links.insert(node, link.clone());
                Some(link)
            }
        }
    }

    /// Proposes at `leader`. `gone` ends when the leader is known to be another: what is on its way is then unknown.
    pub(super) async fn propose(
        &self,
        leader: NodeId,
        commands: &[Command],
        gone: impl Future<Output = ()>,
    ) -> Result<Vec<Answer>, Error> {
        tokio::pin!(gone);
        let way = tokio::select! {
            way = self.way(leader) => way?,
            () = &mut gone => return Err(Error::NotLeader),
        };
        let request =
            ProposeRequest { origin: Some(self.consensus.peer_gate().origin(leader)), commands: commands.to_vec() };
        // From here on the leader may have it, unless the way says that it was not sent.
        let answered = tokio::select! {
            answered = tokio::time::timeout(PROPOSE_TIMEOUT, way.propose(request)) => answered,
            () = gone => return Err(Error::Unknown),
        };
        match answered.unwrap_or(Err(Error::Unknown))? {
            Ok(response) => {
                let outcomes = response.outcomes;
                if outcomes.len() != commands.len() {
                    tracing::error!(expected = commands.len(), found = outcomes.len(), %leader, "outcomes are missing");
                    return Err(Error::Unknown);
                }
                outcomes.into_iter().map(from_wire).collect()
            }
            Err(status) => Err(refused(&status)),
        }
    }

    /// How `leader` takes proposals. An error: nothing was sent.
    async fn way(&self, leader: NodeId) -> Result<Way, Error> {
        let Some(link) = self.link(leader) else {
            unknown(leader);
            return Err(Error::NotLeader);
        };
        match link.lane().await {
            Ok(Some(lane)) => Ok(Way::Lane(lane)),
            Ok(None) => self.client(leader).await.map(Way::Calls).map_err(|()| Error::NotLeader),
            Err(error) => {
                unreachable(leader, &error);
                Err(not_opened(&error))
            }
        }
    }

    /// Log index that a linearizable read must have applied.
    pub(crate) async fn read_index(&self, leader: NodeId) -> Result<LogIndex, Error> {
        let mut client = self.client(leader).await.map_err(|()| Error::NotLeader)?;
        let mut request = Request::new(ReadIndexRequest { origin: Some(self.consensus.peer_gate().origin(leader)) });
        request.set_timeout(READ_INDEX_TIMEOUT);
        match tokio::time::timeout(READ_INDEX_TIMEOUT, client.read_index(request)).await {
            Ok(Ok(response)) => Ok(LogIndex(response.into_inner().index)),
            // Reading leaves nothing behind: asking again is always safe.
            Ok(Err(_)) | Err(_) => Err(Error::NotLeader),
        }
    }

    /// The newest entry version that `node` applies; none: it does not answer.
    pub(crate) async fn entry_version_max(&self, node: NodeId) -> Option<u32> {
        let mut client = self.client(node).await.ok()?;
        let mut request = Request::new(DescribeRequest { origin: Some(self.consensus.peer_gate().origin(node)) });
        request.set_timeout(DESCRIBE_TIMEOUT);
        match tokio::time::timeout(DESCRIBE_TIMEOUT, client.describe(request)).await {
            Ok(Ok(response)) => Some(response.into_inner().entry_version_max),
            Ok(Err(status)) if status.code() == GrpcCode::Unimplemented => Some(ENTRY_VERSION_FIRST),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// How another node's surroundings are.
    pub(crate) async fn pulse(&self, node: NodeId) -> Result<PulseResponse, Error> {
        let asked = async {
            let mut client = self.client(node).await.map_err(|()| Error::NotLeader)?;
            let mut request = Request::new(PulseRequest { origin: Some(self.consensus.peer_gate().origin(node)) });
            request.set_timeout(PULSE_TIMEOUT);
            client.pulse(request).await.map(tonic::Response::into_inner).map_err(|status| refused(&status))
        };
        tokio::time::timeout(PULSE_TIMEOUT, asked).await.unwrap_or(Err(Error::NotLeader))
    }

    async fn client(&self, node: NodeId) -> Result<ForwardClient<Http2>, ()> {
        let link = self.link(node).ok_or_else(|| unknown(node))?;
        link.connect().await.map(connection::client).map_err(|error| unreachable(node, &error))
    }
}

fn unknown(node: NodeId) {
    tracing::warn!(%node, "the leader is not among the members");
}

fn unreachable(node: NodeId, error: &ConnectError) {
    tracing::debug!(%node, %error, "the leader can't be reached");
}

/// A refusal of the call itself says why; without one the leader was not reached.
fn not_opened(error: &ConnectError) -> Error {
    let ConnectError::Call(status) = error else { return Error::NotLeader };
    kho_proto::status::from_status(status).map_or(Error::NotLeader, Error::NotProposed)
}

/// How a leader takes proposals.
enum Way {
    /// One after another over one call.
    Lane(Lane),
    /// Each with a call of its own: a node of a release before there were lanes.
    Calls(ForwardClient<Http2>),
}

impl Way {
    /// What the leader says. An error: it said nothing.
    async fn propose(self, request: ProposeRequest) -> Result<Result<ProposeResponse, Status>, Error> {
        match self {
            Way::Lane(lane) => match lane.propose(request).await {
                Ok(answered) => answered.await.map_err(|_| Error::Unknown),
                Err(NotSent) => Err(Error::NotLeader),
            },
            Way::Calls(mut client) => {
                let mut request = Request::new(request);
                request.set_timeout(PROPOSE_TIMEOUT);
                Ok(client.propose(request).await.map(tonic::Response::into_inner))
            }
        }
    }
}

/// The leader's refusals say whether anything was proposed; a broken connection does not.
fn refused(status: &Status) -> Error {
    match kho_proto::status::from_status(status) {
        None => Error::Unknown,
        Some(refusal) if refusal.code == Code::OutcomeUnknown => Error::Unknown,
        Some(Refusal { code: Code::NotLeader, .. }) => Error::NotLeader,
        Some(refusal) => Error::NotProposed(refusal),
    }
}
