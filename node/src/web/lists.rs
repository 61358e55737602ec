//! Lists, counts and histories.

use axum::body::Body;
use http::{Response, StatusCode};
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::id::RecordId;
use kho_proto::pb::v1::{self as pb, Filter, Order, RecordState, history_request};
use schemars::JsonSchema;
use serde::Serialize;

use super::bytes64::{Base64, decode};
use super::call::Call;
use super::problem::Refused;
use super::service::{JSON, json};
use super::{Web, accept};

/// Words of `state`; the first is what is meant without one.
pub(super) const STATES: &[(&str, RecordState)] =
    &[("any", RecordState::Any), ("latest", RecordState::Latest), ("superseded", RecordState::Superseded)];
/// Words of `order`.
pub(super) const ORDERS: &[(&str, Order)] = &[
    ("newest", Order::Newest),
    ("oldest", Order::Oldest),
    ("period", Order::Period),
    ("period_descending", Order::PeriodDescending),
];

/// A record without its content. An auditor gets sequence, record_id, accepted_at and leaf, and nothing else.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Entry {
    sequence: u64,
    record_id: String,
    accepted_at: String,
    #[serde(flatten)]
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<Base64>,
}

/// What a reader gets besides.
#[derive(Debug, Serialize, JsonSchema)]
struct Content {
    unit: String,
    regime: String,
    period: String,
    series: String,
    receivers: Vec<String>,
    submitted_at: String,
    /// From 1.
    revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
    media_type: String,
    /// Bytes.
    payload_length: u64,
    /// As of the size that the answer names.
    state: EntryState,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum EntryState {
    Latest,
    Superseded,
}

/// How new the state is that an answer comes from.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Freshness {
    /// It holds everything that was acknowledged before the call.
    linearizable: bool,
    /// Of a stale answer: milliseconds that it may be behind; absent if no leader was heard since the node started.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// Index of the last entry of the replicated log that the state holds.
    applied: u64,
}

/// A page. It may have fewer entries than asked for, even none, though more follow.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page {
    entries: Vec<Entry>,
    /// Absent: this is the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    /// Size of the log that the whole list reflects.
    size: u64,
    freshness: Freshness,
    node_id: u64,
    epoch: u64,
}

/// A part of a count; the sum over all parts is the count.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Counted {
    count: u64,
    /// Absent: all was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    size: u64,
    freshness: Freshness,
    node_id: u64,
    epoch: u64,
}

/// The revisions of a series, a page at a time.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Revisions {
    revisions: Vec<Entry>,
    /// Absent: this is the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    size: u64,
    freshness: Freshness,
    node_id: u64,
    epoch: u64,
}

fn id(bytes: &[u8]) -> String {
    RecordId::try_from(bytes).map(|id| id.to_string()).unwrap_or_default()
}

impl From<pb::RecordEntry> for Entry {
    fn from(entry: pb::RecordEntry) -> Self {
        // an auditor's has no names; a reader's always has a unit
        let state = if entry.state() == RecordState::Superseded { EntryState::Superseded } else { EntryState::Latest };
        let content = (!entry.unit.is_empty()).then_some(Content {
            unit: entry.unit,
            regime: entry.regime,
            period: entry.period,
            series: entry.series,
            receivers: entry.receivers,
            submitted_at: entry.submitted_at,
            revision: entry.revision,
            supersedes: (!entry.supersedes.is_empty()).then(|| id(&entry.supersedes)),
            media_type: entry.media_type,
            payload_length: entry.payload_length,
            state,
        });
        Self {
            sequence: entry.sequence,
            record_id: id(&entry.record_id),
            accepted_at: entry.accepted_at,
            content,
            leaf: (!entry.leaf.is_empty()).then_some(Base64(entry.leaf)),
        }
    }
}

impl From<Option<pb::Freshness>> for Freshness {
    fn from(freshness: Option<pb::Freshness>) -> Self {
        let pb::Freshness { linearizable, age_ms, applied } = freshness.unwrap_or_default();
        Self { linearizable, age_ms, applied }
    }
}

/// Safe in a query as it is.
pub(super) fn token(bytes: &[u8]) -> Option<String> {
    use base64::Engine as _;
    (!bytes.is_empty()).then(|| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn page_token(call: &Call) -> Result<bytes::Bytes, Refusal> {
    let Some(text) = call.query.given("page_token") else { return Ok(bytes::Bytes::new()) };
    decode(&text).filter(|token| !token.is_empty()).ok_or_else(|| {
        Refusal::new(Code::PageTokenInvalid, "the page token is no base64")
            .expected_found("next_page_token of the page before", excerpt(&text))
    })
}

fn filter(call: &Call) -> Result<Option<Filter>, Refusal> {
    let query = &call.query;
    Ok(Some(Filter {
        unit: query.text("unit"),
        receiver: query.text("receiver"),
        regime: query.text("regime"),
        period: query.text("period"),
        period_from: query.text("period_from"),
        period_to: query.text("period_to"),
        series: query.given("series"),
        state: query.word("state", STATES)?.into(),
        accepted_from: query.text("accepted_from"),
        accepted_before: query.text("accepted_before"),
        submitted_from: query.text("submitted_from"),
        submitted_before: query.text("submitted_before"),
    }))
}

/// `GET /v1/records`.
pub(super) async fn list(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let request = pb::ListRequest {
        filter: filter(&call)?,
        order: call.query.word("order", ORDERS)?.into(),
        page_size: call.query.number("page_size")?,
        page_token: page_token(&call)?,
        stale: call.query.flag("stale")?,
    };
    let page = web.list(call.ask(request)).await?;
    let answer = Page {
        entries: page.entries.into_iter().map(Entry::from).collect(),
        next_page_token: token(&page.next_page_token),
        size: page.size,
        freshness: page.freshness.into(),
        node_id: page.node_id,
        epoch: page.epoch,
    };
    json(StatusCode::OK, &answer)
}

/// `GET /v1/records/count`.
pub(super) async fn count(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let request =
        pb::CountRequest { filter: filter(&call)?, page_token: page_token(&call)?, stale: call.query.flag("stale")? };
    let part = web.count(call.ask(request)).await?;
    let answer = Counted {
        count: part.count,
        next_page_token: token(&part.next_page_token),
        size: part.size,
        freshness: part.freshness.into(),
        node_id: part.node_id,
        epoch: part.epoch,
    };
    json(StatusCode::OK, &answer)
}

/// `GET /v1/records/{id}/history`.
pub(super) async fn history_of_record(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    let id = call.record_id()?.0.to_vec().into();
    history(web, call, history_request::Of::RecordId(id)).await
}

/// `GET /v1/series`.
pub(super) async fn history_of_series(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    let text = |name| call.query.text(name);
    let key =
        pb::SeriesKey { unit: text("unit"), regime: text("regime"), period: text("period"), series: text("series") };
    history(web, call, history_request::Of::Series(key)).await
}

async fn history(web: Web, call: Call, of: history_request::Of) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let request = pb::HistoryRequest {
        of: Some(of),
        order: call.query.word("order", &ORDERS[..2])?.into(),
        page_size: call.query.number("page_size")?,
        page_token: page_token(&call)?,
        stale: call.query.flag("stale")?,
    };
    let page = web.history(call.ask(request)).await?;
    let answer = Revisions {
        revisions: page.revisions.into_iter().map(Entry::from).collect(),
        next_page_token: token(&page.next_page_token),
        size: page.size,
        freshness: page.freshness.into(),
        node_id: page.node_id,
        epoch: page.epoch,
    };
    json(StatusCode::OK, &answer)
}
