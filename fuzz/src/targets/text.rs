//! Text that people write and nodes say.

use std::fmt::Display;
use std::str::FromStr;

use kho_proto::checkpoint::{Origin, VerifierKey};
use kho_proto::header::SubmittedAt;
use kho_proto::id::{ClusterId, RecordId, RegimeCode, UnitCode};
use kho_proto::period::Period;
use kho_proto::report::Report;
use kho_proto::status;
use serde_json::Value;
use tonic::{Code, Status};

/// A report document: its payload is canonical, so a document with that payload has the same.
pub fn document(bytes: &[u8]) -> bool {
    let Ok(report) = Report::from_json(bytes) else { return false };
    if report.media_type == "application/json"
        && let Ok(figures) = serde_json::from_slice::<Value>(&report.payload)
    {
        let mut again: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
        if again.get("figures").is_some_and(|figures| !figures.is_null()) {
            again["figures"] = figures;
            let again = Report::from_json(again.to_string().as_bytes()).expect("a canonical document");
            assert_eq!(again.payload, report.payload, "a canonical payload stays as it is");
        }
    }
    true
}

fn prints<T: FromStr + Display>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|value| {
        let printed = value.to_string();
        let again = printed.parse::<T>().map(|again| again.to_string()).ok();
        assert_eq!(again.as_ref(), Some(&printed), "what is printed reads back, from {text:?}");
        true
    })
}

/// Whatever has a grammar: what was read is printed, and reads back.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let all = [
        prints::<Period>(text),
        prints::<SubmittedAt>(text),
        prints::<UnitCode>(text),
        prints::<RegimeCode>(text),
        prints::<RecordId>(text),
        prints::<ClusterId>(text),
        prints::<VerifierKey>(text),
        prints::<Origin>(text),
    ];
    // these are signed or compared as text: one value, one text
    if all[0] || all[1] {
        let same = |printed: Option<String>| printed.is_none_or(|printed| printed == text);
        assert!(same(text.parse::<Period>().ok().map(|period| period.to_string())), "two texts of a period");
        assert!(same(text.parse::<SubmittedAt>().ok().map(|at| at.to_string())), "two texts of a time");
    }
    all.contains(&true)
}

/// Input: gRPC code (1), then the status's details, which come from whoever answers.
pub fn status(bytes: &[u8]) -> bool {
    let Some((code, details)) = bytes.split_first() else { return false };
    let status = Status::with_details(Code::from(i32::from(*code)), "", details.to_vec().into());
    let _ = status::detail(&status);
    let Some(refusal) = status::from_status(&status) else { return false };
    let again = status::from_status(&status::to_status(&refusal)).expect("its own status");
    assert_eq!(again.code, refusal.code, "a refusal comes back with its code");
    true
}
