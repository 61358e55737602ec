use std::collections::BTreeSet;

use kho_proto::digest::Digest;
use proptest::prelude::*;

use super::*;
use crate::validate;

fn drawn(seed: u64, count: usize) -> Vec<Report> {
    let mut generator = Generator::new(seed);
    std::iter::repeat_with(|| generator.next()).take(count).collect()
}

/// All that a report is, as bytes.
fn digest(reports: &[Report]) -> String {
    let text: String = reports.iter().map(|report| format!("{report:?}\n")).collect();
    Digest::of(text.as_bytes()).to_string()
}

#[test]
fn the_reports_of_a_seed_are_golden() {
    assert_eq!(digest(&drawn(2020, 1_000)), "82f5472f394c09b11f911e7385c557618ce747eb9853b5d4075b070f3e33c678");
    assert_ne!(digest(&drawn(2021, 1_000)), digest(&drawn(2020, 1_000)));
}

#[test]
fn every_regime_and_unit_comes_up_in_a_demo() {
    let (country, reports) = (Country::load(), drawn(1, 3_000));
    let regimes: BTreeSet<_> = reports.iter().map(|report| report.regime.as_str()).collect();
    let units: BTreeSet<_> = reports.iter().map(|report| report.unit.as_str()).collect();
    assert_eq!((regimes.len(), units.len()), (country.regimes().len(), country.units().len()));
}

#[test]
fn no_series_comes_twice() {
    let reports = drawn(7, 20_000);
    let series: BTreeSet<_> = reports.iter().map(|r| (&r.unit, &r.regime, &r.period, &r.series)).collect();
    assert_eq!(series.len(), reports.len());
    assert!(reports.iter().any(|report| report.series.starts_with("lần ")), "long enough to go round");
}

#[test]
fn periods_and_series_are_of_the_headers_grammar() {
    for report in drawn(3, 3_000) {
        let period =
            report.period.parse::<kho_proto::period::Period>().unwrap_or_else(|error| panic!("{report:?}: {error}"));
        assert_eq!(period.to_string(), report.period);
        assert!(report.series.len() <= kho_proto::header::SERIES_LENGTH_MAX, "{}", report.series);
    }
}

#[test]
fn a_vote_is_a_series_of_its_question_and_member() {
    let reports = drawn(5, 500);
    let vote = reports.iter().find(|r| r.regime == "HOP-BQ" && r.unit == "BYT").expect("BYT votes");
    assert_eq!(vote.series, "Phiếu số 1: Nghị định về quản lý, kết nối và chia sẻ dữ liệu số / Bộ trưởng Bộ Y tế");
    assert_eq!(vote.receivers, ["VPCP"]);
}

#[test]
fn the_centre_receives_what_others_send() {
    for report in drawn(9, 500) {
        let expected: &[&str] = if report.unit == "VPCP" { &[] } else { &["VPCP"] };
        assert_eq!(report.receivers, expected, "{}", report.regime);
    }
}

#[test]
fn texts_are_vietnamese_in_utf_8() {
    let text: String = drawn(4, 300).into_iter().filter_map(|r| String::from_utf8(r.payload).ok()).collect();
    assert!(["ắ", "ệ", "ộ", "ư", "đ"].iter().all(|letter| text.contains(letter)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_seed_reports_keep_to_limits_and_checks(seed: u64) {
        let country = Country::load();
        for report in drawn(seed, 300) {
            let regime = country.regime(&report.regime).expect("in the catalogue");
            prop_assert_eq!(validate(regime, &report.payload), Ok(()), "{:?}", report);
            prop_assert!(country.reporters(regime).iter().any(|unit| unit.code == report.unit));
        }
    }
}
