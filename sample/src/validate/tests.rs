use serde_json::json;

use super::*;
use crate::Country;

/// The violations of `payload` under the regime `code`.
fn violations(code: &str, payload: Value) -> Vec<Violation> {
    let country = Country::load();
    let regime = country.regime(code).expect("in the catalogue");
    validate(regime, payload.to_string().as_bytes()).err().unwrap_or_default()
}

fn one(code: &str, payload: Value) -> Violation {
    let mut all = violations(code, payload);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn procedures() -> Value {
    json!({"received_in_period": 100, "online": 40, "carried_over": 10, "settled_early": 50, "settled_on_time": 30,
           "settled_late": 5, "pending": 25})
}

fn with(mut payload: Value, key: &str, value: Value) -> Value {
    payload[key] = value;
    payload
}

#[test]
fn a_good_report_has_no_violation() {
    assert_eq!(violations("TTHC-06a", procedures()), []);
    assert_eq!(violations("TNMT-01", json!([{"city": "T01", "aqi": 500, "pm25": "0.10"}])), []);
    assert_eq!(violations("TNMT-01", json!([])), []);
}

#[test]
fn what_is_no_json_is_malformed() {
    let country = Country::load();
    let regime = country.regime("YT-01").expect("in the catalogue");
    for bytes in [&b"{"[..], b"", b"{\"new_cases\": \xff}"] {
        let all = validate(regime, bytes).expect_err("malformed");
        assert!(matches!(all.as_slice(), [Violation::Malformed { .. }]), "{all:?}");
    }
}

#[test]
fn rows_where_rows_belong() {
    assert!(matches!(one("YT-01", json!([])), Violation::Shape { expected: "an object", found: "an array" }));
    assert!(matches!(one("NN-01", json!({})), Violation::Shape { expected: "an array of objects", .. }));
    assert!(matches!(one("NN-01", json!([1])), Violation::Shape { found: "a number", .. }));
}

#[test]
fn unknown_and_missing_fields() {
    let payload = json!({"new_cases": 1, "recovered": 0, "death": 0});
    assert_eq!(
        violations("YT-01", payload),
        [Violation::UnknownField { row: 0, key: "death".into() }, Violation::Missing { row: 0, key: "deaths".into() }]
    );
}

#[test]
fn wrong_types_and_wrong_number_of_digits() {
    for value in [json!("1"), json!(1.5), json!(null), json!([1])] {
        let payload = json!({"new_cases": value, "recovered": 0, "deaths": 0});
        assert!(matches!(one("YT-01", payload), Violation::Type { .. }));
    }
    for value in [json!("1.5"), json!("1,50"), json!(1.5), json!("1.500")] {
        assert!(matches!(one("EVN-01", json!({"output": value, "peak": "1.00"})), Violation::Type { .. }));
    }
    assert!(matches!(one("TNMT-02", json!({"summary": 5})), Violation::Type { .. }));
}

#[test]
fn limits_hold_at_both_ends() {
    assert_eq!(violations("TC-02", json!({"score": 0})), []);
    assert_eq!(violations("TC-02", json!({"score": 100})), []);
    assert!(matches!(one("TC-02", json!({"score": -1})), Violation::Range { min: 0, max: 100, .. }));
    assert!(matches!(one("TC-02", json!({"score": 101})), Violation::Range { .. }));
    assert_eq!(violations("TC-05", json!({"debt": "0.00", "gdp_ratio": "100.00"})), []);
    assert!(matches!(one("TC-05", json!({"debt": "0.00", "gdp_ratio": "100.01"})), Violation::Range { .. }));
}

#[test]
fn words_are_counted() {
    assert_eq!(violations("TNMT-02", json!({"summary": "mưa ".repeat(200)})), []);
    assert!(matches!(
        one("TNMT-02", json!({"summary": "mưa ".repeat(201)})),
        Violation::Words { max: 200, found: 201, .. }
    ));
}

#[test]
fn only_what_is_listed() {
    assert!(matches!(
        one("TC-08", json!([{"exchange": "NYSE", "index": "1.00", "turnover": "1.00"}])),
        Violation::NotListed { .. }
    ));
    let rows = json!([{"province": "T01", "level": 1}, {"province": "BYT", "level": 1}]);
    assert!(matches!(one("NN-01", rows), Violation::NotListed { row: 1, .. }));
}

#[test]
fn checks_between_fields() {
    let pending = with(procedures(), "pending", json!(24));
    assert!(matches!(one("TTHC-06a", pending), Violation::Check { row: 0, check } if check.starts_with("pending = ")));
    let online = with(procedures(), "online", json!(101));
    assert_eq!(one("TTHC-06a", online), Violation::Check { row: 0, check: "online <= received_in_period".into() });
    let budget = json!({"revenue": "10.00", "expenditure": "10.01", "balance": "-0.01"});
    assert_eq!(violations("TC-03", budget.clone()), []);
    assert!(matches!(one("TC-03", with(budget, "balance", json!("0.01"))), Violation::Check { .. }));
}

#[test]
fn an_opinion_is_needed_for_another_opinion_only() {
    let vote = json!({"question": "Phiếu số 1", "member": "Bộ trưởng", "vote": "đồng ý"});
    assert_eq!(violations("HOP-BQ", vote.clone()), []);
    let other = with(vote, "vote", json!("ý kiến khác"));
    assert_eq!(one("HOP-BQ", other.clone()), Violation::Missing { row: 0, key: "opinion".into() });
    assert_eq!(violations("HOP-BQ", with(other, "opinion", json!("Đề nghị rà soát"))), []);
}
