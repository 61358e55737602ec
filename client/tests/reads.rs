//! Lists, counts, histories and watches over nodes that fail in between.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::time::{Duration, Instant};

use fake::door::Door;
use fake::reads::Read;
use fake::{Fake, client, config, timing};
use kho_client::{Client, Config, Event, FAULTS_MAX, Filter, ListQuery, Order, ReadError, SeriesOf, WatchFrom};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, Seq};

fn refuse(code: Code) -> Read {
    Read::Refuse(Refusal::new(code, "as the test says"))
}

fn query() -> ListQuery {
    ListQuery { page_size: 3, ..ListQuery::default() }
}

fn sequences(entries: &[kho_client::Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.sequence.0).collect()
}

#[tokio::test]
async fn a_list_fetches_its_pages_and_an_empty_one_is_not_the_end() {
    let node = Fake::log(1, 10, &[Read::Serve, Read::Nothing, Read::Serve]).await;
    let mut listing = client(&[&node]).list(query());
    assert_eq!(listing.fresh(), None);
    let first = listing.next().await.unwrap().unwrap();
    let about = first.about.as_ref().unwrap();
    assert_eq!((about.unit.as_str(), about.revision, about.superseded), ("BYT", 1, false));
    let fresh = listing.fresh().unwrap();
    assert_eq!((fresh.linearizable, fresh.size, fresh.node), (true, 11, NodeId(1)));
    assert_eq!(sequences(&listing.all().await.unwrap()), (2..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_list_goes_on_at_another_node() {
    let gone = Fake::log(1, 10, &[Read::Serve, Read::Serve, refuse(Code::NodeStopping)]).await;
    let well = Fake::log(2, 10, &[Read::Serve]).await;
    let listing = client(&[&gone, &well]).list(query());
    assert_eq!(sequences(&listing.all().await.unwrap()), (1..=10).collect::<Vec<_>>());
    let streamed: Vec<_> = futures::StreamExt::collect(client(&[&well]).list(query()).into_stream()).await;
    assert_eq!(streamed.iter().filter(|entry| entry.is_ok()).count(), 10);
}

#[tokio::test]
async fn a_refusal_for_good_ends_a_list_at_once() {
    let node = Fake::log(1, 10, &[Read::Serve, refuse(Code::PageTokenExpired)]).await;
    let mut listing = client(&[&node]).list(query());
    for _ in 0..3 {
        listing.next().await.unwrap().unwrap();
    }
    let error = listing.next().await.unwrap_err();
    assert!(matches!(&error, ReadError::Refused { .. }) && error.code() == Code::PageTokenExpired, "{error}");
    assert_eq!(node.requests(), 2);
    let nobody = client(&[&Fake::absent().await]).list(query()).next().await.unwrap_err();
    assert!(matches!(nobody, ReadError::Unreachable { .. }), "{nobody}");
}

#[tokio::test]
async fn counts_are_summed_over_their_parts() {
    let (one, two) =
        (Fake::log(1, 10, &[Read::Serve]).await, Fake::log(2, 10, &[refuse(Code::NoLeader), Read::Serve]).await);
    for nodes in [vec![&one], vec![&two, &one]] {
        let count = client(&nodes).count(&Filter::default(), false).await.unwrap();
        assert_eq!((count.count, count.fresh.size), (10, 11));
    }
    let of = SeriesOf::Names {
        unit: "BYT".parse().unwrap(),
        regime: "YT-01".parse().unwrap(),
        period: "2020-06-12".parse().unwrap(),
        series: String::new(),
    };
    let history = client(&[&one]).history(of, Order::Oldest, false).all().await.unwrap();
    assert_eq!(sequences(&history), (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_without_a_gap_and_nothing_comes_twice() {
    let breaks = |after| Read::BreakAfter(after, Code::NodeStopping);
    let one = Fake::log(1, 20, &[breaks(4), refuse(Code::NoLeader), breaks(1), breaks(6), Read::Serve]).await;
    let two = Fake::log(2, 20, &[breaks(2), Read::BreakAfter(3, Code::NoLeader), Read::Serve]).await;
    let mut watching = client(&[&one, &two]).watch(&Filter::default(), WatchFrom::Sequence(Seq(3))).await.unwrap();
    assert_eq!(watching.position(), Some(Seq(3)));
    for expect in 3..=20 {
        assert_eq!(watching.record().await.unwrap().sequence, Seq(expect));
        assert_eq!(watching.position(), Some(Seq(expect + 1)));
    }
    assert!(one.requests() > 1 && two.requests() > 1);
}

#[tokio::test]
async fn now_is_settled_by_the_first_word() {
    let one = Fake::log(1, 5, &[Read::BreakAfter(1, Code::NodeStopping)]).await;
    let watching = client(&[&one]).watch(&Filter::default(), WatchFrom::Now).await.unwrap();
    assert_eq!((watching.position(), watching.node()), (Some(Seq(6)), Some(NodeId(1))));
    // the other node has two records more: they are not of before
    let two = Fake::log(2, 7, &[Read::Serve]).await;
    let mut other =
        client(&[&two]).watch(&Filter::default(), WatchFrom::Sequence(watching.position().unwrap())).await.unwrap();
    assert_eq!(other.record().await.unwrap().sequence, Seq(6));
    // every node ends it: that is told in the end, to who has not the patience
    let mut watching = watching.patience(Some(Duration::from_millis(400)));
    let error = loop {
        match watching.next().await {
            Ok(event) => assert_eq!(event, Event::Progress),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::NodeStopping);
}

/// Over weeks without a record a watch changes its node many times: that is no reason to end it.
#[tokio::test]
async fn a_watch_of_a_quiet_log_goes_on_however_often_its_node_is_lost() {
    let node = Fake::log(1, 5, &[Read::QuietThenBreak]).await;
    let mut watching = client(&[&node]).watch(&Filter::default(), WatchFrom::Now).await.unwrap();
    while node.requests() < 18 {
        assert_eq!(watching.next().await.unwrap(), Event::Progress);
        assert!(watching.waits().is_none());
    }
    assert_eq!(watching.position(), Some(Seq(6)));
}

/// Two nodes behind doors, and a client of them.
async fn behind_doors(first: &[Read]) -> ([Fake; 2], [Door; 2], Client) {
    let fakes = [Fake::log(1, 9, first).await, Fake::log(2, 9, &[Read::Serve]).await];
    let mut doors = [Door::to(&fakes[0].address).await, Door::to(&fakes[1].address).await];
    for door in &mut doors {
        door.open().await;
    }
    let nodes = doors.iter().map(|door| door.address.clone()).collect();
    let client = Client::new(Config { nodes, ..config(&[]) }).unwrap();
    (fakes, doors, client)
}

/// All nodes are gone for longer than any call may take, and come back.
#[tokio::test]
async fn a_watch_outlives_an_outage_of_all_nodes_and_says_that_it_waits() {
    let breaks = Read::BreakAfter(5, Code::NodeStopping);
    let (_fakes, mut doors, client) = behind_doors(&[breaks.clone(), breaks]).await;
    let filter = Filter::default();
    let from = |seq| client.watch(&filter, WatchFrom::Sequence(Seq(seq)));
    let (mut patient, mut impatient) = (from(1).await.unwrap(), from(1).await.unwrap());
    for expect in 1..=4 {
        for watching in [&mut patient, &mut impatient] {
            assert_eq!(watching.record().await.unwrap().sequence, Seq(expect));
        }
    }
    for door in &mut doors {
        door.shut().await;
    }
    let error = from(5).await.err().unwrap();
    assert!(matches!(error, ReadError::Unreachable { .. }), "{error}: one that has not begun ends like any call");
    let outage = async {
        tokio::time::sleep(timing().deadline * 2).await;
        doors[1].open().await;
    };
    let waits = async {
        let mut told = Vec::new();
        while told.len() < 5 {
            told.push(patient.record().await.unwrap().sequence.0);
        }
        told
    };
    // who looks now and then sets nothing back
    let looks = async {
        let (mut told, mut waited) = (Vec::new(), false);
        while told.len() < 5 {
            if let Ok(entry) = tokio::time::timeout(Duration::from_millis(70), impatient.record()).await {
                told.push(entry.unwrap().sequence.0);
            }
            waited |= impatient.waits().is_some();
        }
        (told, waited, impatient.waits().is_none())
    };
    let rest = vec![5, 6, 7, 8, 9];
    assert_eq!(tokio::join!(waits, looks, outage), (rest.clone(), (rest, true, true), ()));
}

#[tokio::test]
async fn a_watch_with_patience_ends_when_it_is_over_and_may_be_asked_again() {
    let (_fakes, mut doors, client) = behind_doors(&[Read::Serve]).await;
    let watching = client.watch(&Filter::default(), WatchFrom::Now).await.unwrap();
    let patience = Duration::from_millis(500);
    let mut watching = watching.patience(Some(patience));
    for door in &mut doors {
        door.shut().await;
    }
    for _ in 0..2 {
        let begun = Instant::now();
        let error = watching.record().await.unwrap_err();
        assert!(matches!(error, ReadError::Unreachable { .. }), "{error}");
        assert!(begun.elapsed() >= patience && begun.elapsed() < patience * 8, "{:?}", begun.elapsed());
    }
    doors[0].open().await;
    let next = async {
        loop {
            if let Ok(event) = watching.next().await {
                break event;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), next).await.unwrap(), Event::Progress);
    assert_eq!(watching.position(), Some(Seq(10)));
}

/// Refusals that pass are waited out like silence: a node that still has no keys, or no leader.
#[tokio::test]
async fn a_watch_waits_out_refusals_that_pass_and_ends_with_those_that_stay() {
    let breaks = Read::BreakAfter(2, Code::NodeStopping);
    // longer than any call would wait
    let retry_after = Some(timing().deadline + Duration::from_millis(200));
    let put_off = Read::Refuse(Refusal { retry_after, ..Refusal::new(Code::KeysMissing, "they come") });
    let node = Fake::log(1, 5, &[breaks.clone(), put_off, refuse(Code::NoLeader), Read::Serve]).await;
    let mut watching = client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    for expect in 1..=5 {
        assert_eq!(watching.record().await.unwrap().sequence, Seq(expect));
    }
    let node = Fake::log(1, 5, &[breaks, refuse(Code::RoleNotPermitted)]).await;
    let mut watching = client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    watching.record().await.unwrap();
    assert_eq!(watching.record().await.unwrap_err().code(), Code::RoleNotPermitted);
}

/// What no node can read is told, not waited for without a word: each copy was tried.
#[tokio::test]
async fn a_fault_that_every_node_has_is_told() {
    let damaged = Read::BreakAfter(1, Code::RecordDamaged);
    let mut fakes = Vec::new();
    for id in 1..=3 {
        fakes.push(Fake::log(id, 5, std::slice::from_ref(&damaged)).await);
    }
    let nodes: Vec<_> = fakes.iter().collect();
    let mut watching = client(&nodes).watch(&Filter::default(), WatchFrom::Sequence(Seq(2))).await.unwrap();
    let error = watching.record().await.unwrap_err();
    assert_eq!((error.code(), watching.position()), (Code::RecordDamaged, Some(Seq(2))));
    let asked: Vec<_> = fakes.iter().map(Fake::requests).collect();
    assert_eq!(asked.iter().sum::<u32>(), FAULTS_MAX);
    assert!(asked.iter().all(|asked| *asked >= 2), "{asked:?}");
}

/// One copy after the other is damaged, and who has a good one is away: it is waited for.
#[tokio::test]
async fn a_fault_of_some_nodes_is_not_what_another_stores() {
    let damaged = Read::BreakAfter(1, Code::RecordDamaged);
    let well = Fake::log(99, 5, &[Read::Serve]).await;
    let mut door = Door::to(&well.address).await;
    let mut nodes = Vec::new();
    for id in 1..=FAULTS_MAX {
        nodes.push(Fake::log(id.into(), 5, std::slice::from_ref(&damaged)).await.address);
    }
    nodes.push(door.address.clone());
    let client = Client::new(Config { nodes, ..config(&[]) }).unwrap();
    let mut watching = client.watch(&Filter::default(), WatchFrom::Sequence(Seq(2))).await.unwrap();
    let back = async {
        tokio::time::sleep(timing().deadline).await;
        door.open().await;
    };
    let (told, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), watching.record()), back);
    assert_eq!(told.expect("it is back").unwrap().sequence, Seq(2));
}

#[tokio::test]
async fn a_beginning_that_cannot_be_is_refused_at_once() {
    for code in [Code::WatchFromFuture, Code::WatchBeforeFirst] {
        let node = Fake::log(1, 5, &[refuse(code)]).await;
        let error = client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(99))).await.err().unwrap();
        assert_eq!((error.code(), node.requests()), (code, 1));
    }
}

#[tokio::test]
async fn a_node_that_repeats_itself_is_told_off() {
    let node = Fake::log(1, 5, &[Read::Stutter]).await;
    let mut watching = client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    for expect in 1..=5 {
        assert_eq!(watching.record().await.unwrap().sequence, Seq(expect));
    }
    let error = watching.record().await.unwrap_err();
    assert!(matches!(&error, ReadError::Answer { field: "next", .. }), "{error}");
}

/// What a watch can't read comes again, until it can be read: it is not passed over by what comes after it.
#[tokio::test]
async fn a_record_that_is_not_understood_is_not_passed_over() {
    let node = Fake::log(1, 3, &[Read::Garble(2), Read::Garble(2), Read::Serve]).await;
    let mut watching = client(&[&node]).watch(&Filter::default(), WatchFrom::Sequence(Seq(1))).await.unwrap();
    let (mut told, mut errors) = (Vec::new(), 0);
    while told.len() < 3 {
        let next = tokio::time::timeout(Duration::from_secs(10), watching.next()).await;
        match next.expect("what was not understood comes again") {
            Ok(Event::Record(entry)) => told.push(entry.sequence.0),
            Ok(_) => {}
            Err(ReadError::Answer { .. }) => errors += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((told, errors), (vec![1, 2, 3], 2));
}
