//! Who and what counts, for which period; and what is expected.

use kho_proto::digest::Digest;
use kho_proto::header::Attachment;

use super::*;
use crate::{Day, Duty};

/// R-E1, R-E3
#[test]
fn each_way_to_be_not_of_the_catalogue_has_its_code() {
    for (unit, regime, period, expected) in [
        ("T01", "KTXH-01", "2020-06", None),
        ("T09", "KTXH-01", "2020-06", Some(Code::UnitUnknown)),
        ("T01", "KTXH-09", "2020-06", Some(Code::RegimeUnknown)),
        ("BYT", "KTXH-01", "2020-06", Some(Code::RegimeNotOfUnit)),
        ("T01", "KTXH-01", "2020-06-12", Some(Code::PeriodNotOfRegime)),
        ("T01", "KTXH-01", "2020-04/2020-06", Some(Code::PeriodNotOfRegime)),
        // the policy is of 2020: before it everything goes
        ("T09", "KTXH-09", "2019-12", None),
        // figures of July are of 15 June on, and it is the first of June
        ("T01", "KTXH-01", "2021-06", None),
        ("T01", "KTXH-01", "2021-07", Some(Code::PeriodInFuture)),
        ("T01", "KTXH-01", "2035-01", Some(Code::PeriodInFuture)),
        // drills
        ("DRILL", "DRILL", "2020-06-12", None),
    ] {
        assert_eq!(code(judge(unit, regime, period, "")), expected, "{unit} {regime} {period}");
    }
}

#[test]
fn a_regime_says_whether_files_may_be_attached() {
    let file = Attachment {
        name: "bao-cao.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        length: 1,
        digest: Digest::ZERO,
    };
    let header = Header { attachments: vec![file], ..header("T01", "KTXH-01", "2020-06", "", "text/plain") };
    let mut catalogue = catalogue(&documents());
    let judged = |catalogue: &Catalogue| code(catalogue.judge(u64::MAX, &header, b"", NOW));
    assert_eq!(judged(&catalogue), Some(Code::AttachmentsNotOfRegime));
    put(&mut catalogue, 50, 2, &with(monthly(), json!({"attachments": true})));
    assert_eq!(judged(&catalogue), None);
}

#[test]
fn a_merged_province_still_corrects_its_june() {
    assert_eq!(judge("T02", "KTXH-01", "2020-06", ""), Ok(()));
    let refused = judge("T02", "KTXH-01", "2020-07", "").expect_err("it is gone");
    assert_eq!(refused.code, Code::UnitNotValid);
    assert!(refused.message.contains("after it reports T01"), "{}", refused.message);
    assert_eq!(refused.expected, "2020-06-30 or before");
    assert_eq!(judge("T01", "KTXH-01", "2020-07", ""), Ok(()));
    // not before it was there
    assert_eq!(code(judge("T03", "KTXH-01", "2020-02", "")), Some(Code::UnitNotValid));
    assert_eq!(judge("T03", "KTXH-01", "2020-03", ""), Ok(()));
}

#[test]
fn a_version_counts_from_its_day_and_a_correction_from_its_place_in_the_log() {
    let mut catalogue = catalogue(&documents());
    let header = header("T01", "KTXH-01", "2020-06", "", "text/plain");
    put(&mut catalogue, 20, 1, &with(monthly(), json!({"effective_from": "2020-07-01", "frequency": "quarterly"})));
    // a correction of the first one: nothing of June any more
    put(&mut catalogue, 30, 2, &with(monthly(), json!({"valid_to": "2020-05-31"})));
    let judged = |size| code(catalogue.judge(size, &header, b"", NOW));
    assert_eq!(judged(3), None, "no policy yet");
    assert_eq!(judged(25), None);
    assert_eq!(judged(30), None, "leaf 30 is not among 30 leaves");
    assert_eq!(judged(31), Some(Code::RegimeNotValid));
    let july = super::header("T01", "KTXH-01", "2020-07", "", "text/plain");
    assert_eq!(code(catalogue.judge(19, &july, b"", NOW)), None);
    assert_eq!(code(catalogue.judge(21, &july, b"", NOW)), Some(Code::PeriodNotOfRegime));
}

#[test]
fn the_order_of_coming_does_not_matter() {
    let mut documents: Vec<(u64, Value)> = (1..).zip(documents()).collect();
    let forward = catalogue(&super::documents());
    documents.reverse();
    let mut backward = Catalogue::default();
    for (seq, document) in &documents {
        put(&mut backward, *seq, 1, document);
        put(&mut backward, *seq, 1, document);
    }
    let all = |catalogue: &Catalogue| {
        let codes: Vec<String> = catalogue.codes(crate::Kind::Unit, None).map(str::to_owned).collect();
        let of = |code: &String| catalogue.versions(crate::Kind::Unit, code).iter().map(|v| v.seq).collect::<Vec<_>>();
        codes.iter().map(|code| (code.clone(), of(code))).collect::<Vec<_>>()
    };
    assert_eq!(all(&forward), all(&backward));
}

/// R-D5
#[test]
fn what_is_expected_follows_units_regimes_and_their_days() {
    let catalogue = catalogue(&documents());
    let reporters = |size| catalogue.reporters("KTXH-01", size).into_iter().collect::<Vec<_>>();
    assert_eq!(reporters(u64::MAX), ["T01", "T02", "T03"]);
    assert_eq!(reporters(4), Vec::<String>::new(), "the regime is not there yet");
    assert!(catalogue.receives("VPCP", "KTXH-01", 100) && !catalogue.receives("BYT", "KTXH-01", 100));
    let expected = |unit: &str, from: &str, to: &str| {
        let duty = Duty { regime: "KTXH-01".to_owned(), unit: unit.to_owned() };
        let days: (Day, Day) = (from.parse().expect(from), to.parse().expect(to));
        let all = catalogue.expected(&duty, days, u64::MAX);
        all.iter().map(|expected| expected.period.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(expected("T02", "2020-05-01", "2020-12-31"), ["2020-05", "2020-06"]);
    assert_eq!(expected("T03", "2019-11-01", "2020-04-30"), ["2020-03", "2020-04"]);
    assert_eq!(
        expected("T01", "2019-11-01", "2020-02-28"),
        ["2020-01"],
        "the regime begins in 2020; February has 29 days"
    );
    assert_eq!(expected("BYT", "2020-05-01", "2020-12-31"), Vec::<String>::new());
}
