//! Forming a cluster: the members become voters, then the genesis record becomes leaf 0.
//!
//! A crash between the two is healed: whichever keyed node leads a log without a genesis proposes it. Asking again is
//! harmless.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{ClusterId, Epoch, NodeId};
use kho_proto::pb::admin::v1::InitClusterResponse;
use kho_proto::pb::ledger::v1::{Command, Genesis, command::Kind};
use tokio::sync::watch;

use crate::consensus::{Consensus, InitError, StateStore};
use crate::keys::Notary;
use crate::seams::Clock;
use crate::write::{Deadline, Queue, keys_missing};

/// An election, and one entry.
const FORM_TIMEOUT: Duration = Duration::from_secs(20);
/// Between looks at the state while it forms.
const POLL: Duration = Duration::from_millis(20);
/// Before a leader proposes the genesis again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Forms the cluster.
pub struct Formation {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) members: Vec<NodeId>,
    pub(crate) consensus: Consensus,
    pub(crate) state: StateStore,
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) queue: Queue,
    pub(crate) notary: Option<Arc<Notary>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Formation {
    /// Forms the cluster if it is not, and says what it is.
    pub async fn init(&self) -> Result<InitClusterResponse, Refusal> {
        let notary = self.notary.as_ref().ok_or_else(keys_missing)?;
        if self.state.tip().cluster_id().is_none() {
            match self.consensus.initialize().await {
                Ok(()) | Err(InitError::AlreadyInitialized) => {}
                Err(error) => return Err(Refusal::new(Code::StorageFailed, format!("forming the cluster: {error}"))),
            }
        }
        let formed = async {
            while self.state.tip().cluster_id().is_none() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(FORM_TIMEOUT, formed).await.map_err(|_| {
            let members = self.members.len();
            Refusal::new(
                Code::NoLeader,
                format!("no genesis record after {FORM_TIMEOUT:?}; are most of the {members} members up?"),
            )
        })?;
        let (view, tip) = self.state.read();
        Ok(InitClusterResponse {
            cluster_id: Bytes::copy_from_slice(self.cluster.as_ref()),
            origin: tip.origin().map(|origin| origin.to_string()).unwrap_or_default(),
            verifier_key: notary.verifier_key(&view, &tip)?.to_string(),
            members: self.members.iter().map(|node| node.0).collect(),
        })
    }

    /// Runs until the cluster is formed: proposes the genesis whenever this node leads a log without one.
    pub async fn keep(self: Arc<Self>) {
        let Some(notary) = &self.notary else { return };
        let mut leader = self.leader.clone();
        while self.state.tip().cluster_id().is_none() {
            if *leader.borrow_and_update() == Some(self.node) {
                self.propose_genesis(notary).await;
            }
            // Either way: look again.
            drop(tokio::time::timeout(RETRY_PAUSE, leader.changed()).await);
        }
    }

    async fn propose_genesis(&self, notary: &Notary) {
        let public_key = match notary.public_key(self.epoch) {
            Ok(public_key) => public_key,
            Err(error) => {
                tracing::error!(%error, "no genesis record can be made");
                return;
            }
        };
        let genesis = Genesis {
            cluster_id: Bytes::copy_from_slice(self.cluster.as_ref()),
            epoch: self.epoch.0,
            created_at_ms: self.clock.now().0,
            log_public_key: Bytes::copy_from_slice(&public_key),
        };
        let command = Command { kind: Some(Kind::Genesis(genesis)) };
        match self.queue.propose(command, Deadline::after(Some(FORM_TIMEOUT))).await {
            Ok(answer) => tracing::info!(cluster = %self.cluster, ?answer, "genesis"),
            Err(error) => tracing::warn!(%error, "genesis"),
        }
    }
}
