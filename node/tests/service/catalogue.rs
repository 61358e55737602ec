//! The catalogue: loaded as signed records, read by everybody, and what reports must be by it.

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{CatalogueEntry, CatalogueKind, CatalogueRequest, GetRequest, SubmitManyRequest};
use prost::Message;
use serde_json::json;
use tonic::Status;

use crate::keeper::{self, GOOD, cases, country, economy, entry, load, policy, report, unit, with};
use crate::reads::Store;
use crate::sender::Sender;
use crate::thin_line::{code, id_of, submit};
use crate::world::World;

fn refusal(status: Status) -> Refusal {
    kho_proto::status::from_status(&status).unwrap()
}

async fn all(client: &Store, request: CatalogueRequest) -> Vec<CatalogueEntry> {
    let (mut entries, mut request) = (Vec::new(), request);
    loop {
        let page = client.clone().catalogue(request.clone()).await.unwrap().into_inner();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        request.page_token = page.next_page_token;
    }
}

async fn codes(client: &Store, kind: CatalogueKind, on: &str) -> Vec<String> {
    let request = CatalogueRequest { kind: kind.into(), on: on.to_owned(), page_size: 1, ..Default::default() };
    all(client, request).await.into_iter().map(|entry| format!("{} {}", entry.code, entry.effective_from)).collect()
}

/// R-E1, R-E3
#[tokio::test(flavor = "multi_thread")]
async fn reports_must_be_as_the_catalogue_has_it() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt, t02, t09] = ["VPCP", "BYT", "T02", "T09"].map(|unit| Sender::new(&world.signers, unit));
    // nothing is loaded: everything goes
    submit(&client, &report(&t09, "MOON-1", "2020-01", "?")).await.unwrap();
    load(&client, &keeper, &country()).await;
    for (sender, regime, period, expected) in [
        (&byt, "YT-01", "2020-06-12", None),
        (&t09, "KTXH-01", "2020-06", Some(Code::UnitUnknown)),
        (&byt, "YT-09", "2020-06-12", Some(Code::RegimeUnknown)),
        (&t02, "YT-01", "2020-06-12", Some(Code::RegimeNotOfUnit)),
        (&byt, "YT-01", "2020-06", Some(Code::PeriodNotOfRegime)),
        (&byt, "YT-01", "2900-06-12", Some(Code::PeriodInFuture)),
        // merged on the 1st of July, and still corrects its June
        (&t02, "KTXH-01", "2020-06", None),
        (&t02, "KTXH-01", "2020-07", Some(Code::UnitNotValid)),
        // before the policy's day nothing is looked at
        (&t09, "MOON-1", "2019-12", None),
    ] {
        let answer = submit(&client, &report(sender, regime, period, GOOD)).await;
        assert_eq!(answer.err().map(|status| code(&status)), expected, "{} {regime} {period}", sender.unit);
    }
    // a regime that ends
    let ended = with(cases(), json!({"valid_to": "2020-12-31", "effective_from": "2021-01-01"}));
    load(&client, &keeper, &[ended]).await;
    let late = submit(&client, &report(&byt, "YT-01", "2021-01-01", GOOD)).await.unwrap_err();
    assert_eq!(code(&late), Code::RegimeNotValid);
    submit(&client, &report(&byt, "YT-01", "2020-12-31", GOOD)).await.unwrap();
    // the policy is taken back: a version of the same day takes its place
    let kept = all(&client, CatalogueRequest { kind: CatalogueKind::Policy.into(), ..Default::default() }).await;
    let before = kho_proto::id::RecordId::try_from(kept[0].record_id.as_ref()).unwrap();
    submit(&client, &entry(&keeper, &policy(false), Some(before))).await.unwrap();
    submit(&client, &report(&t09, "MOON-1", "2020-02", "?")).await.unwrap();
}

/// R-E2: one error for each field, in a status and in the result of one of many.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_figures_are_named_one_by_one() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt] = ["VPCP", "BYT"].map(|unit| Sender::new(&world.signers, unit));
    load(&client, &keeper, &country()).await;
    let bad = r#"{"cases":1001,"deaths":"2","recovered":3}"#;
    let refused = refusal(submit(&client, &report(&byt, "YT-01", "2020-06-12", bad)).await.unwrap_err());
    assert_eq!(refused.code, Code::FiguresInvalid);
    let told: Vec<_> =
        refused.fields.kept().iter().map(|e| (e.path.as_str(), e.message_vi.as_str(), e.found.as_str())).collect();
    assert_eq!(
        told,
        [
            ("recovered", "chỉ tiêu \"recovered\" không có trong chế độ báo cáo", "3"),
            ("cases", "“Ca mới” phải từ 0 đến 1000, đang là 1001", "1001"),
            ("deaths", "“Tử vong” phải là số nguyên", "\"2\""),
        ]
    );
    // a bad one does not sink its neighbours
    let records = [
        report(&byt, "YT-01", "2020-06-12", GOOD),
        report(&byt, "YT-01", "2020-06-13", r#"{"cases":1,"deaths":2}"#),
        report(&byt, "YT-01", "2020-06-14", GOOD),
    ];
    let records = records.iter().map(|record| record.encode_to_vec().into()).collect();
    let request = SubmitManyRequest { records, ..Default::default() };
    let answers = client.clone().submit_many(request).await.unwrap().into_inner().results;
    let outcomes: Vec<_> = answers.into_iter().filter_map(|answer| answer.result).collect();
    assert!(matches!(&outcomes[..], [Wire::Taken(_), Wire::Refused(_), Wire::Taken(_)]), "{outcomes:?}");
    let Wire::Refused(refused) = &outcomes[1] else { unreachable!() };
    let detail = refused.detail.clone().unwrap();
    assert_eq!((detail.code.as_str(), detail.fields.len(), detail.fields_total), ("figures-invalid", 1, 1));
    assert_eq!(detail.fields[0].message_en, "expected Deaths <= New cases, but the sides are 2 and 1");
    // many wrong fields still fit the headers of a status
    let many: serde_json::Map<_, _> = (0..300).map(|n| (format!("field{n}"), json!("sai"))).collect();
    let many = json!(many).to_string();
    let refused = refusal(submit(&client, &report(&byt, "YT-01", "2020-06-15", &many)).await.unwrap_err());
    assert_eq!(refused.fields.total(), 302);
    assert!((10..200).contains(&refused.fields.kept().len()), "{}", refused.fields.kept().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_keeper_signs_entries_and_a_wrong_one_is_named() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let [keeper, byt] = ["VPCP", "BYT"].map(|unit| Sender::new(&world.signers, unit));
    let refused = |status: Status| refusal(status).code;
    let foreign = submit(&client, &entry(&byt, &unit("T01", "province", "2020-01-01"), None)).await.unwrap_err();
    assert_eq!(refused(foreign), Code::CatalogueForbidden);
    let unknown = with(unit("T01", "province", "2020-01-01"), json!({"kind": "other"}));
    assert_eq!(refused(submit(&client, &entry(&keeper, &unknown, None)).await.unwrap_err()), Code::CatalogueInvalid);
    let wrong = with(economy(), json!({"owner": "?", "cutoff_day": 31}));
    let wrong = refusal(submit(&client, &entry(&keeper, &wrong, None)).await.unwrap_err());
    let paths: Vec<_> = wrong.fields.kept().iter().map(|error| error.path.as_str()).collect();
    assert_eq!((wrong.code, &paths[..]), (Code::CatalogueInvalid, &["owner", "cutoff_day"][..]));
    // twice the same document as another record: the series has its first revision
    let province = unit("T01", "province", "2020-01-01");
    submit(&client, &entry(&keeper, &province, None)).await.unwrap();
    let twice = submit(&client, &entry(&keeper, &province, None)).await.unwrap_err();
    assert_eq!(refused(twice), Code::SeriesHasHead);
    assert_eq!(codes(&client, CatalogueKind::Any, "").await, ["T01 2020-01-01"]);
    // a cluster that keeps none
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let keeper = Sender::new(&world.signers, "VPCP");
    let none = submit(&client, &entry(&keeper, &province, None)).await.unwrap_err();
    assert_eq!(refused(none), Code::CatalogueMissing);
    let none = client.clone().catalogue(CatalogueRequest::default()).await.unwrap_err();
    assert_eq!(refused(none), Code::CatalogueMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_the_catalogue_of_a_day() {
    let (world, _nodes) = keeper::formed(1).await;
    let client = world.platform(1).await;
    let keeper = Sender::new(&world.signers, "VPCP");
    load(&client, &keeper, &country()).await;
    for uris in [
        &["urn:kho:role:submitter", "urn:kho:unit:T09"][..],
        &["urn:kho:role:reader", "urn:kho:unit:T09"],
        &["urn:kho:role:auditor"],
        &["urn:kho:role:operator"],
    ] {
        let client = world.store(1, uris).await;
        assert_eq!(
            codes(&client, CatalogueKind::Regime, "").await,
            ["KTXH-01 2020-01-01", "YT-01 2020-01-01"],
            "{uris:?}"
        );
    }
    let on = |day| codes(&client, CatalogueKind::Unit, day);
    let early = ["BYT 2020-01-01", "T01 2020-01-01", "T02 2020-01-01", "VPCP 2020-01-01"];
    assert_eq!(on("2020-06-30").await, early);
    assert_eq!(on("2020-07-01").await, ["BYT 2020-01-01", "T01 2020-01-01", "T02 2020-07-01", "VPCP 2020-01-01"]);
    assert_eq!(on("2019-12-31").await, Vec::<String>::new());
    assert_eq!(on("").await.len(), 5);
    // the record behind an entry, with its receipt, by somebody whom it does not name
    let entries = all(&client, CatalogueRequest { codes: vec!["T02".to_owned()], ..Default::default() }).await;
    let other = world.store(1, &["urn:kho:role:reader", "urn:kho:unit:T09"]).await;
    let found = other.clone().get(GetRequest { record_id: entries[1].record_id.clone() }).await.unwrap().into_inner();
    let record = found.record.unwrap();
    assert_eq!(record.payload, entries[1].document);
    // other records of the keeper stay its own
    let own = report(&keeper, "OTHER", "2019-01", "?");
    submit(&client, &own).await.unwrap();
    let request = GetRequest { record_id: bytes::Bytes::copy_from_slice(id_of(&own).as_ref()) };
    assert_eq!(code(&other.clone().get(request).await.unwrap_err()), Code::RecordUnknown);
    let wrong = CatalogueRequest { on: "2020-06".to_owned(), ..Default::default() };
    assert_eq!(code(&client.clone().catalogue(wrong).await.unwrap_err()), Code::RequestMalformed);
}

/// Removes all of a node's log but the log itself.
fn wipe_state(world: &World, node: usize) {
    let mut wiped = 0;
    for log in std::fs::read_dir(world.path(&format!("data{node}/logs"))).unwrap() {
        for part in std::fs::read_dir(log.unwrap().path()).unwrap() {
            let part = part.unwrap();
            if part.file_name() != "raft" && part.path().is_dir() {
                std::fs::remove_dir_all(part.path()).unwrap();
                wiped += 1;
            }
        }
    }
    assert!(wiped > 0, "there was a state");
}

/// What one node took in, another one judges by at once; one that was away finds it; and it stays after a start.
#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_judge_alike() {
    let (world, mut nodes) = keeper::formed(3).await;
    let [keeper, byt] = ["VPCP", "BYT"].map(|unit| Sender::new(&world.signers, unit));
    let clients = [world.platform(1).await, world.platform(2).await];
    nodes.pop().unwrap().stop().await;
    load(&clients[0], &keeper, &country()).await;
    // a record may be taken by a catalogue of a second ago: the other node has this one from here on
    assert_eq!(codes(&clients[1], CatalogueKind::Any, "").await.len(), 8);
    for (n, regime) in (0..40).zip(["A-1", "A-2"].iter().cycle()) {
        // no is said by the newest one: each new regime is seen by the very next report, at the other node
        let version = with(cases(), json!({"code": format!("{regime}-{n}"), "effective_from": "2020-01-01"}));
        let (here, there) = (&clients[n % 2], &clients[(n + 1) % 2]);
        let report = report(&byt, &format!("{regime}-{n}"), "2020-06-12", GOOD);
        assert_eq!(code(&submit(there, &report).await.unwrap_err()), Code::RegimeUnknown);
        submit(here, &entry(&keeper, &version, None)).await.unwrap();
        submit(there, &report).await.unwrap();
    }
    // its state is lost as well: it comes from another node, whole
    wipe_state(&world, 3);
    let third = keeper::start(&world, 3).await;
    let late = world.platform(3).await;
    let expected = codes(&clients[0], CatalogueKind::Any, "").await;
    assert_eq!(expected.len(), 48);
    assert_eq!(codes(&late, CatalogueKind::Any, "").await, expected);
    assert_eq!(code(&submit(&late, &report(&byt, "NONE", "2020-06-12", GOOD)).await.unwrap_err()), Code::RegimeUnknown);
    third.stop().await;
    for node in nodes {
        node.stop().await;
    }
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(keeper::start(&world, node).await);
    }
    let again = world.platform(2).await;
    assert_eq!(codes(&again, CatalogueKind::Any, "").await, expected);
    let refused = submit(&again, &report(&byt, "YT-01", "2020-06-13", r#"{"cases":-1,"deaths":0}"#)).await.unwrap_err();
    assert_eq!(code(&refused), Code::FiguresInvalid);
}
