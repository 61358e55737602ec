//! The vectors of `docs/formats/`: made by another implementation, frozen for ever, held here byte for byte.

mod checkpoint;
mod header;
mod receipt;
mod report;
mod sealed;
mod signature;
mod tlog;

use std::path::PathBuf;

use kho_proto::error::Code;
use serde_json::{Value, json};

/// A file of `docs/formats/`.
fn read(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Computes the output of every case and holds it against the file's.
fn check(name: &str, output: fn(&Value) -> Value) {
    let file: Value = serde_json::from_str(&read(&format!("vectors/{name}"))).expect("json");
    let cases = file["cases"].as_array().expect("cases");
    assert!(!cases.is_empty(), "{name}");
    for case in cases {
        assert_eq!(output(&case["input"]), case["output"], "{name}: {}", case["name"]);
    }
}

/// The output of a refusal.
fn refusal(code: Code) -> Value {
    json!({ "code": code.as_str() })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("text {field} in {value}"))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("number {field} in {value}"))
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field)).unwrap_or_else(|error| panic!("hex {field}: {error}"))
}

fn array<const N: usize>(value: &Value, field: &str) -> [u8; N] {
    bytes(value, field).try_into().unwrap_or_else(|_| panic!("{N} bytes {field} in {value}"))
}

fn list<T>(value: &Value, field: &str, read: fn(&Value) -> T) -> Vec<T> {
    value[field].as_array().unwrap_or_else(|| panic!("list {field} in {value}")).iter().map(read).collect()
}
