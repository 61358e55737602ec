//! All operations, in one table: the router, the check of queries and the OpenAPI document are made of it. Another operation is
//! another row, and a file with its function.

use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::openapi::Schemas;
use super::parameters::{self, Parameter, Place};
use super::problem::Refused;
use super::service::{JSON, OCTETS};
use super::{Web, lists, prepare, records, stats, submit};

/// A method that some path has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

type Running = Pin<Box<dyn Future<Output = Result<Response<Body>, Refused>> + Send>>;

/// A form of a body or an answer.
pub(super) struct Form {
    pub media_type: &'static str,
    pub schema: fn(&mut Schemas) -> Value,
}

/// One operation.
pub(super) struct Operation {
    pub verb: Verb,
    pub path: &'static str,
    /// Stable name, also in metrics.
    pub id: &'static str,
    pub summary: &'static str,
    pub run: fn(Web, Call) -> Running,
    pub parameters: &'static [Parameter],
    /// Forms of the request's body.
    pub body: &'static [Form],
    /// Statuses of success, with what they mean.
    pub good: &'static [(u16, &'static str)],
    /// Forms of a success's body.
    pub answer: &'static [Form],
    /// Statuses of refusals, besides those that every operation has.
    pub refused: &'static [u16],
}

impl Operation {
    /// Names that its query may have.
    pub fn query_names(&self) -> impl Iterator<Item = &'static str> {
        let in_query = self.parameters.iter().filter(|parameter| parameter.place == Place::Query);
        in_query.map(|parameter| parameter.name)
    }
}

/// Statuses that every operation may refuse with.
pub(super) const REFUSED_ANYWHERE: &[u16] = &[400, 403, 406, 408, 411, 431, 500, 503, 504];

fn octets(_: &mut Schemas) -> Value {
    json!({ "type": "string", "format": "binary" })
}

fn parts(_: &mut Schemas) -> Value {
    let file = json!({ "type": "string", "format": "binary" });
    json!({
        "type": "object",
        "description": "Either signature_block, or algorithm and signature.",
        "properties": {
            "header": file, "payload": file, "signature_block": file, "signature": file,
            "algorithm": { "type": "string" },
            "certificates": { "type": "array", "items": file, "description": "PEM, or DER one by one; the signer's first." },
        },
        "required": ["header", "payload", "certificates"],
        "additionalProperties": false,
    })
}

/// The table.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/records",
        id: "submitRecord",
        summary: "Submits a signed record; answers once it is durable on a majority. The same record again gets its first receipt again.",
        run: |web, call| Box::pin(submit::submit(web, call)),
        parameters: &[parameters::PREFER],
        body: &[
            Form { media_type: JSON, schema: |schemas| schemas.request::<submit::Submission>() },
            Form { media_type: submit::PARTS, schema: parts },
            Form { media_type: OCTETS, schema: octets },
        ],
        good: &[(201, "The record was accepted."), (200, "The record was there already; this is its first receipt.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<submit::Submitted>() }],
        refused: &[409, 413, 415, 429],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/records",
        id: "listRecords",
        summary: "Records that the caller may see, a page at a time; the whole list is of one moment.",
        run: |web, call| Box::pin(lists::list(web, call)),
        parameters: parameters::LIST,
        body: &[],
        good: &[(200, "A page.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<lists::Page>() }],
        refused: &[409, 410],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/records/count",
        id: "countRecords",
        summary: "How many a list would have, in parts where there are many.",
        run: |web, call| Box::pin(lists::count(web, call)),
        parameters: parameters::COUNT,
        body: &[],
        good: &[(200, "A part of the count.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<lists::Counted>() }],
        refused: &[409, 410],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/records/{id}",
        id: "getRecord",
        summary: "A record with its receipt; as application/octet-stream the file ID.record.",
        run: |web, call| Box::pin(records::get(web, call)),
        parameters: parameters::RECORD,
        body: &[],
        good: &[(200, "The record.")],
        answer: &[
            Form { media_type: JSON, schema: |schemas| schemas.answer::<records::Found>() },
            Form { media_type: OCTETS, schema: octets },
        ],
        refused: &[404, 409],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/records/{id}/receipt",
        id: "getReceipt",
        summary: "A record's first receipt; as text/plain the file ID.tlog-proof (C2SP tlog-proof).",
        run: |web, call| Box::pin(records::receipt(web, call)),
        parameters: parameters::RECORD,
        body: &[],
        good: &[(200, "The receipt.")],
        answer: &[
            Form { media_type: JSON, schema: |schemas| schemas.answer::<super::record_json::Receipt>() },
            Form { media_type: "text/plain", schema: |_| json!({ "type": "string" }) },
        ],
        refused: &[404, 409],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/records/{id}/history",
        id: "historyOfRecord",
        summary: "The revisions of a record's series: what superseded what.",
        run: |web, call| Box::pin(lists::history_of_record(web, call)),
        parameters: parameters::HISTORY_OF_RECORD,
        body: &[],
        good: &[(200, "A page of revisions.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<lists::Revisions>() }],
        refused: &[404, 409, 410],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/series",
        id: "historyOfSeries",
        summary: "The revisions of a series, by its four names.",
        run: |web, call| Box::pin(lists::history_of_series(web, call)),
        parameters: parameters::HISTORY_OF_SERIES,
        body: &[],
        good: &[(200, "A page of revisions.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<lists::Revisions>() }],
        refused: &[404, 409, 410],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/stats",
        id: "statistics",
        summary: "Reports expected, received on time, late, missing and corrected, as the catalogue has it.",
        run: |web, call| Box::pin(stats::stats(web, call)),
        parameters: parameters::STATS,
        body: &[],
        good: &[(200, "A part of the rows.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<stats::Statistics>() }],
        refused: &[409, 410],
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/headers",
        id: "prepareHeader",
        summary: "The header of a report and the bytes to sign, for clients without protobuf. Nothing is stored.",
        run: |web, call| Box::pin(prepare::headers(web, call)),
        parameters: &[parameters::PREFER],
        body: &[Form { media_type: JSON, schema: Schemas::report }],
        good: &[(200, "The header, not signed.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<prepare::Prepared>() }],
        refused: &[413, 415],
    },
    Operation {
        verb: Verb::Get,
        path: "/v1/health",
        id: "health",
        summary: "Whether this node serves: it knows a leader and is not stopping.",
        run: |web, call| Box::pin(records::health(web, call)),
        parameters: &[],
        body: &[],
        good: &[(200, "It serves.")],
        answer: &[Form { media_type: JSON, schema: |schemas| schemas.answer::<records::Health>() }],
        refused: &[],
    },
    Operation {
        verb: Verb::Get,
        path: "/openapi.json",
        id: "describe",
        summary: "This document.",
        run: |web, call| Box::pin(records::description(web, call)),
        parameters: &[],
        body: &[],
        good: &[(200, "OpenAPI 3.1.")],
        answer: &[Form { media_type: JSON, schema: |_| json!({ "type": "object" }) }],
        refused: &[],
    },
];
