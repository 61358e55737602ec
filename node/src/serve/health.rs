//! `grpc.health.v1`: serving while a leader is known and the node is not stopping.

use kho_proto::id::NodeId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

const STORE: &str = "kho.v1.Store";
const WHOLE: &str = "";

/// Follows the leader until `stopping`; from then on the node does not serve.
pub(super) async fn follow(
    reporter: HealthReporter,
    mut leader: watch::Receiver<Option<NodeId>>,
    stopping: CancellationToken,
) {
    loop {
        let known = leader.borrow_and_update().is_some();
        report(&reporter, if known { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        tokio::select! {
            changed = leader.changed() => if changed.is_err() { break },
            () = stopping.cancelled() => break,
        }
    }
    report(&reporter, ServingStatus::NotServing).await;
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    reporter.set_service_status(STORE, status).await;
    reporter.set_service_status(WHOLE, status).await;
}
