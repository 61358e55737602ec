//! Reads that are asked twice, and calls that are dropped.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::time::{Duration, Instant};

use fake::reads::Read;
use fake::{Act, Fake, config, refuse, several, signed, signed_as, timing};
use kho_client::{Client, Config, Filter, GetError, ListQuery, SubmitError, Timing, WatchFrom};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, Seq};

const AFTER: Duration = Duration::from_millis(30);

fn hedging(nodes: &[&Fake]) -> Client {
    Client::new(Config { timing: Timing { hedge: Some(AFTER), ..timing() }, ..config(nodes) }).unwrap()
}

/// What happens in a moment.
async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_slow_read_is_asked_of_another_node_and_the_loser_is_given_up() {
    let (slow, well) = (Fake::node(1, 1, &[Act::Hang]).await, Fake::node(2, 1, &[Act::Accept]).await);
    let client = hedging(&[&slow, &well]);
    let start = Instant::now();
    assert_eq!(client.get(signed().await.record_id()).await.unwrap().node, NodeId(2));
    let took = start.elapsed();
    assert!(took >= AFTER && took < timing().attempt, "{took:?}");
    assert_eq!((client.hedged(), slow.requests(), well.requests()), (1, 1, 1));
    // it rests: the next read begins elsewhere
    let once = client.with_timing(Timing { hedge: None, ..timing() });
    once.get(signed().await.record_id()).await.unwrap();
    assert_eq!((slow.requests(), well.requests()), (1, 2));
    soon("the loser is cancelled", || slow.given_up() == 1).await;
}

#[tokio::test]
async fn a_read_that_is_quick_is_asked_once_and_a_submit_always() {
    let (one, two) = (Fake::node(1, 1, &[Act::Accept]).await, Fake::node(2, 1, &[Act::Accept]).await);
    let client = hedging(&[&one, &two]);
    let client = client.with_timing(Timing { hedge: Some(timing().attempt), attempt: timing().deadline, ..timing() });
    for _ in 0..20 {
        client.get(signed().await.record_id()).await.unwrap();
    }
    assert_eq!(client.hedged(), 0);
    let (hangs, well) = (Fake::node(1, 1, &[Act::Hang]).await, Fake::node(2, 1, &[Act::Accept]).await);
    let client = hedging(&[&hangs, &well]);
    let start = Instant::now();
    client.submit(&signed().await).await.unwrap();
    assert!(start.elapsed() >= timing().attempt);
    assert_eq!(client.hedged(), 0);
}

#[tokio::test]
async fn without_a_hedge_a_slow_node_costs_an_attempt() {
    let (slow, well) = (Fake::node(1, 1, &[Act::Hang]).await, Fake::node(2, 1, &[Act::Accept]).await);
    let start = Instant::now();
    fake::client(&[&slow, &well]).get(signed().await.record_id()).await.unwrap();
    assert!(start.elapsed() >= timing().attempt);
}

#[tokio::test]
async fn the_first_good_answer_is_taken_and_a_failure_waits_for_the_other() {
    let late = Fake::node(1, 1, &[Act::Late(AFTER * 4)]).await;
    let failing = Fake::node(2, 0, &[refuse(Code::NoLeader)]).await;
    let fetched = hedging(&[&late, &failing]).get(signed().await.record_id()).await.unwrap();
    assert_eq!((fetched.node, late.requests(), failing.requests()), (NodeId(1), 1, 1));
    // a refusal for good is an answer like any other
    let (slow, knows) = (Fake::node(1, 1, &[Act::Hang]).await, Fake::node(2, 1, &[refuse(Code::RecordUnknown)]).await);
    let error = hedging(&[&slow, &knows]).get(signed().await.record_id()).await.unwrap_err();
    assert!(matches!(error, GetError::Refused { .. }) && error.code() == Code::RecordUnknown, "{error}");
    // one node has nobody beside it
    let alone = hedging(&[&slow]);
    alone.get(signed().await.record_id()).await.unwrap_err();
    assert_eq!(alone.hedged(), 0);
}

/// Who was asked a moment ago is not slow: a node that rests for nothing would send the next call to the other site.
#[tokio::test]
async fn who_was_asked_just_now_does_not_rest_for_the_others_answer() {
    let after = Duration::from_millis(180);
    let hint = Some(Duration::from_secs(60));
    let stopping = Refusal { retry_after: hint, ..Refusal::new(Code::NodeStopping, "restarts") };
    let first = Fake::node(1, 1, &[Act::Late(after + Duration::from_millis(20)), Act::Refuse(stopping)]).await;
    let second = Fake::node(2, 1, &[Act::Hang, Act::Accept]).await;
    let standby = Fake::node(9, 9, &[Act::Accept]).await;
    let timing = Timing { hedge: Some(after), attempt: timing().deadline, ..timing() };
    let further_sites = vec![vec![standby.address.clone()]];
    let client = Client::new(Config { timing, further_sites, ..config(&[&first, &second]) }).unwrap();
    let id = signed().await.record_id();
    assert_eq!((client.get(id).await.unwrap().node, client.hedged()), (NodeId(1), 1));
    client.submit(&signed().await).await.unwrap_err();
    // one node of the site rests; it is a site all the same
    assert_eq!(client.submit(&signed().await).await.unwrap().node, NodeId(2));
    assert_eq!(standby.requests(), 0);
}

#[tokio::test]
async fn a_slow_read_is_not_asked_of_another_site() {
    let (slow, standby) = (Fake::node(1, 1, &[Act::Late(AFTER * 3)]).await, Fake::node(9, 9, &[Act::Accept]).await);
    let timing = Timing { hedge: Some(AFTER), ..timing() };
    let further_sites = vec![vec![standby.address.clone()]];
    let client = Client::new(Config { timing, further_sites, ..config(&[&slow]) }).unwrap();
    assert_eq!(client.get(signed().await.record_id()).await.unwrap().node, NodeId(1));
    assert_eq!((client.hedged(), standby.requests()), (0, 0));
}

/// A slow cluster is not asked twice for everything.
#[tokio::test]
async fn second_attempts_are_bounded() {
    let nodes = [Fake::node(1, 1, &[Act::Late(AFTER * 3)]).await, Fake::node(2, 1, &[Act::Late(AFTER * 3)]).await];
    let client = hedging(&[&nodes[0], &nodes[1]]);
    let id = signed().await.record_id();
    let reads = futures::future::join_all((0..60).map(|_| client.get(id))).await;
    assert!(reads.iter().all(Result::is_ok));
    assert_eq!(client.hedged(), 10, "what was saved and 60 reads' tenths beyond it are no more than ten at once");
}

#[tokio::test]
async fn a_dropped_read_changes_nothing() {
    let slow = Fake::node(1, 1, &[Act::Hang, Act::Accept]).await;
    let client = fake::client(&[&slow]);
    let id = signed().await.record_id();
    assert!(tokio::time::timeout(AFTER, client.get(id)).await.is_err());
    soon("the node hears of it", || slow.given_up() == 1).await;
    assert_eq!(client.get(id).await.unwrap().node, NodeId(1));
}

/// Polls it for ever longer times, so that it is dropped at every point of its way.
macro_rules! often_dropped {
    ($dropped:ident, $call:expr) => {{
        let mut wait = Duration::ZERO;
        loop {
            match tokio::time::timeout(wait, $call).await {
                Ok(done) => break done,
                Err(_) => {
                    $dropped += 1;
                    wait += wait / 2 + Duration::from_micros(300);
                }
            }
        }
    }};
}

#[tokio::test]
async fn dropped_lists_and_watches_go_on_without_a_gap() {
    let node = Fake::log(1, 20, &[Read::Serve]).await;
    let client = fake::client(&[&node]);
    let (mut told, mut dropped) = (Vec::new(), 0);
    let mut listing = client.list(ListQuery { page_size: 3, ..ListQuery::default() });
    while let Some(entry) = often_dropped!(dropped, listing.next()).unwrap() {
        told.push(entry.sequence.0);
    }
    assert_eq!((told, dropped > 0), ((1..=20).collect(), true));

    let breaks = Read::BreakAfter(4, Code::NodeStopping);
    let node = Fake::log(1, 20, &[breaks.clone(), breaks.clone(), breaks, Read::Serve]).await;
    let mut watching = fake::client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    let (mut told, mut dropped) = (Vec::new(), 0);
    while told.len() < 20 {
        told.push(often_dropped!(dropped, watching.record()).unwrap().sequence.0);
    }
    assert_eq!((told, dropped > 0), ((1..=20).collect(), true));
}

#[tokio::test]
async fn a_message_that_is_dropped_leaves_its_records_in_doubt() {
    let node = Fake::node(1, 1, &[Act::Hang, refuse(Code::NoLeader)]).await;
    let (client, records) = (fake::client(&[&node]), several(3).await);
    assert!(tokio::time::timeout(timing().attempt / 2, client.submit_many(&records)).await.is_err());
    assert!(node.requests() > 0, "it was sent");
    for record in &records {
        // a refusal that does not hold for the attempt before
        let error = client.submit(record).await.unwrap_err();
        assert!(error.is_unknown(), "{error}");
    }
    let error = client.submit(&signed_as(200).await).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Refused { .. }), "{error}: this one was not sent before");
}

#[tokio::test]
async fn dropped_takes_lose_no_answer() {
    let node = Fake::node(1, 1, &[Act::Accept, Act::Refuse(Refusal::new(Code::NoLeader, "once")), Act::Accept]).await;
    let (sender, mut results) = fake::client(&[&node]).submit_stream();
    let (records, mut dropped, mut answered) = (several(50).await, 0, 0);
    for record in records {
        sender.send(record).await.unwrap();
    }
    drop(sender);
    while let Some(settled) = often_dropped!(dropped, results.next()) {
        settled.answer.unwrap();
        answered += 1;
    }
    assert_eq!((answered, dropped > 0), (50, true));
}
