//! A unit that keeps the catalogue, and a small one to keep: two provinces that merge, a ministry, two regimes.

use kho_catalogue::{Entry, MEDIA_TYPE};
use kho_node::serve::Node;
use kho_proto::header::SubmittedAt;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::record::Draft;
use serde_json::{Value, json};

use crate::reads::Store;
use crate::sender::{Sender, now};
use crate::thin_line::submit;
use crate::world::World;

/// As a node of a cluster with a catalogue has it.
pub fn toml(world: &World, node: usize) -> String {
    world.toml(node) + "[catalogue]\nunit = \"VPCP\"\n"
}

/// Starts all nodes, with a catalogue that VPCP keeps, and forms the cluster.
pub async fn formed(nodes: usize) -> (World, Vec<Node>) {
    let world = World::new(nodes);
    let mut running = Vec::new();
    for node in 1..=nodes {
        running.push(start(&world, node).await);
    }
    world.form(1).await;
    (world, running)
}

pub async fn start(world: &World, node: usize) -> Node {
    crate::world::begin(world.parse(&toml(world, node)), &kho_node::seams::Seams::system()).await
}

pub fn unit(code: &str, kind: &str, from: &str) -> Value {
    json!({"kind": "unit", "code": code, "effective_from": from, "name": {"vi": format!("Đơn vị {code}")}, "unit_kind": kind})
}

pub fn with(mut document: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut document, more) else { panic!("two objects") };
    members.extend(more);
    document
}

/// Daily, of BYT, checked.
pub fn cases() -> Value {
    json!({
        "kind": "regime", "code": "YT-01", "effective_from": "2020-01-01", "owner": "BYT", "mode": "checked",
        "name": {"vi": "Dịch bệnh"}, "frequency": "daily", "deadline": {"days_after": 1},
        "reporters": {"units": ["BYT"]}, "receivers": ["VPCP"], "checks": ["deaths <= cases"],
        "fields": [
            {"key": "cases", "label": {"vi": "Ca mới", "en": "New cases"}, "type": "integer", "min": 0, "max": 1000},
            {"key": "deaths", "label": {"vi": "Tử vong", "en": "Deaths"}, "type": "integer", "min": 0, "max": 1000}
        ]
    })
}

/// Monthly, of every province, opaque.
pub fn economy() -> Value {
    json!({
        "kind": "regime", "code": "KTXH-01", "effective_from": "2020-01-01", "owner": "VPCP", "mode": "opaque",
        "name": {"vi": "Kinh tế - xã hội"}, "frequency": "monthly", "cutoff_day": 15,
        "deadline": {"day_of_month": {"day": 25}}, "reporters": {"unit_kinds": ["province"]}, "receivers": ["VPCP"]
    })
}

pub fn policy(enforced: bool) -> Value {
    json!({"kind": "policy", "code": "catalogue", "effective_from": "2020-01-01", "enforced": enforced})
}

/// T01 takes T02 in on 2020-07-01.
pub fn country() -> Vec<Value> {
    let merged = json!({"valid_to": "2020-06-30", "successors": ["T01"]});
    vec![
        unit("VPCP", "centre", "2020-01-01"),
        unit("BYT", "ministry", "2020-01-01"),
        unit("T01", "province", "2020-01-01"),
        unit("T02", "province", "2020-01-01"),
        with(unit("T02", "province", "2020-07-01"), merged),
        cases(),
        economy(),
        policy(true),
    ]
}

/// Signs a document as an entry; whatever it says.
pub fn entry(keeper: &Sender, document: &Value, supersedes: Option<RecordId>) -> SignedRecord {
    entry_at(keeper, document, supersedes, SubmittedAt::from_unix_ms(now()))
}

/// The same, said to be submitted at a moment.
pub fn entry_at(
    keeper: &Sender,
    document: &Value,
    supersedes: Option<RecordId>,
    submitted_at: SubmittedAt,
) -> SignedRecord {
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    let payload = match Entry::from_json(document.to_string().as_bytes()) {
        Ok(entry) => entry.canonical(),
        Err(_) => document.to_string().into_bytes(),
    };
    let draft = Draft {
        regime: format!("kho.{}", text("kind")).parse().unwrap(),
        period: text("effective_from").parse().unwrap(),
        series: text("code"),
        media_type: MEDIA_TYPE.to_owned(),
        supersedes,
        submitted_at,
        ..keeper.draft()
    };
    keeper.sign(draft, &payload)
}

/// Submits all documents.
pub async fn load(client: &Store, keeper: &Sender, documents: &[Value]) {
    for document in documents {
        submit(client, &entry(keeper, document, None)).await.unwrap_or_else(|status| panic!("{document}: {status:?}"));
    }
}

/// A report without a subject.
pub fn report(sender: &Sender, regime: &str, period: &str, payload: &str) -> SignedRecord {
    revision(sender, regime, period, payload, None)
}

/// One that takes the place of another.
pub fn revision(sender: &Sender, regime: &str, period: &str, payload: &str, before: Option<RecordId>) -> SignedRecord {
    let draft = Draft {
        regime: regime.parse().unwrap(),
        period: period.parse().unwrap(),
        series: String::new(),
        supersedes: before,
        ..sender.draft()
    };
    sender.sign(draft, payload.as_bytes())
}

pub const GOOD: &str = r#"{"cases":5,"deaths":0}"#;
