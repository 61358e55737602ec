//! Where commands go: into this node's log if it leads, else to the leader.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kho_proto::id::{Epoch, NodeId};
use kho_proto::pb::ledger::v1::{Command, command::Kind};
use tokio::sync::watch;

use super::entry;
use super::forward::Peers;
use super::keys_missing;
use super::metric_definitions::Hop;
use super::propose::{Answer, Error, Propose};
use super::receipt::Receipts;
use crate::consensus::{Consensus, ProposeError};
use crate::pulse::Pulse;
use crate::seams::Clock;
use crate::storage::fatal::FatalSwitch;

/// Between attempts while the leader that this node knows does not take it: it may not know the new one yet.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// What was sent to a leader that handed over in good order is still answered; so long after that it is unknown.
const OLD_LEADER_GRACE: Duration = Duration::from_millis(200);

/// Proposes where the leader is.
pub struct Route {
    /// This node.
    pub(crate) node: NodeId,
    /// Epoch of what it proposes.
    pub(crate) epoch: Epoch,
    /// The log.
    pub(crate) consensus: Consensus,
    /// Who leads, as far as this node knows.
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    /// The other nodes.
    pub(crate) peers: Arc<Peers>,
    /// None without a keyring.
    pub(crate) receipts: Option<Arc<Receipts>>,
    /// Whether this node may propose as the leader.
    pub(crate) pulse: Arc<Pulse>,
    /// For the entries' time.
    pub(crate) clock: Arc<dyn Clock>,
    /// After this has fired nothing is acknowledged.
    pub(crate) fatal: FatalSwitch,
}

impl Route {
    fn leader(&self) -> Option<NodeId> {
        *self.leader.borrow()
    }

    async fn propose_here(&self, commands: &[Command]) -> Result<Vec<Answer>, Error> {
        let receipts = self.receipts.as_ref().ok_or_else(|| Error::NotProposed(keys_missing()))?;
        self.pulse.check().map_err(Error::NotProposed)?;
        if commands.iter().any(|command| matches!(command.kind, Some(Kind::PutObjectChunk(_)))) {
            self.pulse.check_object().map_err(Error::NotProposed)?;
        }
        let entry = entry::encode(self.epoch, self.clock.now(), commands);
        let committed = match Hop::Commit.time_async(self.consensus.propose(entry)).await {
            Ok(committed) => committed,
            Err(ProposeError::NotLeader { .. }) => return Err(Error::NotLeader),
            Err(ProposeError::Stopping) => return Err(Error::NotLeader),
            Err(error @ (ProposeError::Unknown | ProposeError::Storage)) => {
                tracing::debug!(%error, "the outcome of an entry is not known");
                return Err(Error::Unknown);
            }
        };
        let answers = Hop::Receipt.time(|| receipts.answers(committed.effects)).map_err(|error| {
            tracing::error!(%error, "committed records have no receipt");
            Error::Unknown
        })?;
        if self.fatal.fired() { Err(Error::Unknown) } else { Ok(answers) }
    }

    /// Ends some time after another node is known to lead.
    async fn gone(&self, leader: NodeId) {
        let mut watch = self.leader.clone();
        if watch.wait_for(|now| now.is_some_and(|now| now != leader)).await.is_ok() {
            tokio::time::sleep(OLD_LEADER_GRACE).await;
        } else {
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Propose for Route {
    async fn propose(&self, commands: &[Command]) -> Result<Vec<Answer>, Error> {
        match self.leader() {
            None => Err(Error::NotLeader),
            Some(leader) if leader == self.node => self.propose_here(commands).await,
            Some(leader) => Hop::Forward.time_async(self.peers.propose(leader, commands, self.gone(leader))).await,
        }
    }

    async fn leader_may_have_changed(&self) {
        let mut watch = self.leader.clone();
        watch.mark_unchanged();
        // An error: the node stops, and the pause keeps the last attempts from spinning.
        let changed = async {
            if watch.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        drop(tokio::time::timeout(RETRY_PAUSE, changed).await);
    }

    fn leads(&self) -> bool {
        self.leader() == Some(self.node)
    }
}
