//! A small country: two provinces that merge, a ministry, regimes of several kinds.

mod entries;
mod figures;
mod valid;

use std::sync::Arc;

use bytes::Bytes;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::id::{RecordId, Seq, UnixMs};
use kho_proto::record::Draft;
use serde_json::{Value, json};

use crate::{Catalogue, Entry, Version};

/// 2021-06-01T00:00:00+07:00
pub const NOW: UnixMs = UnixMs(1_622_480_400_000);

pub fn unit(code: &str, kind: &str, from: &str) -> Value {
    json!({"kind": "unit", "code": code, "effective_from": from, "name": {"vi": format!("Đơn vị {code}")}, "unit_kind": kind})
}

pub fn policy(from: &str, enforced: bool) -> Value {
    json!({"kind": "policy", "code": "catalogue", "effective_from": from, "enforced": enforced})
}

pub fn with(mut document: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut document, more) else { panic!("two objects") };
    members.extend(more);
    document
}

pub fn accidents() -> Value {
    json!({
        "kind": "regime", "code": "ATGT-01", "effective_from": "2020-01-01", "owner": "BYT", "mode": "checked",
        "name": {"vi": "Tai nạn giao thông", "en": "Road accidents"}, "frequency": "daily", "rows": true,
        "reporters": {"units": ["BYT"]}, "receivers": ["VPCP"], "deadline": {"days_after": 1},
        "checks": ["accidents = road + rail", "deaths <= accidents"],
        "fields": [
            {"key": "province", "label": {"vi": "Địa phương", "en": "Province"}, "type": "reporting_unit", "unit_kind": "province"},
            {"key": "accidents", "label": {"vi": "Số vụ", "en": "Accidents"}, "type": "integer", "min": 0, "max": 1000},
            {"key": "deaths", "label": {"vi": "Số người chết", "en": "Deaths"}, "type": "integer", "min": 0, "max": 1000},
            {"key": "road", "label": {"vi": "Đường bộ"}, "type": "integer", "min": 0},
            {"key": "rail", "label": {"vi": "Đường sắt"}, "type": "integer", "max": 1000},
            {"key": "loss", "label": {"vi": "Thiệt hại"}, "type": "decimal", "scale": 2, "min": -5, "max": 10, "optional": true},
            {"key": "cause", "label": {"vi": "Nguyên nhân"}, "type": "text", "one_of": ["rượu bia", "khác"]},
            {"key": "other", "label": {"vi": "Ghi rõ", "en": "Which"}, "type": "text", "max_words": 4, "required_if": "cause = khác"}
        ]
    })
}

pub fn monthly() -> Value {
    json!({
        "kind": "regime", "code": "KTXH-01", "effective_from": "2020-01-01", "owner": "VPCP", "mode": "opaque",
        "name": {"vi": "Kinh tế - xã hội"}, "frequency": "monthly", "cutoff_day": 15,
        "deadline": {"day_of_month": {"day": 25}}, "reporters": {"unit_kinds": ["province"]}, "receivers": ["VPCP"]
    })
}

/// T01 takes T02 in on 2020-07-01.
pub fn documents() -> Vec<Value> {
    let merged = json!({"valid_to": "2020-06-30", "successors": ["T01"]});
    vec![
        unit("VPCP", "centre", "2020-01-01"),
        unit("BYT", "ministry", "2020-01-01"),
        unit("T01", "province", "2020-01-01"),
        unit("T02", "province", "2020-01-01"),
        with(unit("T02", "province", "2020-07-01"), merged),
        with(unit("T03", "province", "2020-01-01"), json!({"valid_from": "2020-03-01"})),
        accidents(),
        monthly(),
        policy("2020-01-01", true),
    ]
}

pub fn entry(document: &Value) -> Entry {
    Entry::from_json(document.to_string().as_bytes()).unwrap_or_else(|errors| panic!("{document}: {errors:?}"))
}

pub fn put(catalogue: &mut Catalogue, seq: u64, revision: u32, document: &Value) {
    let entry = entry(document);
    catalogue.insert(Version {
        effective_from: entry.effective_from().parse().expect("a day"),
        seq: Seq(seq),
        record_id: RecordId::new_v7(seq, &[0; 10]),
        revision,
        document: Bytes::from(entry.canonical()),
        entry: Arc::new(entry),
    });
}

/// Their sequence numbers count from 1.
pub fn catalogue(documents: &[Value]) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (document, seq) in documents.iter().zip(1..) {
        put(&mut catalogue, seq, 1, document);
    }
    catalogue
}

pub fn header(unit: &str, regime: &str, period: &str, series: &str, media_type: &str) -> Header {
    let draft = Draft {
        record_id: RecordId::new_v7(1, &[0; 10]),
        unit: unit.parse().expect("a code"),
        regime: regime.parse().expect("a code"),
        period: period.parse().expect("a period"),
        series: series.to_owned(),
        supersedes: None,
        receivers: Vec::new(),
        submitted_at: SubmittedAt::from_unix_ms(NOW),
        media_type: media_type.to_owned(),
        salt: [0; 16],
    };
    draft.header(b"").expect("a header")
}

pub fn judge(unit: &str, regime: &str, period: &str, payload: &str) -> Result<(), Refusal> {
    let catalogue = catalogue(&documents());
    let header = header(unit, regime, period, "", "application/json");
    catalogue.judge(u64::MAX, &header, payload.as_bytes(), NOW)
}

pub fn code(verdict: Result<(), Refusal>) -> Option<Code> {
    verdict.err().map(|refusal| refusal.code)
}
