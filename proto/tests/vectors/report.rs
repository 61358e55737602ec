use kho_proto::report::{self, Report};
use serde_json::{Value, json};

use crate::refusal;

#[test]
fn report() {
    crate::check("report.json", output);
}

fn output(input: &Value) -> Value {
    match Report::from_json(input.as_str().expect("text").as_bytes()) {
        Err(error) => refusal(error.code()),
        Ok(report) => json!({
            "payload": std::str::from_utf8(&report.payload).expect("utf-8"),
            "media_type": report.media_type,
        }),
    }
}

/// `KHO_WRITE_SCHEMA=1` writes it after a change.
#[test]
fn the_committed_schema_is_the_codes() {
    let schema = serde_json::to_string_pretty(&report::schema()).expect("json") + "\n";
    if std::env::var_os("KHO_WRITE_SCHEMA").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/report.schema.json");
        std::fs::write(path, &schema).expect("schema written");
    }
    assert!(
        crate::read("report.schema.json") == schema,
        "docs/formats/report.schema.json: run with KHO_WRITE_SCHEMA=1"
    );
}
