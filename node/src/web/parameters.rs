//! What requests carry beside a body: each parameter once, for reading and for the description alike.

use serde_json::{Value, json};

/// A parameter of an operation.
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub required: bool,
    pub about: &'static str,
    pub schema: fn() -> Value,
}

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        }
    }
}

const fn query(name: &'static str, about: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { name, place: Place::Query, required: false, about, schema }
}

const fn required(parameter: Parameter) -> Parameter {
    Parameter { required: true, ..parameter }
}

fn code() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$" })
}

fn codes() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,31}(,[A-Za-z0-9][A-Za-z0-9._-]{0,31})*$" })
}

fn period() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}\\+07:00)?|/[0-9]{4}-[0-9]{2})?|-W[0-9]{2})?$",
    })
}

fn moment() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}\\+07:00$",
    })
}

fn record_id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" })
}

fn series() -> Value {
    json!({ "type": "string", "maxLength": 256 })
}

pub(super) const ID: Parameter =
    Parameter { name: "id", place: Place::Path, required: true, about: "Record id.", schema: record_id };

pub(super) const PREFER: Parameter = Parameter {
    name: "Prefer",
    place: Place::Header,
    required: false,
    about: "`wait=SECONDS` (RFC 7240): how long the caller waits, from 1 to 60; else 3 s.",
    schema: || json!({ "type": "string", "pattern": "^wait=([1-9]|[1-5][0-9]|60)$" }),
};

const UNIT: Parameter = query("unit", "Code of the unit that sent it.", code);
const REGIME: Parameter = query("regime", "Code of the report regime.", code);
const PERIOD: Parameter = query("period", "Exactly this period.", period);
const SERIES: Parameter = query("series", "Exactly this subject; empty: records without one.", series);
const RECEIVER: Parameter = query("receiver", "Code of a unit that receives it.", code);
const PERIOD_FROM: Parameter =
    query("period_from", "Periods that lie wholly between the first day of this one and period_to.", period);
const PERIOD_TO: Parameter = query("period_to", "The last day of this one ends the range.", period);
const STATE: Parameter = query(
    "state",
    "Revisions: any (as without), latest or superseded.",
    || json!({ "type": "string", "enum": ["any", "latest", "superseded"] }),
);
const ACCEPTED_FROM: Parameter = query("accepted_from", "Accepted at this moment or later.", moment);
const ACCEPTED_BEFORE: Parameter = query("accepted_before", "Accepted before this moment.", moment);
const SUBMITTED_FROM: Parameter = query("submitted_from", "Submitted at this moment or later.", moment);
const SUBMITTED_BEFORE: Parameter = query("submitted_before", "Submitted before this moment.", moment);
const ORDER: Parameter = query(
    "order",
    "newest (as without) or oldest by sequence number; by period: needs a regime, and a unit or receiver.",
    || json!({ "type": "string", "enum": ["newest", "oldest", "period", "period_descending"] }),
);
const HISTORY_ORDER: Parameter =
    query("order", "newest (as without) or oldest.", || json!({ "type": "string", "enum": ["newest", "oldest"] }));
const PAGE_SIZE: Parameter = query(
    "page_size",
    "Entries of a page, at most; else 100.",
    || json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
);
const PAGE_TOKEN: Parameter = query(
    "page_token",
    "next_page_token of the page before; the rest of the query, page_size and stale aside, as it was.",
    || json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
);
const STALE: Parameter =
    query("stale", "true: from what this node has, without asking the leader.", || json!({ "type": "boolean" }));

pub(super) const LIST: &[Parameter] = &[
    UNIT,
    RECEIVER,
    REGIME,
    PERIOD,
    PERIOD_FROM,
    PERIOD_TO,
    SERIES,
    STATE,
    ACCEPTED_FROM,
    ACCEPTED_BEFORE,
    SUBMITTED_FROM,
    SUBMITTED_BEFORE,
    ORDER,
    PAGE_SIZE,
    PAGE_TOKEN,
    STALE,
    PREFER,
];

pub(super) const COUNT: &[Parameter] = &[
    UNIT,
    RECEIVER,
    REGIME,
    PERIOD,
    PERIOD_FROM,
    PERIOD_TO,
    SERIES,
    STATE,
    ACCEPTED_FROM,
    ACCEPTED_BEFORE,
    SUBMITTED_FROM,
    SUBMITTED_BEFORE,
    PAGE_TOKEN,
    STALE,
    PREFER,
];

pub(super) const HISTORY_OF_SERIES: &[Parameter] =
    &[required(UNIT), required(REGIME), required(PERIOD), SERIES, HISTORY_ORDER, PAGE_SIZE, PAGE_TOKEN, STALE, PREFER];

const UNITS: Parameter =
    query("units", "Codes of units that report, with commas between them; all that the caller may ask about.", codes);
const REGIMES: Parameter = query("regimes", "Codes of regimes, with commas between them; else all.", codes);
const AS_OF: Parameter =
    query("as_of", "Counts only what was accepted before this moment, and takes it for now.", moment);
const BY: Parameter = query(
    "by",
    "What a row is of: unit_regime_period (as without), or what is added up over the rest.",
    || json!({ "type": "string", "enum": ["unit_regime_period", "unit_regime", "unit", "regime", "total"] }),
);
const ROWS: Parameter = query(
    "page_size",
    "Rows of a page, at most; else 1000.",
    || json!({ "type": "integer", "minimum": 1, "maximum": 5000 }),
);

pub(super) const STATS: &[Parameter] =
    &[UNITS, REGIMES, required(PERIOD_FROM), required(PERIOD_TO), AS_OF, BY, ROWS, PAGE_TOKEN, STALE, PREFER];

pub(super) const HISTORY_OF_RECORD: &[Parameter] = &[ID, HISTORY_ORDER, PAGE_SIZE, PAGE_TOKEN, STALE, PREFER];

pub(super) const RECORD: &[Parameter] = &[ID, PREFER];
