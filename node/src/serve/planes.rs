//! Which services answer on which listener.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kho_proto::pb::admin::v1::admin_server::AdminServer;
use kho_proto::pb::peer::v1::forward_server::ForwardServer;
use kho_proto::pb::v1::store_server::StoreServer;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::admin::AdminService;
use crate::api::{ForwardService, REQUEST_LENGTH_MAX, StoreService};
use crate::consensus::Consensus;
use crate::identity::{Identity, Role};
use crate::telemetry::Recorder;
use crate::write::MESSAGE_LENGTH_MAX;

/// Clients.
pub(super) fn client<H: Health>(store: StoreService, health: HealthServer<H>) -> Routes {
    Routes::new(StoreServer::new(store).max_decoding_message_size(REQUEST_LENGTH_MAX)).add_service(health).prepare()
}

/// Nodes.
pub(super) fn peer(forward: ForwardService, consensus: &Consensus) -> Routes {
    let forward = ForwardServer::new(forward)
        .max_decoding_message_size(MESSAGE_LENGTH_MAX)
        .max_encoding_message_size(MESSAGE_LENGTH_MAX);
    Routes::new(forward).add_service(consensus.raft_service()).prepare()
}

/// Operators.
pub(super) fn admin<H: Health>(admin: AdminService, health: HealthServer<H>, recorder: Option<Recorder>) -> Routes {
    let grpc = Routes::new(AdminServer::new(admin)).add_service(health).into_axum_router();
    let metrics = Router::new().route("/metrics", get(scrape)).with_state(recorder);
    Routes::from(grpc.merge(metrics)).prepare()
}

async fn scrape(State(recorder): State<Option<Recorder>>, identity: axum::Extension<Identity>) -> Response {
    let allowed = identity.party().and_then(|party| party.require(&[Role::Operator, Role::Auditor]));
    match (allowed, recorder) {
        (Err(refusal), _) => (StatusCode::FORBIDDEN, refusal.to_string()).into_response(),
        (Ok(()), None) => StatusCode::NOT_FOUND.into_response(),
        (Ok(()), Some(recorder)) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()).into_response()
        }
    }
}
