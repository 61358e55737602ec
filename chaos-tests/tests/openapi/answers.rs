//! What a platform really sends, and what it is answered: a signed record cannot be drawn at random.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kho_chaos_tests::rig::Rig;
use kho_client::{Client, Draft, Signed, describe};
use kho_proto::id::RecordId;
use serde_json::{Value, json};

/// A regime that no catalogue has: its records are counted nowhere.
const FOREIGN: &str = "CU-01";
/// A record of nobody.
const NOBODYS: &str = "0192f0c1-7e5a-7c3b-8d4e-5f6a7b8c9d0e";
/// Members that no answer here has.
const RARE: &[&str] = &[
    // an auditor's entry, which has nothing else to say
    "Entry.leaf",
    // of more than a call can look at
    "Counted.next_page_token",
    "Statistics.left_out_more",
    // of refusals that a retry helps against
    "Problem.retry_after_ms",
];

/// Records that calls are about.
pub struct Records {
    /// Accepted before the catalogue was loaded, with an attachment.
    foreign: Signed,
    /// Accepted over gRPC.
    first: Signed,
    /// Takes its place.
    correction: Signed,
    /// Signed, and not yet sent.
    fresh: Signed,
    /// Of the same id.
    conflicting: Signed,
    /// Its figures are none.
    wrong: Signed,
    about: Draft,
}

fn submission(record: &Signed) -> Value {
    let b64 = |bytes: &Bytes| STANDARD.encode(bytes);
    let record = record.record();
    json!({
        "header": b64(&record.header),
        "signature_block": b64(&record.signature_block),
        "payload": b64(&record.payload),
        "certificates": record.certificates.iter().map(b64).collect::<Vec<_>>(),
    })
}

impl Records {
    /// Submits what is to be there, and loads the catalogue.
    pub async fn fill(rig: &Rig, client: &Client) -> Result<Self> {
        let foreign = Draft { regime: FOREIGN.parse()?, period: "2020-06".parse()?, ..rig.senders.draft()? };
        let content = Bytes::from_static(b"%PDF-1.7");
        let attachment = describe("b\u{1ea3}n k\u{fd}.pdf", "application/pdf", &content)?;
        client.upload(&foreign.unit, &attachment, Arc::new(content), |_| {}).await?;
        let signer = rig.cluster.signer(&foreign.unit)?;
        let foreign = foreign.sign_with(vec![attachment], &signer, client.surroundings()).await?;
        client.submit(&foreign).await?;
        rig.load_catalogue(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample/catalogue"))?;

        let about = rig.senders.draft()?;
        let first = rig.senders.sign(client, about.clone()).await?;
        client.submit(&first).await?;
        let supersedes = Some(first.record_id());
        let correction = rig.senders.sign(client, Draft { supersedes, ..about.clone() }).await?;
        client.submit(&correction).await?;
        let fresh = rig.senders.draft()?;
        let signed = rig.senders.sign(client, fresh.clone()).await?;
        let record_id = Some(signed.record_id());
        let conflicting = rig.senders.sign(client, Draft { record_id, ..fresh }).await?;
        let wrong = Draft { payload: Bytes::from_static(b"{}"), ..rig.senders.draft()? };
        let wrong = rig.senders.sign(client, wrong).await?;
        Ok(Self { foreign, first, correction, fresh: signed, conflicting, wrong, about })
    }

    /// Ids of those that are there.
    pub fn ids(&self) -> Vec<RecordId> {
        [&self.foreign, &self.first, &self.correction].map(Signed::record_id).to_vec()
    }

    /// Each successful answer that is described, and the usual refusals.
    pub fn calls(&self) -> Vec<Value> {
        let get = |path: &str, query: Value| json!({"method": "GET", "path": path, "query": query, "status": 200});
        let post = |path: &str, body: Value, status: u16| json!({"method": "POST", "path": path, "json": body, "status": status});
        let with = |mut call: Value, name: &str, value: Value| {
            call[name] = value;
            call
        };
        let refused =
            |call: Value, status: u16, code: &str| with(with(call, "status", json!(status)), "code", json!(code));
        let (first, foreign) = (self.first.record_id().to_string(), self.foreign.record_id().to_string());
        let of = |id: &str, more: &str| format!("/v1/records/{id}{more}");
        let about = &self.about;
        let (unit, regime, period) = (about.unit.as_str(), about.regime.as_str(), about.period.to_string());
        let report = json!({
            "unit": unit, "regime": regime, "period": period, "series": "ví dụ", "receivers": ["VPCP"],
            "supersedes": first, "figures": {"so_ca_mac": 12},
        });
        let years = json!({"period_from": "2016", "period_to": "2021"});
        let year = |more: Value| {
            let mut query = years.clone();
            for (name, value) in more.as_object().into_iter().flatten() {
                query[name] = value.clone();
            }
            get("/v1/stats", query)
        };
        vec![
            get("/v1/health", json!({})),
            get("/openapi.json", json!({})),
            post("/v1/headers", report.clone(), 200),
            post("/v1/records", submission(&self.fresh), 201),
            post("/v1/records", submission(&self.fresh), 200),
            refused(post("/v1/records", submission(&self.conflicting), 409), 409, "record-id-conflict"),
            refused(post("/v1/records", submission(&self.wrong), 400), 400, "figures-invalid"),
            get(&of(&first, ""), json!({})),
            get(&of(&self.correction.record_id().to_string(), ""), json!({})),
            get(&of(&foreign, ""), json!({})),
            with(get(&of(&first, ""), json!({})), "accept", json!("application/octet-stream")),
            get(&of(&first, "/receipt"), json!({})),
            with(get(&of(&first, "/receipt"), json!({})), "accept", json!("text/plain")),
            refused(with(get(&of(&first, ""), json!({})), "accept", json!("image/png")), 406, "http-not-acceptable"),
            refused(get(&of(NOBODYS, ""), json!({})), 404, "record-unknown"),
            get(&of(&first, "/history"), json!({"page_size": 1})),
            get("/v1/series", json!({"unit": unit, "regime": regime, "period": period, "series": about.series})),
            get("/v1/records", json!({"page_size": 2, "stale": "true"})),
            get("/v1/records", json!({"unit": unit, "state": "superseded", "order": "newest"})),
            refused(get("/v1/records", json!({"units": unit})), 400, "request-malformed"),
            get("/v1/records/count", json!({"regime": regime})),
            year(json!({"page_size": 1, "regimes": regime, "units": unit})),
            year(json!({"by": "total"})),
            year(json!({"by": "regime", "units": format!("{unit},NOBODY"), "regimes": format!("{regime},{FOREIGN}")})),
            refused(get("/v1/stats", json!({"period_from": "2021", "period_to": "2020"})), 400, "request-malformed"),
        ]
    }
}

/// What answers.py reads.
pub fn scene(node: Value, calls: Vec<Value>) -> Value {
    let mut scene = node;
    scene["calls"] = calls.into();
    scene["rare"] = json!(RARE);
    scene
}
