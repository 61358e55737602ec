//! Statistics of reports. // R-D5

use axum::body::Body;
use http::{Response, StatusCode};
use kho_proto::pb::v1::{self as pb, StatsBy};
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::lists::{Freshness, page_token, token};
use super::problem::Refused;
use super::service::{JSON, json};
use super::{Web, accept};

/// Words of `by`; the first is what is meant without one.
pub(super) const BY: &[(&str, StatsBy)] = &[
    ("unit_regime_period", StatsBy::UnitRegimePeriod),
    ("unit_regime", StatsBy::UnitRegime),
    ("unit", StatsBy::ByUnit),
    ("regime", StatsBy::ByRegime),
    ("total", StatsBy::Total),
];

/// A row: what it is of, and its counts. Names that are added up over are absent. expected = on_time + late + missing + open.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    regime: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    period: String,
    /// Of a row for one period: when it ends. Absent: there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    deadline: String,
    /// Reports that the catalogue expects.
    expected: u64,
    /// Of these: the first revision was accepted before the deadline's end.
    on_time: u64,
    /// After it.
    late: u64,
    /// Nothing was accepted, and the deadline is over.
    missing: u64,
    /// Nothing was accepted, and the deadline is still to come.
    open: u64,
    /// Reports of which a later revision was accepted.
    corrected: u64,
    /// Records that a later revision has taken the place of.
    superseded: u64,
    /// Reports that nothing expected.
    unscheduled: u64,
    /// Records accepted, revisions too.
    records: u64,
}

/// Records of the periods asked for that no row counts.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftOut {
    /// Absent: the caller may not read what says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    regime: String,
    records: u64,
    /// The catalogue has the regime, but not the units that sent these among those that report under it.
    in_catalogue: bool,
}

/// A part of the answer. The same row may come in several parts: add its counts up.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Statistics {
    rows: Vec<Row>,
    /// Absent: this is the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    /// The moment that was taken for now.
    as_of: String,
    /// Size of the log that all parts reflect.
    size: u64,
    freshness: Freshness,
    node_id: u64,
    epoch: u64,
    /// What is counted nowhere, of the units and regimes asked for; in the first part only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    /// There may be more of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out_more: bool,
    /// In the first part: regimes in the catalogue; 0: none is loaded, so that nothing is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    catalogue_regimes: Option<u32>,
    /// Of the codes asked for, those that the catalogue does not have; in the first part only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_regimes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_units: Vec<String>,
}

impl From<pb::StatsLeftOut> for LeftOut {
    fn from(pb::StatsLeftOut { regime, records, in_catalogue }: pb::StatsLeftOut) -> Self {
        Self { regime, records, in_catalogue }
    }
}

impl From<pb::StatsRow> for Row {
    fn from(row: pb::StatsRow) -> Self {
        let pb::StatsRow { unit, regime, period, counts, deadline } = row;
        let counts = counts.unwrap_or_default();
        Self {
            unit,
            regime,
            period,
            deadline,
            expected: counts.expected,
            on_time: counts.on_time,
            late: counts.late,
            missing: counts.missing,
            open: counts.open,
            corrected: counts.corrected,
            superseded: counts.superseded,
            unscheduled: counts.unscheduled,
            records: counts.records,
        }
    }
}

/// Codes with commas between them.
fn codes(text: Option<String>) -> Vec<String> {
    text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

/// `GET /v1/stats`.
pub(super) async fn stats(web: Web, call: Call) -> Result<Response<Body>, Refused> {
    accept::choose(&call.parts.headers, &[JSON])?;
    let query = &call.query;
    let request = pb::StatsRequest {
        units: codes(query.given("units")),
        regimes: codes(query.given("regimes")),
        period_from: query.text("period_from"),
        period_to: query.text("period_to"),
        as_of: query.text("as_of"),
        by: query.word("by", BY)?.into(),
        page_size: query.number("page_size")?,
        page_token: page_token(&call)?,
        stale: query.flag("stale")?,
    };
    let part = web.stats(call.ask(request)).await?;
    let answer = Statistics {
        rows: part.rows.into_iter().map(Row::from).collect(),
        next_page_token: token(&part.next_page_token),
        as_of: part.as_of,
        size: part.size,
        freshness: part.freshness.into(),
        node_id: part.node_id,
        epoch: part.epoch,
        left_out: part.left_out.into_iter().map(LeftOut::from).collect(),
        left_out_more: part.left_out_more,
        catalogue_regimes: part.catalogue_regimes,
        unknown_regimes: part.unknown_regimes,
        unknown_units: part.unknown_units,
    };
    json(StatusCode::OK, &answer)
}
