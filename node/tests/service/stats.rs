//! Statistics: expected, on time, late, missing, corrected; for whom; as of which moment; in parts.

use std::collections::BTreeMap;

use kho_catalogue::Day;
use kho_proto::error::Code;
use kho_proto::header::SubmittedAt;
use kho_proto::pb::v1::{StatsBy, StatsCounts, StatsRequest, StatsRow};
use kho_proto::record::{Draft, to_file};
use serde_json::json;

use crate::http_client::{Caller, PLATFORM};
use crate::keeper::{self, GOOD, cases, country, load, report, revision, unit, with};
use crate::reads::Store;
use crate::sender::{Sender, now};
use crate::thin_line::{code, id_of, submit};

pub async fn stats(client: &Store, request: StatsRequest) -> BTreeMap<[String; 3], StatsRow> {
    let (mut rows, mut request) = (BTreeMap::new(), request);
    loop {
        let part = client.clone().stats(request.clone()).await.unwrap().into_inner();
        for row in part.rows {
            let counts = row.counts.unwrap();
            assert_eq!(counts.expected, counts.on_time + counts.late + counts.missing + counts.open, "{row:?}");
            let key = [row.regime.clone(), row.unit.clone(), row.period.clone()];
            match rows.entry(key) {
                std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(row)),
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let sum: &mut StatsRow = place.get_mut();
                    sum.counts = Some(added(sum.counts.unwrap(), counts));
                }
            }
        }
        if part.next_page_token.is_empty() {
            return rows;
        }
        request.page_token = part.next_page_token;
    }
}

fn added(one: StatsCounts, other: StatsCounts) -> StatsCounts {
    StatsCounts {
        expected: one.expected + other.expected,
        on_time: one.on_time + other.on_time,
        late: one.late + other.late,
        missing: one.missing + other.missing,
        open: one.open + other.open,
        corrected: one.corrected + other.corrected,
        superseded: one.superseded + other.superseded,
        unscheduled: one.unscheduled + other.unscheduled,
        records: one.records + other.records,
    }
}

fn ask(from: &str, to: &str, by: StatsBy) -> StatsRequest {
    StatsRequest { period_from: from.to_owned(), period_to: to.to_owned(), by: by.into(), ..Default::default() }
}

fn row(rows: &BTreeMap<[String; 3], StatsRow>, key: [&str; 3]) -> Option<StatsCounts> {
    rows.get(&key.map(str::to_owned)).and_then(|row| row.counts)
}

const NONE: StatsCounts = StatsCounts {
    expected: 0,
    on_time: 0,
    late: 0,
    missing: 0,
    open: 0,
    corrected: 0,
    superseded: 0,
    unscheduled: 0,
    records: 0,
};

/// R-D5
#[tokio::test(flavor = "multi_thread")]
async fn each_report_is_counted_for_what_it_is() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt, t01, t02] = ["VPCP", "BYT", "T01", "T02"].map(|unit| Sender::new(&world.signers, unit));
    load(&client, &keeper, &country()).await;
    let alarm = json!({"code": "BAO-01", "frequency": "ad_hoc", "mode": "opaque", "fields": [], "checks": []});
    load(&client, &keeper, &[with(cases(), alarm)]).await;
    let today = Day::at(now());
    let (day, before, ahead) = (today.to_string(), today.plus(-1).to_string(), today.plus(1).to_string());
    let begun = now();
    // today's is on time, yesterday's is open; of long ago one is late and corrected twice, one late; T02 is gone in July
    submit(&client, &report(&byt, "YT-01", &day, GOOD)).await.unwrap();
    let first = report(&byt, "YT-01", "2020-06-01", GOOD);
    submit(&client, &first).await.unwrap();
    // accepted-at is in whole milliseconds
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let as_of = now();
    let second = revision(&byt, "YT-01", "2020-06-01", GOOD, Some(id_of(&first)));
    submit(&client, &second).await.unwrap();
    submit(&client, &revision(&byt, "YT-01", "2020-06-01", GOOD, Some(id_of(&second)))).await.unwrap();
    submit(&client, &report(&byt, "YT-01", "2020-06-03", GOOD)).await.unwrap();
    for period in ["2020-06-02T08:30:00+07:00", "2020-06-02T09:30:00+07:00"] {
        submit(&client, &report(&byt, "BAO-01", period, "gió giật cấp 12")).await.unwrap();
    }
    // two subjects of one moment are one report, and no correction
    for subject in ["Quảng Trị", "Quảng Bình"] {
        let (regime, period) = ("BAO-01".parse().unwrap(), "2020-06-02T10:30:00+07:00".parse().unwrap());
        let draft = Draft { regime, period, series: subject.to_owned(), ..byt.draft() };
        submit(&client, &byt.sign(draft, b"?")).await.unwrap();
    }
    submit(&client, &report(&t01, "KTXH-01", "2020-07", "?")).await.unwrap();
    submit(&client, &report(&t02, "KTXH-01", "2020-06", "?")).await.unwrap();

    let cells = stats(&client, ask("2020-06-01", "2020-06-04", StatsBy::UnitRegimePeriod)).await;
    let late = StatsCounts { expected: 1, late: 1, records: 1, ..NONE };
    let missing = StatsCounts { expected: 1, missing: 1, ..NONE };
    let alarm = StatsCounts { unscheduled: 1, records: 1, ..NONE };
    let corrected = StatsCounts { corrected: 1, superseded: 2, records: 3, ..late };
    let of = |period| ["YT-01", "BYT", period];
    assert_eq!(row(&cells, of("2020-06-01")), Some(corrected));
    assert_eq!(row(&cells, of("2020-06-02")), Some(missing));
    assert_eq!(row(&cells, of("2020-06-03")), Some(late));
    assert_eq!(row(&cells, of("2020-06-04")), Some(missing));
    assert_eq!(row(&cells, ["BAO-01", "BYT", "2020-06-02T08:30:00+07:00"]), Some(alarm));
    let two = StatsCounts { unscheduled: 1, records: 2, ..NONE };
    assert_eq!(row(&cells, ["BAO-01", "BYT", "2020-06-02T10:30:00+07:00"]), Some(two));
    assert_eq!(cells.len(), 7);
    assert_eq!(cells[&of("2020-06-01").map(str::to_owned)].deadline, "2020-06-03T00:00:00.000+07:00");

    let now_cells = stats(&client, ask(&before, &ahead, StatsBy::UnitRegimePeriod)).await;
    assert_eq!(row(&now_cells, of(&day)), Some(StatsCounts { expected: 1, on_time: 1, records: 1, ..NONE }));
    // unless midnight came in between
    if Day::at(now()) == today {
        assert_eq!(row(&now_cells, of(&before)), Some(StatsCounts { expected: 1, open: 1, ..NONE }), "{before}");
        assert_eq!(row(&now_cells, of(&ahead)), None, "it has not begun");
    }

    // added up
    let months = |by| ask("2020-06", "2020-08", by);
    let units = stats(&client, months(StatsBy::ByUnit)).await;
    assert_eq!(
        row(&units, ["", "T01", ""]),
        Some(StatsCounts { expected: 3, late: 1, missing: 2, records: 1, ..NONE })
    );
    assert_eq!(row(&units, ["", "T02", ""]), Some(StatsCounts { expected: 1, late: 1, records: 1, ..NONE }));
    let byt_sum = StatsCounts {
        expected: 92,
        late: 2,
        missing: 90,
        corrected: 1,
        superseded: 2,
        unscheduled: 3,
        records: 8,
        ..NONE
    };
    assert_eq!(row(&units, ["", "BYT", ""]), Some(byt_sum));
    let regimes = stats(&client, months(StatsBy::ByRegime)).await;
    let monthly = StatsCounts { expected: 4, late: 2, missing: 2, records: 2, ..NONE };
    assert_eq!(row(&regimes, ["KTXH-01", "", ""]), Some(monthly));
    let total = stats(&client, months(StatsBy::Total)).await;
    assert_eq!(row(&total, ["", "", ""]), Some(added(byt_sum, monthly)));
    let only =
        StatsRequest { units: vec!["T02".to_owned()], regimes: vec!["KTXH-01".to_owned()], ..months(StatsBy::Total) };
    assert_eq!(row(&stats(&client, only).await, ["", "", ""]), row(&units, ["", "T02", ""]));
    // in parts of a row, and cut within a duty: the same
    for by in [StatsBy::UnitRegimePeriod, StatsBy::UnitRegime, StatsBy::ByUnit, StatsBy::Total] {
        let parts = stats(&client, StatsRequest { page_size: 1, ..months(by) }).await;
        assert_eq!(parts, stats(&client, months(by)).await, "{by:?}");
    }

    // as of a moment: before it was corrected, and before anything was there
    let then = |at| StatsRequest {
        as_of: SubmittedAt::from_unix_ms(at).to_string(),
        ..ask("2020-06-01", "2020-06-01", StatsBy::UnitRegimePeriod)
    };
    assert_eq!(row(&stats(&client, then(as_of)).await, of("2020-06-01")), Some(late));
    assert_eq!(row(&stats(&client, then(begun)).await, of("2020-06-01")), Some(missing));
    let in_time: kho_proto::id::UnixMs = "2020-06-02".parse::<Day>().unwrap().begin();
    let open = StatsCounts { expected: 1, open: 1, ..NONE };
    assert_eq!(row(&stats(&client, then(in_time)).await, of("2020-06-01")), Some(open));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_its_own_and_what_it_receives() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let keeper = Sender::new(&world.signers, "VPCP");
    load(&client, &keeper, &country()).await;
    load(&client, &keeper, &[unit("BTC", "ministry", "2020-01-01")]).await;
    let private = json!({"code": "RIENG-01", "receivers": ["BTC"], "mode": "opaque", "fields": [], "checks": []});
    load(&client, &keeper, &[with(cases(), private)]).await;
    let all = ["KTXH-01 T01", "KTXH-01 T02", "RIENG-01 BYT", "YT-01 BYT"];
    for (uris, expected) in [
        (&["urn:kho:role:reader", "urn:kho:units:all"][..], &all[..]),
        (&["urn:kho:role:operator"], &all),
        (&["urn:kho:role:reader", "urn:kho:unit:T01"], &["KTXH-01 T01"]),
        (&["urn:kho:role:reader", "urn:kho:unit:VPCP"], &["KTXH-01 T01", "KTXH-01 T02", "YT-01 BYT"]),
        (&["urn:kho:role:reader", "urn:kho:unit:BTC"], &["RIENG-01 BYT"]),
        (&["urn:kho:role:reader", "urn:kho:unit:T09"], &[]),
    ] {
        let client = world.store(1, uris).await;
        let rows = stats(&client, ask("2020-06", "2020-06", StatsBy::UnitRegime)).await;
        let seen: Vec<String> = rows.keys().map(|[regime, unit, _]| format!("{regime} {unit}")).collect();
        assert_eq!(seen, expected, "{uris:?}");
    }
    let good = || ask("2020-06", "2020-06", StatsBy::Total);
    for uris in [&["urn:kho:role:auditor"][..], &["urn:kho:role:submitter", "urn:kho:units:all"]] {
        let mut client = world.store(1, uris).await;
        assert_eq!(code(&client.stats(good()).await.unwrap_err()), Code::RoleNotPermitted, "{uris:?}");
    }
    let future = SubmittedAt::from_unix_ms(kho_proto::id::UnixMs(now().0 + 3_600_000)).to_string();
    for (request, expected) in [
        (StatsRequest { period_from: String::new(), ..good() }, Code::PeriodInvalid),
        (StatsRequest { period_to: "2020-05".to_owned(), ..good() }, Code::RequestMalformed),
        (StatsRequest { period_to: "2050".to_owned(), ..good() }, Code::RequestMalformed),
        (StatsRequest { by: 9, ..good() }, Code::RequestMalformed),
        (StatsRequest { page_size: 5_001, ..good() }, Code::RequestMalformed),
        (StatsRequest { units: vec!["Bộ".to_owned()], ..good() }, Code::RequestMalformed),
        (StatsRequest { as_of: "yesterday".to_owned(), ..good() }, Code::RequestMalformed),
        (StatsRequest { as_of: future, ..good() }, Code::RequestMalformed),
        (StatsRequest { page_token: b"forged".to_vec().into(), ..good() }, Code::PageTokenInvalid),
    ] {
        assert_eq!(code(&client.clone().stats(request.clone()).await.unwrap_err()), expected, "{request:?}");
    }
    // a page token is of its question
    let paged = StatsRequest { page_size: 1, ..ask("2020-06", "2020-06", StatsBy::UnitRegime) };
    let token = client.clone().stats(paged.clone()).await.unwrap().into_inner().next_page_token;
    let other = StatsRequest { period_to: "2020-07".to_owned(), page_token: token, ..paged };
    assert_eq!(code(&client.clone().stats(other).await.unwrap_err()), Code::PageTokenMismatch);
}

/// R-D5, R-E2: the same over HTTP; and each wrong figure is named there, too.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_and_wrong_figures_are_told_over_http() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt] = ["VPCP", "BYT"].map(|unit| Sender::new(&world.signers, unit));
    load(&client, &keeper, &country()).await;
    submit(&client, &report(&byt, "YT-01", "2020-06-01", GOOD)).await.unwrap();
    let caller = Caller::new(&world, PLATFORM);
    let wrong = to_file(&report(&byt, "YT-01", "2020-06-02", r#"{"cases":-5}"#));
    let problem = caller.post("/v1/records", "application/octet-stream", wrong).await;
    let problem = problem.refused(400, Code::FiguresInvalid);
    let paths: Vec<_> = problem["fields"].as_array().unwrap().iter().map(|field| &field["path"]).collect();
    assert_eq!((paths, &problem["fields_total"]), (vec![&json!("cases"), &json!("deaths")], &json!(2)));
    for field in problem["fields"].as_array().unwrap() {
        assert!(field["message_vi"] != field["message_en"] && field["message_vi"] != "", "{field}");
    }

    let grpc = stats(&client, ask("2020-06-01", "2020-06-03", StatsBy::UnitRegimePeriod)).await;
    assert!(grpc.len() >= 3, "{grpc:?}");
    let mut path = "/v1/stats?period_from=2020-06-01&period_to=2020-06-03&page_size=1".to_owned();
    let mut found = BTreeMap::new();
    loop {
        let part = caller.get(&path).await.good(200);
        for row in part["rows"].as_array().unwrap() {
            let name = |name: &str| row[name].as_str().unwrap().to_owned();
            let counts: Vec<_> = COUNTS.iter().map(|name| row[name].as_u64().unwrap()).collect();
            let old = found.insert(["regime", "unit", "period"].map(name), (counts, name("deadline")));
            assert_eq!(old, None, "rows of one period come once");
        }
        let Some(token) = part["next_page_token"].as_str() else { break };
        path = format!("/v1/stats?period_from=2020-06-01&period_to=2020-06-03&page_size=1&page_token={token}");
    }
    let expected = grpc.into_iter().map(|(key, row)| {
        let of = row.counts.unwrap();
        let counts = vec![of.expected, of.on_time, of.late, of.missing, of.open, of.corrected, of.superseded];
        (key, ([counts, vec![of.unscheduled, of.records]].concat(), row.deadline))
    });
    assert_eq!(found, expected.collect());
    let total =
        caller.get("/v1/stats?period_from=2020-06-01&period_to=2020-06-03&units=BYT&regimes=YT-01,KTXH-01&by=total");
    let total = total.await.good(200);
    assert_eq!((&total["rows"][0]["late"], &total["rows"][0]["unit"]), (&json!(1), &serde_json::Value::Null));
    caller.get("/v1/stats?period_from=2020-06-01").await.refused(400, Code::PeriodInvalid);
    caller.get("/v1/stats?period_from=2020-06&period_to=2020-06&by=none").await.refused(400, Code::RequestMalformed);
}

const COUNTS: [&str; 9] =
    ["expected", "on_time", "late", "missing", "open", "corrected", "superseded", "unscheduled", "records"];
