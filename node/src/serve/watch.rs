//! What runs beside requests: gauges, the check of the keys, and leadership that a node can't use.

use std::sync::Arc;
use std::time::Duration;

use kho_proto::id::NodeId;
use tokio::sync::watch;

use super::metric_definitions::observe;
use crate::consensus::{Consensus, StateStore};
use crate::keys::{GuardError, Notary};
use crate::telemetry::Recorder;

/// Between looks at the gauges.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(5);
/// Between looks at a state that has no genesis yet.
const GUARD_INTERVAL: Duration = Duration::from_millis(200);
/// Between attempts to hand leadership over.
const HAND_OVER_INTERVAL: Duration = Duration::from_secs(1);

/// Sets gauges and folds histograms, for ever.
pub(super) async fn gauges(consensus: Consensus, state: StateStore, recorder: Option<Recorder>) {
    loop {
        observe(&consensus.status(), state.tip().size());
        if let Some(recorder) = &recorder {
            recorder.upkeep();
        }
        tokio::time::sleep(OBSERVE_INTERVAL).await;
    }
}

/// Ends with an error if the state turns out to be of other keys; with none once it is of these.
pub(super) async fn guard(notary: Arc<Notary>, state: StateStore) -> Result<(), GuardError> {
    loop {
        let checked = {
            let (view, tip) = state.read();
            notary.check(&view, &tip)
        };
        match checked {
            Err(GuardError::NotFormed) => tokio::time::sleep(GUARD_INTERVAL).await,
            done => return done,
        }
    }
}

/// A node without keys stays electable, and hands over whenever it leads.
pub(super) async fn hand_over(node: NodeId, consensus: Consensus, mut leader: watch::Receiver<Option<NodeId>>) {
    loop {
        let leads = *leader.borrow_and_update() == Some(node);
        if leads {
            match consensus.transfer_leader(None).await {
                Ok(to) => tracing::info!(%to, "handed leadership over: this node has no keyring"),
                Err(error) => tracing::warn!(%error, "leadership was not handed over"),
            }
        }
        // Nobody tells of leaders any more: the node ends.
        if let Ok(Err(_)) = tokio::time::timeout(HAND_OVER_INTERVAL, leader.changed()).await {
            return;
        }
    }
}
