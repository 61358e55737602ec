//! A header for who has no protobuf: the report comes in, the bytes to sign go out. Nothing is stored. The caller signs, so the
//! caller must look at what it signs: `docs/http.md` says how.

use axum::body::Body;
use http::{Response, StatusCode};
use kho_proto::dsse;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{PAYLOAD_LENGTH_MAX, SubmittedAt};
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::report::{REPORT_LENGTH_MAX, Report, VALUES_MAX, values};
use schemars::JsonSchema;
use serde::Serialize;

use super::bytes64::Base64;
use super::call::Call;
use super::problem::Refused;
use super::record_json::{Fields, bytes};
use super::service::{JSON, json};
use super::{Web, accept};
use crate::api;
use crate::identity::Role;

/// What a value of a report takes while it is read, at most: an object of one member.
const VALUE_BYTES: usize = 700;
/// An answer's bytes for each of the payload, which the report holds: itself, its base64, and the text that holds it.
const ANSWER_FACTOR: usize = 3;
/// Of the header in its three forms, at most.
const HEADER_ANSWER_BYTES: usize = 256 << 10;

/// A header that was not signed yet, and what it is about.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Prepared {
    record_id: String,
    /// Protobuf kho.v1.Header, canonical. Submit exactly these bytes.
    header: Base64,
    /// What is to be signed: `DSSEv1 45 application/vnd.kho.report-header.v1+protobuf LENGTH HEADER`.
    signed_bytes: Base64,
    /// The content in the form that the header's digest is of. Submit exactly these bytes.
    payload: Base64,
    /// What the header says: compare with what was meant before signing.
    fields: Fields,
}

/// What is random in a header.
struct Drawn {
    id: [u8; 10],
    salt: [u8; 16],
    now: UnixMs,
}

fn prepare(report: Report, drawn: &Drawn) -> Result<Prepared, Refusal> {
    let id = RecordId::new_v7(drawn.now.0, &drawn.id);
    let (draft, payload) = report.into_draft(id, SubmittedAt::from_unix_ms(drawn.now), drawn.salt);
    let header = draft.header(&payload)?;
    let encoded = header.encode();
    Ok(Prepared {
        record_id: header.record_id.to_string(),
        signed_bytes: bytes(dsse::signed_bytes(&encoded)),
        header: Base64(encoded),
        payload: Base64(payload),
        fields: Fields::from(&header),
    })
}

/// `POST /v1/headers`.
pub(super) async fn headers(web: Web, mut call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let identity = api::identity(&call.parts.extensions);
    let party = identity.party()?.clone();
    party.require(&[Role::Submitter])?;
    if call.content_type() != JSON {
        return Err(call.unsupported(JSON).into());
    }
    let body = call.body(REPORT_LENGTH_MAX).await?;
    let counted = body.bytes.len() + values(&body.bytes).min(VALUES_MAX) * VALUE_BYTES;
    let room = web.store.room.take(counted, 1)?;
    let reserved = call.reserve(ANSWER_FACTOR * body.bytes.len().min(PAYLOAD_LENGTH_MAX) + HEADER_ANSWER_BYTES).await?;
    let mut drawn = Drawn { id: [0; 10], salt: [0; 16], now: web.clock.now() };
    web.entropy.fill(&mut drawn.id);
    web.entropy.fill(&mut drawn.salt);
    // a document of 16 MiB takes a while: not on the threads that serve requests
    let work = move || {
        // until it is done, also where nobody waits for it any more
        let (body, _room) = (body, room);
        let report = Report::from_json(&body.bytes)?;
        if !party.acts_for(&report.unit) {
            let text = format!("the connection may not submit for unit {}", report.unit);
            let refusal = Refusal::new(Code::UnitNotPermitted, text);
            return Err(refusal.expected_found("a unit of the connection's certificate", report.unit.to_string()));
        }
        prepare(report, &drawn)
    };
    let prepared = web.store.tasks.blocking(work).await;
    let prepared = prepared.map_err(|_| Refusal::new(Code::NodeStopping, "the node is shutting down"))??;
    let mut response = json(StatusCode::OK, &prepared)?;
    response.extensions_mut().insert(reserved);
    Ok(response)
}
