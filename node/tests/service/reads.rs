//! Lists, counts and histories: what comes, for whom, and in which order.

use std::collections::BTreeSet;

use kho_proto::error::Code;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::leaf::Leaf;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{
    CountRequest, Filter, HistoryRequest, HistoryResponse, ListRequest, ListResponse, Order, RecordEntry, RecordState,
    SeriesKey, SignedRecord, history_request,
};
use kho_proto::record::Draft;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::sender::{Sender, now};
use crate::thin_line::{code, id_of, submit};
use crate::world::World;

pub type Store = StoreClient<Channel>;

pub async fn list(client: &Store, request: ListRequest) -> Result<ListResponse, Status> {
    client.clone().list(request).await.map(Response::into_inner)
}

async fn history(client: &Store, request: HistoryRequest) -> Result<HistoryResponse, Status> {
    client.clone().history(request).await.map(Response::into_inner)
}

pub async fn all(client: &Store, filter: Filter, order: Order) -> Vec<RecordEntry> {
    let mut request = ListRequest { filter: Some(filter), order: order.into(), page_size: 3, ..Default::default() };
    let mut entries = Vec::new();
    loop {
        let page = list(client, request.clone()).await.unwrap();
        assert!(page.entries.len() <= 3);
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        request.page_token = page.next_page_token;
    }
}

async fn count(client: &Store, filter: Filter) -> u64 {
    let request = CountRequest { filter: Some(filter), ..Default::default() };
    let part = client.clone().count(request).await.unwrap().into_inner();
    assert!(part.next_page_token.is_empty(), "so few are counted at once");
    part.count
}

fn sequences(entries: &[RecordEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

/// A few units' records of a few regimes and periods, with corrections and receivers, in order of acceptance.
pub struct Country {
    pub records: Vec<(Draft, SignedRecord)>,
}

impl Country {
    pub async fn fill(world: &World, client: &Store) -> Self {
        let senders = ["BYT", "BCT", "T01"].map(|unit| Sender::new(&world.signers, unit));
        let mut records: Vec<(Draft, SignedRecord)> = Vec::new();
        let periods = ["2020-01", "2020-02-11", "2020-W07", "2020-01/2020-03", "2021"];
        // a second apart, and all of it past
        let begun = now().0 - 60_000;
        for n in 0..24 {
            let sender = &senders[n % 3];
            let mut draft = sender.draft();
            draft.regime = ["YT-01", "KT-02"][n % 2].parse().unwrap();
            draft.period = periods[n % periods.len()].parse().unwrap();
            draft.series = format!("đối tượng {n}");
            draft.submitted_at = SubmittedAt::from_unix_ms(UnixMs(begun + n as u64 * 1000));
            if n % 4 == 1 {
                draft.receivers = vec!["VPCP".parse().unwrap()];
            }
            records.push((draft.clone(), sender.sign(draft, format!("báo cáo {n}").as_bytes())));
        }
        // three revisions of one of BYT's
        for _ in 0..2 {
            let (last, before) = records.iter().rev().find(|(draft, _)| draft.series == "đối tượng 3").unwrap();
            let supersedes = Some(id_of(before));
            let draft = Draft { supersedes, series: last.series.clone(), ..senders[0].draft() };
            let draft = Draft { regime: last.regime.clone(), period: last.period, ..draft };
            records.push((draft.clone(), senders[0].sign(draft, b"sua doi")));
        }
        for (_, record) in &records {
            submit(client, record).await.unwrap();
        }
        Self { records }
    }

    /// Sequence numbers of those that pass.
    fn those(&self, pass: impl Fn(&Draft) -> bool) -> Vec<u64> {
        let numbered = self.records.iter().zip(1..);
        numbered.filter(|((draft, _), _)| pass(draft)).map(|(_, sequence)| sequence).collect()
    }

    fn superseded(&self, draft: &Draft) -> bool {
        self.records.iter().any(|(other, _)| other.supersedes == Some(draft.record_id))
    }
}

/// R-D2
#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_what_was_sent() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let country = Country::fill(&world, &client).await;
    let of_unit = |unit: &str| Filter { unit: unit.to_owned(), ..Filter::default() };
    type Pass = Box<dyn Fn(&Draft) -> bool>;
    let span =
        |from: &str, to: &str| Filter { period_from: from.to_owned(), period_to: to.to_owned(), ..Filter::default() };
    let cases: Vec<(Filter, Pass)> = vec![
        (Filter::default(), Box::new(|_| true)),
        (of_unit("BYT"), Box::new(|draft| draft.unit.as_str() == "BYT")),
        (of_unit("NOBODY"), Box::new(|_| false)),
        (Filter { receiver: "VPCP".to_owned(), ..Filter::default() }, Box::new(|draft| !draft.receivers.is_empty())),
        (
            Filter { receiver: "VPCP".to_owned(), ..of_unit("BCT") },
            Box::new(|draft| draft.unit.as_str() == "BCT" && !draft.receivers.is_empty()),
        ),
        (
            Filter { regime: "KT-02".to_owned(), ..Filter::default() },
            Box::new(|draft| draft.regime.as_str() == "KT-02"),
        ),
        (
            Filter { regime: "YT-01".to_owned(), ..of_unit("T01") },
            Box::new(|draft| draft.unit.as_str() == "T01" && draft.regime.as_str() == "YT-01"),
        ),
        (
            Filter { period: "2021".to_owned(), ..Filter::default() },
            Box::new(|draft| draft.period.to_string() == "2021"),
        ),
        (
            Filter { period: "2020-01".to_owned(), regime: "YT-01".to_owned(), ..of_unit("BYT") },
            Box::new(|draft| {
                (draft.unit.as_str(), draft.regime.as_str(), draft.period.to_string().as_str())
                    == ("BYT", "YT-01", "2020-01")
            }),
        ),
        // a week and a day of February, not the quarter
        (
            span("2020-02", "2020-03"),
            Box::new(|draft| ["2020-02-11", "2020-W07"].contains(&draft.period.to_string().as_str())),
        ),
        (span("2020-02", ""), Box::new(|draft| !draft.period.to_string().starts_with("2020-01"))),
        (
            Filter { series: Some("đối tượng 7".to_owned()), ..Filter::default() },
            Box::new(|draft| draft.series == "đối tượng 7"),
        ),
        (
            Filter { series: Some("đối tượng 3".to_owned()), regime: "KT-02".to_owned(), ..of_unit("BYT") },
            Box::new(|draft| draft.series == "đối tượng 3"),
        ),
        (Filter { series: Some(String::new()), ..Filter::default() }, Box::new(|_| false)),
    ];
    for (filter, pass) in cases {
        let expect = country.those(&pass);
        let found = all(&client, filter.clone(), Order::Oldest).await;
        assert_eq!(sequences(&found), expect, "{filter:?}");
        let newest = all(&client, filter.clone(), Order::Newest).await;
        assert_eq!(sequences(&newest), expect.iter().rev().copied().collect::<Vec<_>>(), "{filter:?}");
        assert_eq!(count(&client, filter.clone()).await, expect.len() as u64, "{filter:?}");
        for state in [RecordState::Latest, RecordState::Superseded] {
            let filter = Filter { state: state.into(), ..filter.clone() };
            let wanted = state == RecordState::Superseded;
            let expect = country.those(|draft| pass(draft) && country.superseded(draft) == wanted);
            assert_eq!(sequences(&all(&client, filter.clone(), Order::Oldest).await), expect, "{filter:?}");
            assert_eq!(count(&client, filter.clone()).await, expect.len() as u64, "{filter:?}");
        }
        for entry in found {
            check_entry(&country, &entry);
        }
    }
}

/// What an entry says is what its sender said.
fn check_entry(country: &Country, entry: &RecordEntry) {
    let (draft, record) = &country.records[usize::try_from(entry.sequence).unwrap() - 1];
    assert_eq!(entry.record_id, draft.record_id.0[..]);
    assert_eq!(entry.unit, draft.unit.as_str());
    assert_eq!(entry.regime, draft.regime.as_str());
    assert_eq!(entry.period, draft.period.to_string());
    assert_eq!(entry.series, draft.series);
    assert_eq!(entry.receivers, draft.receivers.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(entry.submitted_at, draft.submitted_at.to_string());
    assert_eq!(entry.media_type, draft.media_type);
    assert_eq!(entry.payload_length, record.payload.len() as u64);
    assert_eq!(entry.supersedes, draft.supersedes.map(|id| id.0.to_vec()).unwrap_or_default());
    let superseded = country.superseded(draft);
    assert_eq!(entry.state(), if superseded { RecordState::Superseded } else { RecordState::Latest });
    assert!(entry.leaf.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn times_bound_a_list_and_periods_order_it() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let country = Country::fill(&world, &client).await;
    let everything = all(&client, Filter::default(), Order::Oldest).await;
    let middle = &everything[9];
    let (before, from): (Vec<u64>, Vec<u64>) =
        sequences(&everything).iter().partition(|seq| everything[**seq as usize - 1].accepted_at < middle.accepted_at);
    let at = middle.accepted_at.clone();
    let filter = Filter { accepted_from: at.clone(), ..Filter::default() };
    assert_eq!(sequences(&all(&client, filter.clone(), Order::Oldest).await), from);
    assert_eq!(count(&client, filter).await, from.len() as u64);
    let filter = Filter { accepted_before: at, ..Filter::default() };
    assert_eq!(sequences(&all(&client, filter.clone(), Order::Oldest).await), before);
    assert_eq!(count(&client, filter).await, before.len() as u64);
    let (first, last) = (&country.records[5].0.submitted_at, &country.records[12].0.submitted_at);
    let expect = country.those(|draft| (first..last).contains(&&draft.submitted_at));
    assert_eq!(expect, (6..=12).collect::<Vec<_>>());
    let filter = Filter { submitted_from: first.to_string(), submitted_before: last.to_string(), ..Filter::default() };
    assert_eq!(sequences(&all(&client, filter.clone(), Order::Oldest).await), expect);
    assert_eq!(count(&client, filter).await, expect.len() as u64);

    let filter = Filter { unit: "BYT".to_owned(), regime: "YT-01".to_owned(), ..Filter::default() };
    let found = all(&client, filter.clone(), Order::Period).await;
    let mut expect = found.clone();
    expect.sort_by_key(|entry| (entry.period.clone(), entry.sequence));
    assert!(found == expect && found.len() > 3, "{found:?}");
    let descending = all(&client, filter, Order::PeriodDescending).await;
    assert_eq!(descending, expect.into_iter().rev().collect::<Vec<_>>());
}

/// R-C8, R-C5
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_of_what_is_not_theirs() {
    let (world, _nodes, _) = World::formed(1).await;
    let platform = world.platform(1).await;
    let country = Country::fill(&world, &platform).await;
    let reader = |units: &'static [&'static str]| {
        let uris: Vec<String> = units.iter().map(|unit| format!("urn:kho:unit:{unit}")).collect();
        let world = &world;
        async move {
            let uris: Vec<&str> =
                std::iter::once("urn:kho:role:reader").chain(uris.iter().map(String::as_str)).collect();
            world.store(1, &uris).await
        }
    };
    for units in [&["BYT"][..], &["VPCP"], &["BYT", "VPCP"], &["BCT", "T01"], &["NEW"]] {
        let client = reader(units).await;
        let seen = |draft: &Draft| {
            units.contains(&draft.unit.as_str()) || draft.receivers.iter().any(|unit| units.contains(&unit.as_str()))
        };
        let mut filters = vec![Filter::default(), Filter { regime: "YT-01".to_owned(), ..Filter::default() }];
        for unit in ["BYT", "BCT", "VPCP"] {
            filters.push(Filter { unit: unit.to_owned(), ..Filter::default() });
            filters.push(Filter { receiver: unit.to_owned(), ..Filter::default() });
        }
        for filter in filters {
            let expect = country.those(|draft| {
                seen(draft)
                    && (filter.unit.is_empty() || draft.unit.as_str() == filter.unit)
                    && (filter.regime.is_empty() || draft.regime.as_str() == filter.regime)
                    && (filter.receiver.is_empty()
                        || draft.receivers.iter().any(|unit| unit.as_str() == filter.receiver))
            });
            for order in [Order::Oldest, Order::Newest] {
                let mut found = sequences(&all(&client, filter.clone(), order).await);
                found.sort_unstable();
                assert_eq!(found, expect, "{units:?} {filter:?}");
            }
            assert_eq!(count(&client, filter.clone()).await, expect.len() as u64, "{units:?} {filter:?}");
        }
    }
    // a history of somebody else's record and one of none are the same
    let client = reader(&["VPCP"]).await;
    let ask = |of| HistoryRequest { of: Some(of), ..Default::default() };
    let others = history_request::Of::RecordId(country.records[3].0.record_id.0.to_vec().into());
    let nobodys = history_request::Of::RecordId(vec![7; 16].into());
    let (others, nobodys) =
        (history(&client, ask(others)).await.unwrap_err(), history(&client, ask(nobodys)).await.unwrap_err());
    assert_eq!((code(&others), others.message()), (Code::RecordUnknown, nobodys.message()));
    // nor does a page that would be empty tell that a series of others is there, or how long it is
    let (draft, _) = &country.records[3];
    for (series, page_size) in [(draft.series.as_str(), 0), (&draft.series, 1), (&draft.series, 2), ("none", 1)] {
        let key = SeriesKey {
            unit: draft.unit.to_string(),
            regime: draft.regime.to_string(),
            period: draft.period.to_string(),
            series: series.to_owned(),
        };
        let request = HistoryRequest { page_size, ..ask(history_request::Of::Series(key)) };
        let refused = history(&client, request).await.unwrap_err();
        assert_eq!((code(&refused), refused.message()), (Code::RecordUnknown, nobodys.message()), "{series}");
    }
    for role in ["operator", "submitter"] {
        let client = world.store(1, &[&format!("urn:kho:role:{role}"), "urn:kho:units:all"]).await;
        assert_eq!(code(&list(&client, ListRequest::default()).await.unwrap_err()), Code::RoleNotPermitted, "{role}");
        let counted = client.clone().count(CountRequest::default()).await.unwrap_err();
        assert_eq!(code(&counted), Code::RoleNotPermitted, "{role}");
    }
}

/// R-C6
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_sees_leaves_and_nothing_else() {
    let (world, _nodes, _) = World::formed(1).await;
    let platform = world.platform(1).await;
    let country = Country::fill(&world, &platform).await;
    let auditor = world.store(1, &["urn:kho:role:auditor", "urn:kho:units:all"]).await;
    let found = all(&auditor, Filter::default(), Order::Oldest).await;
    assert_eq!(sequences(&found), country.those(|_| true));
    assert_eq!(count(&auditor, Filter::default()).await, found.len() as u64);
    for entry in found {
        let leaf = Leaf::decode(&entry.leaf).unwrap();
        let record = &country.records[usize::try_from(entry.sequence).unwrap() - 1].1;
        assert_eq!(leaf.header_digest, kho_proto::digest::Digest::of(&record.header));
        let bare = RecordEntry {
            sequence: entry.sequence,
            record_id: leaf.record_id.0.to_vec().into(),
            accepted_at: entry.accepted_at.clone(),
            leaf: entry.leaf.clone(),
            ..RecordEntry::default()
        };
        assert_eq!(entry, bare);
    }
    for filter in [
        Filter { unit: "BYT".to_owned(), ..Filter::default() },
        Filter { period: "2021".to_owned(), ..Filter::default() },
        Filter { state: RecordState::Latest.into(), ..Filter::default() },
        Filter { series: Some(String::new()), ..Filter::default() },
        Filter { submitted_from: "2020-06-12T08:30:00.000+07:00".to_owned(), ..Filter::default() },
    ] {
        let request = ListRequest { filter: Some(filter), ..Default::default() };
        assert_eq!(code(&list(&auditor, request).await.unwrap_err()), Code::RoleNotPermitted);
    }
    let of = history_request::Of::RecordId(country.records[3].0.record_id.0.to_vec().into());
    let request = HistoryRequest { of: Some(of), ..Default::default() };
    assert_eq!(code(&history(&auditor, request).await.unwrap_err()), Code::RoleNotPermitted);
}

/// R-E3
#[tokio::test(flavor = "multi_thread")]
async fn a_history_says_what_superseded_what() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let country = Country::fill(&world, &client).await;
    let revisions = country.those(|draft| draft.series == "đối tượng 3");
    assert_eq!(revisions.len(), 3);
    let first = &country.records[3].0;
    let names = SeriesKey {
        unit: first.unit.to_string(),
        regime: first.regime.to_string(),
        period: first.period.to_string(),
        series: first.series.clone(),
    };
    let last = country.records.last().unwrap().0.record_id;
    for of in [
        history_request::Of::RecordId(first.record_id.0.to_vec().into()),
        history_request::Of::RecordId(last.0.to_vec().into()),
        history_request::Of::Series(names.clone()),
    ] {
        for (order, page_size) in [(Order::Oldest, 2), (Order::Newest, 1), (Order::Newest, 0)] {
            let mut request =
                HistoryRequest { of: Some(of.clone()), order: order.into(), page_size, ..Default::default() };
            let mut found = Vec::new();
            loop {
                let page = history(&client, request.clone()).await.unwrap();
                found.extend(page.revisions);
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            if order == Order::Newest {
                found.reverse();
            }
            assert_eq!(sequences(&found), revisions);
            let chain: Vec<(u32, RecordState)> = found.iter().map(|entry| (entry.revision, entry.state())).collect();
            use RecordState::{Latest, Superseded};
            assert_eq!(chain, [(1, Superseded), (2, Superseded), (3, Latest)]);
            for pair in found.windows(2) {
                assert_eq!(pair[1].supersedes, pair[0].record_id);
            }
        }
    }
    let nobodys = SeriesKey { series: "không có".to_owned(), ..names };
    let request = HistoryRequest { of: Some(history_request::Of::Series(nobodys)), ..Default::default() };
    assert_eq!(code(&history(&client, request).await.unwrap_err()), Code::RecordUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_stays_what_it_was_when_it_began() {
    let (world, _nodes, _) = World::formed(3).await;
    let mut clients = Vec::new();
    for node in 1..=3 {
        clients.push(world.platform(node).await);
    }
    let country = Country::fill(&world, &clients[0]).await;
    let sender = Sender::new(&world.signers, "BYT");
    for (order, state) in [(Order::Newest, RecordState::Any), (Order::Oldest, RecordState::Latest)] {
        let filter = Filter { state: state.into(), ..Filter::default() };
        let before = all(&clients[1], filter.clone(), order).await;
        let mut request = ListRequest { filter: Some(filter), order: order.into(), page_size: 4, ..Default::default() };
        let (mut found, mut n, mut sizes) = (Vec::new(), 0, BTreeSet::new());
        loop {
            // each page from another node, while records come in
            let page = list(&clients[n % 3], request.clone()).await.unwrap();
            found.extend(page.entries);
            sizes.insert(page.size);
            assert!(page.freshness.unwrap().linearizable);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            submit(&clients[(n + 1) % 3], &sender.report()).await.unwrap();
            n += 1;
        }
        assert!(n >= 5 && sizes.len() == 1, "{n} pages, sizes {sizes:?}");
        assert_eq!(found, before);
    }
    // corrected between two pages: still the latest of the moment at which the list began
    let mut request = ListRequest {
        filter: Some(Filter { state: RecordState::Latest.into(), ..Filter::default() }),
        order: Order::Newest.into(),
        page_size: 1,
        ..Default::default()
    };
    let target = sender.report();
    submit(&clients[0], &target).await.unwrap();
    let last = sender.report();
    submit(&clients[0], &last).await.unwrap();
    let first = list(&clients[0], request.clone()).await.unwrap();
    assert_eq!(first.entries[0].record_id, id_of(&last).0[..]);
    let header = kho_proto::header::Header::decode(&target.header).unwrap();
    let correction = Draft { supersedes: Some(header.record_id), series: header.series.clone(), ..sender.draft() };
    submit(&clients[1], &sender.sign(correction, b"{}")).await.unwrap();
    request.page_token = first.next_page_token;
    let second = list(&clients[2], request).await.unwrap();
    assert_eq!(
        (&second.entries[0].record_id[..], second.entries[0].state()),
        (&header.record_id.0[..], RecordState::Latest)
    );
    assert!(RecordId::try_from(&second.entries[0].record_id[..]).is_ok());
    assert_eq!(country.records.len(), 26);
}
