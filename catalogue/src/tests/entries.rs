//! Documents: what is read, in which form, and what of a broken one is named.

use kho_proto::id::RegimeCode;
use proptest::prelude::*;

use super::*;
use crate::{Kind, MEDIA_TYPE, is_reserved};

fn paths(document: &Value) -> Vec<String> {
    let errors = Entry::from_json(document.to_string().as_bytes()).expect_err("must be refused");
    errors.kept().iter().map(|error| error.path.clone()).collect()
}

#[test]
fn the_canonical_form_is_read_again() {
    for document in documents() {
        let entry = entry(&document);
        assert_eq!(Entry::from_json(&entry.canonical()).as_ref(), Ok(&entry));
    }
    let unit = entry(&unit("T01", "province", "2020-01-01"));
    let golden = r#"{"code":"T01","effective_from":"2020-01-01","kind":"unit","name":{"vi":"Đơn vị T01"},"unit_kind":"province"}"#;
    assert_eq!(String::from_utf8(unit.canonical()).expect("text"), golden);
}

#[test]
fn each_place_that_breaks_a_rule_is_named() {
    let unit = unit("T01", "province", "2020-01-01");
    let bad = json!({"code": "Hà Nội", "effective_from": "2020-02-30", "parent": "", "unit_kind": "0", "successors": ["A", "A", "-"], "name": {"vi": " ", "en": "x\u{7}"}});
    assert_eq!(
        paths(&with(unit.clone(), bad)),
        [
            "code",
            "effective_from",
            "name.vi",
            "name.en",
            "unit_kind",
            "parent",
            "successors[1]",
            "successors[2]",
            "valid_to"
        ]
    );
    assert_eq!(paths(&with(unit.clone(), json!({"valid_from": "2020-02-01", "valid_to": "2020-01-01"}))), ["valid_to"]);
    assert_eq!(paths(&with(unit.clone(), json!({"colour": "red"}))), ["colour"]);
    assert_eq!(paths(&with(unit.clone(), json!({"name": {"vi": 7}}))), ["name.vi"]);
    assert_eq!(paths(&with(unit, json!({"kind": "moon"}))), ["kind"]);
    assert_eq!(paths(&with(policy("2020-01-01", true), json!({"code": "other"}))), ["code"]);
    let bad = json!({
        "code": "kho.unit", "owner": "?", "cutoff_day": 31, "deadline": {"day_of_month": {"day": 0}}, "reporters": {},
        "receivers": ["VPCP", "VPCP"], "subject": ["nobody"], "checks": ["a = b", "accidents = cause", "deaths <= accidents"],
        "fields": [
            {"key": "accidents", "label": {"vi": "a"}, "type": "integer", "min": 5, "max": 4, "one_of": ["1"], "scale": 1},
            {"key": "accidents", "label": {"vi": "a"}, "type": "decimal", "scale": 10},
            {"key": "deaths", "label": {"vi": "c"}, "type": "integer", "max_words": 3, "unit_kind": "province"},
            {"key": "cause", "label": {"vi": "d"}, "type": "text", "min": 1, "required_if": "moon = full"}
        ]
    });
    assert_eq!(
        paths(&with(accidents(), bad)),
        [
            "code",
            "owner",
            "cutoff_day",
            "deadline",
            "reporters",
            "receivers[1]",
            "fields[1]",
            "fields[0].scale",
            "fields[0].max",
            "fields[0].one_of",
            "fields[1].scale",
            "fields[2].max_words",
            "fields[2].unit_kind",
            "fields[3].min",
            "fields[3].required_if",
            "checks[0]",
            "checks[1]",
            "subject[0]"
        ]
    );
    assert_eq!(paths(&with(accidents(), json!({"deadline": {"someday": 1}}))), ["deadline"]);
    assert_eq!(paths(&with(accidents(), json!({"fields": []})))[0], "fields");
}

#[test]
fn the_committed_schema_is_the_codes() {
    let schema = serde_json::to_string_pretty(&crate::schema()).expect("JSON") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/catalogue.schema.json");
    if std::env::var_os("KHO_WRITE_SCHEMA").is_some() {
        std::fs::write(path, &schema).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == schema, "docs/formats/catalogue.schema.json: run with KHO_WRITE_SCHEMA=1");
}

#[test]
fn what_is_no_document_is_refused() {
    for text in ["", "7", "{", r#"{"kind":"unit","kind":"unit"}"#, "{}"] {
        assert!(Entry::from_json(text.as_bytes()).is_err(), "{text}");
    }
    let long = format!("\"{}\"", "a".repeat(crate::DOCUMENT_LENGTH_MAX));
    assert!(Entry::from_json(long.as_bytes()).is_err());
}

#[test]
fn a_record_and_its_document_say_the_same() {
    let catalogue = Catalogue::default();
    let document = entry(&unit("T01", "province", "2020-01-01")).canonical();
    let judge = |regime: &str, period: &str, series: &str, media_type: &str, payload: &[u8]| {
        let header = header("VPCP", regime, period, series, media_type);
        let verdict = catalogue.judge_entry(&header, payload);
        verdict
            .map_err(|refusal| (refusal.code, refusal.fields.kept().iter().map(|e| e.path.clone()).collect::<Vec<_>>()))
    };
    assert_eq!(judge("kho.unit", "2020-01-01", "T01", MEDIA_TYPE, &document), Ok(()));
    let refused = |paths: &[&str]| Err((Code::CatalogueInvalid, paths.iter().map(|path| (*path).to_owned()).collect()));
    assert_eq!(
        judge("kho.regime", "2020-01", "T02", "application/json", &document),
        refused(&["header.regime", "header.period", "header.series", "header.media_type"])
    );
    let spaced = [&document[..], b" "].concat();
    assert_eq!(judge("kho.unit", "2020-01-01", "T01", MEDIA_TYPE, &spaced), refused(&[""]));
    assert_eq!(judge("kho.unit", "2020-01-01", "T01", MEDIA_TYPE, b"{}"), refused(&[""]));
    assert_eq!(judge("kho.other", "2020-01-01", "T01", MEDIA_TYPE, &document), refused(&[]));
}

proptest! {
    /// Whatever somebody signs.
    #[test]
    fn nothing_that_looks_like_json_makes_it_panic(text in "[\\[\\]{}:,\"a-z0-9.ắ\u{303} -]{0,80}", key in "[a-z]{1,9}", value in "(-?[0-9]{1,40}|\"[^\"\\\\]{0,20}\"|null|\\[\\])") {
        drop(Entry::from_json(text.as_bytes()));
        let rows = format!("[{{\"{key}\":{value},\"deaths\":{value},\"loss\":{value},\"cause\":{value},\"province\":{value}}}]");
        for payload in [&text, &rows] {
            prop_assert_eq!(code(judge("BYT", "ATGT-01", "2020-06-12", payload)), (payload != "[]").then_some(Code::FiguresInvalid));
        }
    }
}

#[test]
fn regimes_of_the_catalogue() {
    for kind in Kind::ALL {
        assert!(is_reserved(&kind.regime()));
        assert_eq!(Kind::of_regime(&kind.regime()), Some(kind));
    }
    let other: RegimeCode = "kho".parse().expect("a code");
    assert!(!is_reserved(&other));
}

#[test]
fn a_catalogue_is_bounded() {
    let mut catalogue = Catalogue::default();
    for revision in 0..u32::try_from(crate::VERSIONS_MAX).expect("small") {
        put(&mut catalogue, 10 + u64::from(revision), revision + 1, &unit("T01", "province", "2020-01-01"));
    }
    let entry = |code: &str| entry(&unit(code, "province", "2020-01-01"));
    assert_eq!(catalogue.room_for(&entry("T01"), 100), Err(crate::store::Full::Versions));
    assert_eq!(catalogue.room_for(&entry("T02"), 100), Ok(()));
    assert_eq!(catalogue.room_for(&entry("T02"), crate::BYTES_MAX), Err(crate::store::Full::Bytes));
}
