//! Linearizable reads on any node: the leader proves that it still leads and names a log index; once that is applied
//! here, this node's state holds everything that was acknowledged before the read began. No leases.
//!
//! Readers that arrive while a round is under way share the next one: a round that began before a reader did may
//! know too little.

use std::sync::Arc;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};
use kho_proto::id::{LogIndex, NodeId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::consensus::Consensus;
use crate::seams::Tasks;
use crate::write::{Deadline, Peers};

/// Readers that wait for a round, at most.
const WAITING_MAX: usize = 4096;
/// A round goes on looking for a leader for so long, whatever its readers' deadlines.
const ROUND_TIMEOUT: Duration = Duration::from_secs(3);
/// Between attempts while no leader answers.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

type Reader = oneshot::Sender<Option<LogIndex>>;

/// Lets a read pass once this node's state is new enough.
pub struct Barrier {
    consensus: Consensus,
    readers: mpsc::Sender<Reader>,
}

impl Barrier {
    /// Starts the task that asks the leader.
    pub fn start(
        node: NodeId,
        consensus: Consensus,
        leader: watch::Receiver<Option<NodeId>>,
        peers: Arc<Peers>,
        tasks: &dyn Tasks,
    ) -> Arc<Barrier> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let rounds = Rounds { node, consensus: consensus.clone(), leader, peers };
        tasks.spawn("read-barrier", Box::pin(rounds.run(receiver)));
        Arc::new(Barrier { consensus, readers: sender })
    }

    /// Waits until this node's state holds all that was acknowledged before the call.
    pub async fn pass(&self, deadline: Deadline) -> Result<(), Refusal> {
        let (reply, index) = oneshot::channel();
        self.readers.try_send(reply).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::new(Code::Overloaded, "too many readers wait"),
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        let index = match tokio::time::timeout_at(deadline.at(), index).await {
            Ok(Ok(Some(index))) => index,
            Ok(Ok(None)) | Err(_) => return Err(Refusal::new(Code::NoLeader, "no leader confirmed the read in time")),
            Ok(Err(_)) => return Err(stopping()),
        };
        self.consensus.wait_applied(index, deadline.left()).await.map_err(|error| {
            Refusal::new(Code::NoLeader, format!("this node has not applied log index {index} in time: {error}"))
        })
    }
}

fn stopping() -> Refusal {
    Refusal::new(Code::NodeStopping, "the node is shutting down")
}

struct Rounds {
    node: NodeId,
    consensus: Consensus,
    leader: watch::Receiver<Option<NodeId>>,
    peers: Arc<Peers>,
}

impl Rounds {
    async fn run(mut self, mut readers: mpsc::Receiver<Reader>) {
        let mut waiting = Vec::new();
        while readers.recv_many(&mut waiting, WAITING_MAX).await > 0 {
            let index = tokio::time::timeout(ROUND_TIMEOUT, self.round()).await.ok();
            metrics::histogram!(super::metric_definitions::BARRIER_READERS).record(waiting.len() as f64);
            for reader in waiting.drain(..) {
                // Nobody may wait any more.
                let _ = reader.send(index);
            }
        }
    }

    async fn round(&mut self) -> LogIndex {
        loop {
            let leader = *self.leader.borrow_and_update();
            let index = match leader {
                None => None,
                Some(leader) if leader == self.node => self.consensus.read_index().await.ok(),
                Some(leader) => self.peers.read_index(leader).await.ok(),
            };
            if let Some(index) = index {
                return index;
            }
            // Either way: ask again.
            drop(tokio::time::timeout(RETRY_PAUSE, self.leader.changed()).await);
        }
    }
}
