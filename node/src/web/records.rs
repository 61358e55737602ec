//! One record, its receipt; and whether the node serves.

use axum::body::Body;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::RecordId;
use kho_proto::pb::v1::GetRequest;
use kho_proto::record;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::problem::Refused;
use super::record_json::{self, Receipt, Record};
use super::service::{JSON, OCTETS, TEXT, json, response};
use super::{Web, accept, openapi};

/// A record with its receipt.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Found {
    record_id: String,
    record: Record,
    receipt: Receipt,
    /// Size of the log that the answer reflects.
    size: u64,
    node_id: u64,
    epoch: u64,
}

fn get_request(call: &Call, id: RecordId) -> tonic::Request<GetRequest> {
    call.ask(GetRequest { record_id: id.0.to_vec().into() })
}

/// `GET /v1/records/{id}`.
pub(super) async fn get(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    let form = accept::choose(&call.parts.headers, &[JSON, OCTETS])?;
    let id = call.record_id()?;
    let found = web.get(get_request(&call, id)).await?;
    let signed = found.record.ok_or_else(|| Refusal::new(Code::RecordDamaged, "there is no record in the answer"))?;
    if form == OCTETS {
        return Ok(named(response(StatusCode::OK, OCTETS, record::to_file(&signed)), &format!("{id}.record")));
    }
    let answer = Found {
        record_id: id.to_string(),
        record: Record::of(signed)?,
        receipt: Receipt::from(&record_json::receipt(found.receipt.as_ref())?),
        size: found.size,
        node_id: found.node_id,
        epoch: found.epoch,
    };
    json(StatusCode::OK, &answer)
}

/// `GET /v1/records/{id}/receipt`.
pub(super) async fn receipt(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    let form = accept::choose(&call.parts.headers, &[JSON, "text/plain"])?;
    let id = call.record_id()?;
    let receipt = record_json::receipt(web.get(get_request(&call, id)).await?.receipt.as_ref())?;
    if form == JSON {
        return json(StatusCode::OK, &Receipt::from(&receipt));
    }
    let proof = receipt.to_tlog_proof().into_bytes();
    Ok(named(response(StatusCode::OK, TEXT, proof), &format!("{id}.tlog-proof")))
}

/// What a browser shall do with bytes of a sender's choosing: save them.
fn named(mut response: Response<Body>, file: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// A node that serves.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `serving`.
    status: &'static str,
    node_id: u64,
    epoch: u64,
    /// Node that leads, as far as this node knows.
    leader_id: u64,
}

/// `GET /v1/health`: as `grpc.health.v1`, serving while a leader is known and the node is not stopping.
pub(super) async fn health(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let store = &web.store;
    if store.stopping.is_cancelled() {
        return Err(Refusal::new(Code::NodeStopping, "the node is shutting down").into());
    }
    let Some(leader) = *store.leader.borrow() else {
        return Err(Refusal::new(Code::NoLeader, "this node knows of no leader").into());
    };
    let answer = Health { status: "serving", node_id: store.node.0, epoch: store.epoch.0, leader_id: leader.0 };
    json(StatusCode::OK, &answer)
}

/// `GET /openapi.json`.
pub(super) async fn description(_: Web, call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    Ok(response(StatusCode::OK, JSON, openapi::document().as_bytes().to_vec()))
}
