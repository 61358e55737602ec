//! Statistics say what they leave out, to each as far as it may know.

use kho_proto::pb::v1::{StatsLeftOut, StatsRequest, StatsResponse};
use serde_json::json;

use crate::http_client::{Caller, PLATFORM};
use crate::keeper::{self, GOOD, country, load, report};
use crate::reads::Store;
use crate::sender::Sender;
use crate::thin_line::submit;

fn ask(units: &[&str], regimes: &[&str]) -> StatsRequest {
    let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    StatsRequest {
        units: codes(units),
        regimes: codes(regimes),
        period_from: "2020-06".to_owned(),
        period_to: "2020-06".to_owned(),
        ..StatsRequest::default()
    }
}

async fn answer(client: &Store, request: StatsRequest) -> StatsResponse {
    client.clone().stats(request).await.unwrap().into_inner()
}

fn found(part: &StatsResponse) -> Vec<(&str, u64, bool)> {
    part.left_out.iter().map(|one| (one.regime.as_str(), one.records, one.in_catalogue)).collect()
}

/// R-D5
#[tokio::test(flavor = "multi_thread")]
async fn what_no_duty_covers_is_told_to_who_may_know() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt, t01, drill] = ["VPCP", "BYT", "T01", "DRILL"].map(|unit| Sender::new(&world.signers, unit));
    assert_eq!(answer(&client, ask(&[], &[])).await.catalogue_regimes, Some(0), "none is loaded");
    for record in [
        report(&byt, "X-01", "2020-06-12", "?"),
        report(&byt, "X-01", "2020-06-13", "?"),
        report(&t01, "X-01", "2020-06", "?"),
        report(&t01, "X-02", "2020-W24", "?"),
        // of another time; a drill's; what the catalogue asks for
        report(&t01, "X-03", "2019-06", "?"),
        report(&drill, "DRILL", "2020-06-12", "?"),
        report(&byt, "YT-01", "2020-06-12", GOOD),
        // a regime of the catalogue, under which this unit does not report
        report(&t01, "YT-01", "2020-06-12", GOOD),
    ] {
        submit(&client, &record).await.unwrap();
    }
    let part = answer(&client, ask(&[], &[])).await;
    assert_eq!(found(&part), [("X-01", 3, false), ("X-02", 1, false), ("YT-01", 2, false)]);
    load(&client, &keeper, &country()).await;

    let part = answer(&client, ask(&[], &[])).await;
    assert_eq!(found(&part), [("X-01", 3, false), ("X-02", 1, false), ("YT-01", 1, true)]);
    assert_eq!((part.catalogue_regimes, part.left_out_more), (Some(2), false));
    assert!(part.unknown_regimes.is_empty() && part.unknown_units.is_empty());
    // of what was asked for
    let part = answer(&client, ask(&["BYT", "NOBODY"], &[])).await;
    assert_eq!(found(&part), [("X-01", 2, false)]);
    assert_eq!(part.unknown_units, ["NOBODY"]);
    let part = answer(&client, ask(&[], &["X-02", "X-09", "KTXH-01"])).await;
    assert_eq!(found(&part), [("X-02", 1, false)]);
    assert_eq!(part.unknown_regimes, ["X-02", "X-09"]);
    // as of a moment before
    let before = StatsRequest { as_of: "2020-01-01T00:00:00.000+07:00".to_owned(), ..ask(&[], &[]) };
    assert_eq!(found(&answer(&client, before).await), []);
    // in the first part only
    let first = answer(&client, StatsRequest { page_size: 1, ..ask(&[], &[]) }).await;
    let second = StatsRequest { page_size: 1, page_token: first.next_page_token.clone(), ..ask(&[], &[]) };
    let second = answer(&client, second).await;
    assert_eq!((found(&first).len(), found(&second).len(), second.catalogue_regimes), (3, 0, None));

    for (uris, expected) in [
        // counts are no content, names are
        (&["urn:kho:role:operator"][..], &[("", 1, false), ("", 3, false), ("YT-01", 1, true)][..]),
        (&["urn:kho:role:reader", "urn:kho:unit:BYT"], &[("X-01", 2, false)]),
        (&["urn:kho:role:reader", "urn:kho:unit:T02"], &[]),
        // it receives the regime's reports, and yet not what others send outside of it
        (&["urn:kho:role:reader", "urn:kho:unit:VPCP"], &[]),
    ] {
        let part = answer(&world.store(1, uris).await, ask(&[], &[])).await;
        let mut found = found(&part);
        found.sort();
        assert_eq!(found, expected, "{uris:?}");
    }

    let http =
        Caller::new(&world, PLATFORM).get("/v1/stats?period_from=2020-06&period_to=2020-06&regimes=X-02,X-09").await;
    let http = http.good(200);
    assert_eq!(http["left_out"], json!([{"regime": "X-02", "records": 1, "in_catalogue": false}]));
    assert_eq!((&http["catalogue_regimes"], &http["unknown_regimes"]), (&json!(2), &json!(["X-02", "X-09"])));
}

/// Whoever sees so many knows what to do: an answer is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_regimes_some_are_told() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let byt = Sender::new(&world.signers, "BYT");
    for regime in 0..25 {
        submit(&client, &report(&byt, &format!("X-{regime:02}"), "2020-06-12", "?")).await.unwrap();
    }
    let part = answer(&client, ask(&[], &[])).await;
    assert_eq!((part.left_out.len(), part.left_out_more), (20, true));
    assert!(part.left_out.iter().all(|StatsLeftOut { records, .. }| *records == 1));
}
