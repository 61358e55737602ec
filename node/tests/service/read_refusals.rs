//! Requests for lists and watches that must be refused, each with its code; and reads without a leader.

use std::time::Duration;

use kho_node::read::{PAGE_ENTRIES_MAX, TOKEN_LENGTH_MAX};
use kho_proto::error::Code;
use kho_proto::pb::v1::{
    CountRequest, Filter, HistoryRequest, ListRequest, Order, RecordState, SeriesKey, WatchRequest, history_request,
};

use crate::reads::{Country, list};
use crate::sender::Sender;
use crate::thin_line::{code, submit};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_break_a_rule_are_refused_with_the_field() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let none = Filter::default;
    let text = |text: &str| text.to_owned();
    for (filter, expect, field) in [
        (Filter { unit: text("BỘ Y TẾ"), ..none() }, Code::RequestMalformed, "unit"),
        (Filter { receiver: "A".repeat(33), ..none() }, Code::RequestMalformed, "receiver"),
        (Filter { regime: text("-"), ..none() }, Code::RequestMalformed, "regime"),
        (Filter { period: text("2020-13"), ..none() }, Code::PeriodInvalid, "period"),
        (Filter { period_from: text("quý 1"), ..none() }, Code::PeriodInvalid, "period_from"),
        (Filter { period_to: text("2020-02-30"), ..none() }, Code::PeriodInvalid, "period_to"),
        (
            Filter { period_from: text("2020-03"), period_to: text("2020-02"), ..none() },
            Code::RequestMalformed,
            "period_to",
        ),
        (Filter { period: text("2020"), period_to: text("2020"), ..none() }, Code::RequestMalformed, "period"),
        (Filter { series: Some("x".repeat(257)), ..none() }, Code::RequestMalformed, "series"),
        (Filter { state: 3, ..none() }, Code::RequestMalformed, "state"),
        (Filter { accepted_from: text("2020-06-12"), ..none() }, Code::RequestMalformed, "accepted_from"),
        (Filter { submitted_before: text("now"), ..none() }, Code::RequestMalformed, "submitted_before"),
        (
            Filter {
                accepted_from: text("2020-06-12T08:30:00.000+07:00"),
                accepted_before: text("2020-06-12T08:30:00.000+07:00"),
                ..none()
            },
            Code::RequestMalformed,
            "accepted_before",
        ),
    ] {
        let request = ListRequest { filter: Some(filter.clone()), ..Default::default() };
        let status = list(&client, request).await.unwrap_err();
        assert_eq!(code(&status), expect, "{filter:?}");
        assert!(status.message().starts_with(&format!("{field} ")), "{}", status.message());
        let request = CountRequest { filter: Some(filter.clone()), ..Default::default() };
        assert_eq!(code(&client.clone().count(request).await.unwrap_err()), expect, "{filter:?}");
        let request = WatchRequest { filter: Some(filter.clone()), from: None };
        assert_eq!(code(&client.clone().watch(request).await.unwrap_err()), expect, "{filter:?}");
    }
    let with_unit = Some(Filter { unit: text("BYT"), ..none() });
    for request in [
        ListRequest { page_size: PAGE_ENTRIES_MAX + 1, ..Default::default() },
        ListRequest { order: 4, ..Default::default() },
        ListRequest { order: Order::Period.into(), ..Default::default() },
        ListRequest { order: Order::PeriodDescending.into(), filter: with_unit, ..Default::default() },
    ] {
        assert_eq!(code(&list(&client, request.clone()).await.unwrap_err()), Code::RequestMalformed, "{request:?}");
    }
    let key = |unit: &str, period: &str| {
        let key = SeriesKey { unit: text(unit), regime: text("YT-01"), period: text(period), series: String::new() };
        Some(history_request::Of::Series(key))
    };
    let by_id = |length| Some(history_request::Of::RecordId(vec![1; length].into()));
    for (of, order, expect) in [
        (None, Order::Newest, Code::RequestMalformed),
        (by_id(15), Order::Newest, Code::RequestMalformed),
        (key("", "2020"), Order::Newest, Code::RequestMalformed),
        (key("BYT", "20"), Order::Newest, Code::PeriodInvalid),
        (key("BYT", "2020"), Order::Period, Code::RequestMalformed),
        (by_id(16), Order::Newest, Code::RecordUnknown),
    ] {
        let request = HistoryRequest { of: of.clone(), order: order.into(), ..Default::default() };
        assert_eq!(code(&client.clone().history(request).await.unwrap_err()), expect, "{of:?}");
    }
    let request =
        WatchRequest { filter: Some(Filter { state: RecordState::Superseded.into(), ..none() }), from: Some(1) };
    assert_eq!(code(&client.clone().watch(request).await.unwrap_err()), Code::RequestMalformed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_good_for_its_own_list_only() {
    let (world, _nodes, _) = World::formed(3).await;
    let client = world.platform(1).await;
    Country::fill(&world, &client).await;
    let request = ListRequest { page_size: 2, ..Default::default() };
    let token = list(&client, request.clone()).await.unwrap().next_page_token;
    assert!(!token.is_empty() && token.len() <= TOKEN_LENGTH_MAX);
    let with = |token: Vec<u8>| ListRequest { page_token: token.into(), ..request.clone() };
    for at in [0, 1, 20, token.len() / 2, token.len() - 1] {
        let mut forged = token.to_vec();
        forged[at] ^= 1;
        assert_eq!(code(&list(&client, with(forged)).await.unwrap_err()), Code::PageTokenInvalid, "byte {at}");
    }
    for bad in [vec![0], token[..token.len() - 1].to_vec(), vec![1; TOKEN_LENGTH_MAX], vec![1; 100_000]] {
        assert_eq!(code(&list(&client, with(bad)).await.unwrap_err()), Code::PageTokenInvalid);
    }
    let good = with(token.to_vec());
    for other in [
        ListRequest { order: Order::Oldest.into(), ..good.clone() },
        ListRequest { filter: Some(Filter { unit: "BYT".to_owned(), ..Filter::default() }), ..good.clone() },
    ] {
        assert_eq!(code(&list(&client, other).await.unwrap_err()), Code::PageTokenMismatch);
    }
    let counted = CountRequest { page_token: token.clone(), ..Default::default() };
    assert_eq!(code(&client.clone().count(counted).await.unwrap_err()), Code::PageTokenMismatch);
    let of = Some(history_request::Of::RecordId(vec![1; 16].into()));
    let history = HistoryRequest { of, page_token: token.clone(), ..Default::default() };
    assert_eq!(code(&client.clone().history(history).await.unwrap_err()), Code::PageTokenMismatch);
    // what one caller's list was begun with is of no use to another, whatever that one may see
    for uris in [&["urn:kho:role:reader", "urn:kho:unit:BYT"][..], &["urn:kho:role:auditor"]] {
        let other = world.store(1, uris).await;
        assert_eq!(code(&list(&other, good.clone()).await.unwrap_err()), Code::PageTokenMismatch);
    }
    // a larger page, a stale read and another node are still the same list
    let node = world.platform(3).await;
    let page = list(&node, ListRequest { page_size: 5, stale: true, ..good }).await.unwrap();
    assert_eq!((page.entries.len(), page.freshness.unwrap().linearizable), (5, true));
}

/// The answer of a node that is cut off is old, and says how old.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_needs_no_leader_and_states_its_age() {
    let (world, mut nodes, _) = World::formed(3).await;
    let client = world.platform(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    submit(&client, &sender.report()).await.unwrap();
    let linearizable = list(&client, ListRequest::default()).await.unwrap();
    let freshness = linearizable.freshness.unwrap();
    assert!(freshness.linearizable && freshness.age_ms.is_none() && freshness.applied > 0);
    let stale = || ListRequest { stale: true, ..Default::default() };
    for node in 1..=3 {
        // whoever leads: a majority, or the leader, was heard within a few heartbeats
        let page = list(&world.platform(node).await, stale()).await.unwrap();
        let freshness = page.freshness.unwrap();
        assert!(!freshness.linearizable && freshness.age_ms.unwrap() < 5_000, "{freshness:?}");
    }
    nodes.remove(0).stop().await;
    nodes.remove(0).stop().await;
    assert_eq!(code(&list(&client, ListRequest::default()).await.unwrap_err()), Code::NoLeader);
    let first = list(&client, stale()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let second = list(&client, stale()).await.unwrap();
    assert_eq!(first.entries, second.entries);
    let age = |page: &kho_proto::pb::v1::ListResponse| page.freshness.unwrap().age_ms.unwrap();
    assert!(age(&second) >= age(&first) + 600, "{} and {}", age(&first), age(&second));
    // started again, it has heard of nobody yet
    nodes.remove(0).stop().await;
    let _node = world.start(3).await;
    let page = list(&world.platform(3).await, stale()).await.unwrap();
    assert_eq!((page.entries, page.freshness.unwrap().age_ms), (first.entries, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_keys_says_so() {
    let world = World::new(3);
    let mut nodes = Vec::new();
    for node in 1..=3 {
        let toml = world.toml(node);
        let toml = if node == 3 { toml.replace("keyring = \"keyring\"\n", "") } else { toml };
        nodes.push(world.try_start(world.parse(&toml)).await.unwrap());
    }
    world.form(1).await;
    let client = world.platform(3).await;
    assert_eq!(code(&list(&client, ListRequest::default()).await.unwrap_err()), Code::KeysMissing);
    assert_eq!(code(&client.clone().watch(WatchRequest::default()).await.unwrap_err()), Code::KeysMissing);
}
