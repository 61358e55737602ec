//! One call to a leader over which batch after batch goes and answers come back, whichever is known first: a call for each
//! batch would cost both nodes a few times as much.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::pb::peer::v1::forward_client::ForwardClient;
use kho_proto::pb::peer::v1::{Proposal, ProposalAnswer, ProposeRequest, ProposeResponse, proposal_answer};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code as GrpcCode, Status, Streaming};

use super::connection::Http2;
use crate::seams::Tasks;
use crate::write::PROPOSALS_MAX;

/// A node that has not taken the call by then is gone.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// What a proposal came to; none: the call ended before its answer.
type Answered = Result<ProposeResponse, Status>;

/// Clones share the call. It ends when the last one is gone, or with its connection.
#[derive(Clone)]
pub(super) struct Lane {
    proposals: mpsc::Sender<Proposal>,
    open: Arc<Mutex<Open>>,
}

/// Who waits for an answer, by number.
#[derive(Default)]
struct Open {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Answered>>,
    ended: bool,
}

/// The proposal surely did not go out: the call had ended.
#[derive(Debug)]
pub(super) struct NotSent;

impl Lane {
    /// Opens the call. An error: nothing was sent; the node may be of a release that does not know it.
    pub async fn open(mut client: ForwardClient<Http2>, tasks: &dyn Tasks) -> Result<Self, Box<Status>> {
        let (proposals, outbound) = mpsc::channel(PROPOSALS_MAX);
        let opened = tokio::time::timeout(OPEN_TIMEOUT, client.propose_stream(ReceiverStream::new(outbound)));
        let inbound = opened.await.map_err(|_| Status::deadline_exceeded("the call was not taken in time"))??;
        let open = Arc::new(Mutex::new(Open::default()));
        tasks.spawn("forward-answers", Box::pin(read(inbound.into_inner(), open.clone())));
        Ok(Self { proposals, open })
    }

    /// Whether the call goes on, as far as anyone knows.
    pub fn stands(&self) -> bool {
        !self.open.lock().ended && !self.proposals.is_closed()
    }

    /// Sends a batch. What it came to is known when the receiver says so; a receiver that is closed: nobody will ever know.
    pub async fn propose(&self, request: ProposeRequest) -> Result<oneshot::Receiver<Answered>, NotSent> {
        let (reply, answered) = oneshot::channel();
        let number = {
            let mut open = self.open.lock();
            if open.ended {
                return Err(NotSent);
            }
            // those who gave up waiting
            open.waiting.retain(|_, reply| !reply.is_closed());
            open.last += 1;
            let number = open.last;
            open.waiting.insert(number, reply);
            number
        };
        match self.proposals.send(Proposal { number, request: Some(request) }).await {
            Ok(()) => Ok(answered),
            Err(_closed) => {
                self.open.lock().waiting.remove(&number);
                Err(NotSent)
            }
        }
    }
}

/// Hands answers out until the call ends; who waits then hears that nothing will come.
async fn read(mut inbound: Streaming<ProposalAnswer>, open: Arc<Mutex<Open>>) {
    loop {
        match inbound.message().await {
            Ok(Some(ProposalAnswer { number, result })) => {
                let Some(reply) = open.lock().waiting.remove(&number) else { continue };
                let answered = match result {
                    Some(proposal_answer::Result::Response(response)) => Ok(response),
                    Some(proposal_answer::Result::Status(status)) => {
                        Err(Status::with_details(GrpcCode::from(status.code), status.message, status.details))
                    }
                    // of a later release; as good as none
                    None => continue,
                };
                // nobody may wait any more
                drop(reply.send(answered));
            }
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(%status, "the call that carries proposals ended");
                break;
            }
        }
    }
    let waiting = {
        let mut open = open.lock();
        open.ended = true;
        std::mem::take(&mut open.waiting)
    };
    drop(waiting);
}
