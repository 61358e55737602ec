use proptest::prelude::*;

use super::*;
use crate::header::Header;
use crate::id::UnixMs;

const WHOLE: &str = r#"{
    "id": "01729d23-8b00-7000-8000-0123456789ab",
    "unit": "BYT", "regime": "YT-01", "period": "2020-W24", "series": "sốt xuất huyết",
    "supersedes": "01729d23-8aff-7000-8000-0123456789ab",
    "receivers": ["VPCP", "TTCP"],
    "figures": { "z": [1, -2, 3.50, true, null], "đ": "Đã \u0111\u00e3\n", "a": {} }
}"#;

fn error(json: &str) -> String {
    Report::from_json(json.as_bytes()).expect_err("must be refused").to_string()
}

fn with(more: &str) -> String {
    format!(r#"{{"unit":"BYT","regime":"YT-01","period":"2020"{more}}}"#)
}

fn payload(figures: &str) -> String {
    let report = Report::from_json(with(&format!(r#","figures":{figures}"#)).as_bytes()).expect("well formed");
    String::from_utf8(report.payload.to_vec()).expect("utf-8")
}

#[test]
fn a_whole_document_becomes_a_header() {
    let report = Report::from_json(WHOLE.as_bytes()).expect("well formed");
    assert_eq!(report.payload, r#"{"a":{},"z":[1,-2,3.5,true,null],"đ":"Đã đã\n"}"#);
    assert_eq!(report.media_type, "application/json");
    let other = RecordId::new_v7(1, &[0; 10]);
    let (draft, payload) = report.into_draft(other, SubmittedAt::from_unix_ms(UnixMs(1_591_925_400_000)), [7; 16]);
    let header: Header = draft.header(&payload).expect("keeps the header's rules");
    assert_eq!(header.record_id.to_string(), "01729d23-8b00-7000-8000-0123456789ab");
    assert_eq!(header.receivers.iter().map(UnitCode::as_str).collect::<Vec<_>>(), ["TTCP", "VPCP"]);
    assert_eq!(header.series, "sốt xuất huyết");
    header.check_payload(&payload).expect("its own payload");
}

#[test]
fn text_and_defaults() {
    let report = Report::from_json(with(r#","text":"Báo cáo\n""#).as_bytes()).expect("well formed");
    assert_eq!(report.payload, "Báo cáo\n");
    assert_eq!(report.media_type, "text/plain; charset=utf-8");
    assert_eq!((report.id, report.supersedes, report.series.as_str()), (None, None, ""));
    let given = RecordId::new_v7(1, &[0; 10]);
    let (draft, _) = report.into_draft(given, SubmittedAt::from_unix_ms(UnixMs(1)), [7; 16]);
    assert_eq!(draft.record_id, given);
    let report = Report::from_json(with(r#","text":"a,b","media_type":"text/csv""#).as_bytes()).expect("well formed");
    assert_eq!(report.media_type, "text/csv");
}

#[test]
fn mistakes_are_named() {
    assert!(error(&with(r#","text":"x","unti":"BYT""#)).contains("unknown field `unti`"));
    assert!(error(r#"{"unit":"BYT","regime":"YT-01","text":"x"}"#).contains("missing field `period`"));
    assert!(error(&with("")).contains("exactly one of figures and text, found none"));
    assert!(error(&with(r#","figures":null"#)).contains("found none"));
    assert!(error(&with(r#","figures":1,"text":"x""#)).contains("found both"));
    assert!(error(&with(r#","text":"x","id":"7""#)).contains("report field id: expected a UUIDv7, found \"7\""));
    assert!(error(&with(r#","text":"x","supersedes":"00000000-0000-0000-0000-000000000000""#)).contains("supersedes"));
    assert!(error(&with(r#","text":"x","receivers":["Bộ"]"#)).contains("report field receivers"));
    assert!(error(&with(r#","text":"x","unit":"BTC""#)).contains("duplicate field `unit`"));
    assert!(error(r#"{"unit":"","regime":"YT-01","period":"2020","text":"x"}"#).contains("report field unit"));
    // as macOS takes names apart: another series beside the first
    let apart = error(&with(",\"text\":\"x\",\"series\":\"so\u{302}\u{301}t\""));
    assert!(apart.contains("report field series: expected text in NFC, found \"so"), "{apart}");
    assert!(apart.ends_with("in another form"), "{apart}");
    let period = Report::from_json(br#"{"unit":"BYT","regime":"YT-01","period":"2020-13","text":"x"}"#);
    assert_eq!(period.expect_err("no such month").code(), Code::PeriodInvalid);
    assert!(error("{").contains("line 1"));
    assert!(error(&" ".repeat(REPORT_LENGTH_MAX + 1)).contains("at most 16777216 bytes"));
}

#[test]
fn figures_have_one_form() {
    assert_eq!(payload(r#"{ "b" : 1 , "a" : [ ] }"#), r#"{"a":[],"b":1}"#);
    assert_eq!(payload(r#"["\u0041\/\u001f\u007f\"\\\t"]"#), "[\"A/\\u001f\u{7f}\\\"\\\\\\t\"]");
    assert_eq!(payload("[1.0, 0.10, 1e3, 1e-7, -0.0, -0]"), "[1.0,0.1,1000.0,1e-7,0,0]");
    assert_eq!(payload("[18446744073709551615, -9223372036854775808]"), "[18446744073709551615,-9223372036854775808]");
    assert_eq!(payload("\"x\""), "\"x\"");
    assert!(error(&with(r#","figures":{"a":1,"a":2}"#)).contains("found \"a\" again"));
    assert!(error(&with(r#","figures":18446744073709551616"#)).contains("write it as a string"));
    assert!(error(&with(r#","figures":1e400"#)).contains("number out of range"));
    assert!(error(&with(&format!(r#","figures":{}{}"#, "[".repeat(200), "]".repeat(200)))).contains("recursion limit"));
}

proptest! {
    #[test]
    fn doubles_are_read_exactly(bits: u64) {
        let double = f64::from_bits(bits);
        prop_assume!(double.is_finite() && double != 0.0 && double.abs() < 9e15);
        prop_assert_eq!(payload(&format!("{double:.17e}")).parse::<f64>(), Ok(double));
    }

    #[test]
    fn canonical_figures_stay_as_they_are(figures in arbitrary_json()) {
        let once = payload(&figures.to_string());
        prop_assert_eq!(payload(&once), once);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Report::from_json(&bytes);
    }
}

#[test]
fn figures_without_end_are_not_built() {
    let report = |values: usize| {
        let figures = vec!["0"; values].join(",");
        format!(r#"{{"unit":"BYT","regime":"YT-01","period":"2020-06","figures":[{figures}]}}"#)
    };
    Report::from_json(report(VALUES_MAX - 10).as_bytes()).unwrap();
    let error = Report::from_json(report(VALUES_MAX + 1).as_bytes()).unwrap_err();
    assert!(matches!(error, Error::TooMany { found } if found > VALUES_MAX), "{error}");
    assert_eq!(Refusal::from(error).code, Code::ReportInvalid);
}

/// Anything but null on top.
fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let number = prop_oneof![any::<i64>().prop_map(Value::from), (-1e15..1e15).prop_map(Value::from)];
    let leaf = prop_oneof![any::<bool>().prop_map(Value::from), number, ".{0,8}".prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}
