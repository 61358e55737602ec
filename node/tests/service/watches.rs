//! Watches: in order, without a gap, on any node, for whoever may see it, until the node stops.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kho_node::read::{WATCHES_MAX, WATCHES_PER_CONNECTION_MAX};
use kho_proto::error::Code;
use kho_proto::pb::v1::watch_response::Event;
use kho_proto::pb::v1::{Filter, RecordEntry, RecordState, SignedRecord, WatchRequest, WatchResponse};
use tonic::{Status, Streaming};

use crate::reads::{Country, Store};
use crate::sender::Sender;
use crate::thin_line::{code, id_of, submit};
use crate::world::World;

async fn watch(client: &Store, filter: Filter, from: Option<u64>) -> Result<Streaming<WatchResponse>, Status> {
    let request = WatchRequest { filter: Some(filter), from };
    client.clone().watch(request).await.map(tonic::Response::into_inner)
}

async fn word(watch: &mut Streaming<WatchResponse>) -> Result<WatchResponse, Status> {
    let word = tokio::time::timeout(Duration::from_secs(20), watch.message()).await.expect("a word in time");
    word.map(|word| word.expect("a watch ends with a code"))
}

/// The next record; positions are checked on the way.
async fn record(watch: &mut Streaming<WatchResponse>) -> RecordEntry {
    loop {
        let word = word(watch).await.unwrap();
        match word.event.unwrap() {
            Event::Progress(progress) => assert_eq!(progress.epoch, 1),
            Event::Record(entry) => {
                assert_eq!(word.next, entry.sequence + 1);
                return entry;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_the_past_and_then_the_present() {
    let (world, _nodes, _) = World::formed(3).await;
    let client = world.platform(1).await;
    let country = Country::fill(&world, &client).await;
    let sender = Sender::new(&world.signers, "BYT");
    for node in 1..=3 {
        let store = world.platform(node).await;
        let mut all = watch(&store, Filter::default(), Some(1)).await.unwrap();
        let first = word(&mut all).await.unwrap();
        assert!(matches!(first.event, Some(Event::Progress(progress)) if progress.node_id == node as u64));
        assert_eq!(first.next, 1);
        for (sequence, (draft, _)) in (1..).zip(&country.records) {
            let entry = record(&mut all).await;
            assert_eq!((entry.sequence, &entry.record_id[..]), (sequence, &draft.record_id.0[..]));
            assert_eq!(entry.state(), RecordState::Latest, "as of its own acceptance");
        }
        let mut some = watch(&store, Filter { unit: "T01".to_owned(), ..Filter::default() }, Some(5)).await.unwrap();
        for (sequence, _) in
            (1..).zip(&country.records).filter(|(n, (draft, _))| *n >= 5 && draft.unit.as_str() == "T01")
        {
            assert_eq!(record(&mut some).await.sequence, sequence);
        }
    }
    let store = world.platform(2).await;
    let mut now = watch(&store, Filter::default(), None).await.unwrap();
    let begun = word(&mut now).await.unwrap().next;
    for n in 0..5 {
        let report = sender.report();
        submit(&client, &report).await.unwrap();
        let entry = record(&mut now).await;
        assert_eq!((entry.sequence, &entry.record_id[..]), (begun + n, &id_of(&report).0[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_within_the_log() {
    let (world, _nodes, _) = World::formed(3).await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    submit(&client, &sender.report()).await.unwrap();
    let store = world.platform(2).await;
    let refused = |status: Status| code(&status);
    assert_eq!(watch(&store, Filter::default(), Some(0)).await.map(drop).map_err(refused), Err(Code::WatchBeforeFirst));
    for future in [3, 4, u64::MAX] {
        let begun = watch(&store, Filter::default(), Some(future)).await.map(drop).map_err(refused);
        assert_eq!(begun, Err(Code::WatchFromFuture), "{future}");
    }
    // the end of the log is now
    let mut next = watch(&store, Filter::default(), Some(2)).await.unwrap();
    let report = sender.report();
    submit(&client, &report).await.unwrap();
    assert_eq!(record(&mut next).await.record_id, id_of(&report).0[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_for_those_who_may_see_it() {
    let (world, _nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let reader = world.store(1, &["urn:kho:role:reader", "urn:kho:unit:VPCP"]).await;
    let auditor = world.store(1, &["urn:kho:role:auditor"]).await;
    let operator = world.store(1, &["urn:kho:role:operator", "urn:kho:units:all"]).await;
    let refused = watch(&operator, Filter::default(), Some(1)).await.map(drop).map_err(|status| code(&status));
    assert_eq!(refused, Err(Code::RoleNotPermitted));
    let (mut read, mut audited) = (
        watch(&reader, Filter::default(), None).await.unwrap(),
        watch(&auditor, Filter::default(), None).await.unwrap(),
    );
    let country = Country::fill(&world, &client).await;
    for (sequence, (draft, _)) in (1..).zip(&country.records) {
        let leaf = record(&mut audited).await;
        assert_eq!((leaf.sequence, leaf.unit.as_str(), leaf.leaf.is_empty()), (sequence, "", false));
        if !draft.receivers.is_empty() {
            assert_eq!(record(&mut read).await.sequence, sequence);
        }
    }
    // what is nobody's business is passed by, and that is said
    let passed = loop {
        let word = word(&mut read).await.unwrap();
        if word.next == country.records.len() as u64 + 1 {
            break word.event.unwrap();
        }
    };
    assert!(matches!(passed, Event::Progress(_)), "{passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_its_leader_and_ends_with_its_node() {
    let (world, mut nodes, _) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let mut leader = nodes[0].consensus().watch_leader();
    let leader = leader.wait_for(Option::is_some).await.unwrap().unwrap();
    let at = usize::try_from(leader.0).unwrap() - 1;
    let (stays, writer) = (world.platform((at + 1) % 3 + 1).await, world.platform((at + 2) % 3 + 1).await);
    let goes = world.platform(at + 1).await;
    let mut watched = watch(&stays, Filter::default(), Some(1)).await.unwrap();
    let mut ending = watch(&goes, Filter::default(), Some(1)).await.unwrap();
    let mut sent: Vec<SignedRecord> = Vec::new();
    for _ in 0..20 {
        let report = sender.report();
        submit(&writer, &report).await.unwrap();
        sent.push(report);
    }
    let stopped = nodes.remove(at);
    let start = Instant::now();
    let stopping = tokio::spawn(stopped.stop());
    let end = loop {
        match word(&mut ending).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(code(&end), Code::NodeStopping);
    assert!(start.elapsed() < Duration::from_secs(3), "at once, not when connections are cut: {:?}", start.elapsed());
    for _ in 0..20 {
        let report = sender.report();
        submit(&writer, &report).await.unwrap();
        sent.push(report);
    }
    stopping.await.unwrap();
    for (sequence, report) in (1..).zip(&sent) {
        let entry = record(&mut watched).await;
        assert_eq!((entry.sequence, &entry.record_id[..]), (sequence, &id_of(report).0[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_of_no_leader_ends_its_watches() {
    let (world, mut nodes, _) = World::formed(3).await;
    let client = world.platform(3).await;
    let mut watched = watch(&client, Filter::default(), None).await.unwrap();
    nodes.remove(0).stop().await;
    nodes.remove(0).stop().await;
    let start = Instant::now();
    let end = loop {
        match word(&mut watched).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(code(&end), Code::NoLeader);
    assert!(start.elapsed() > Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_bounded_and_slow_listeners_hold_up_nobody() {
    let (world, nodes, _) = World::formed(1).await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let mut held = Vec::new();
    for _ in 0..WATCHES_PER_CONNECTION_MAX {
        held.push(watch(&client, Filter::default(), Some(1)).await.unwrap());
    }
    let refused = watch(&client, Filter::default(), Some(1)).await.map(drop).map_err(|status| code(&status));
    assert_eq!(refused, Err(Code::Overloaded));
    // another connection has its own
    let other = world.platform(1).await;
    let mut quick = watch(&other, Filter::default(), Some(1)).await.unwrap();
    const { assert!(WATCHES_MAX > WATCHES_PER_CONNECTION_MAX) };
    // the sixteen read nothing meanwhile
    let mut waiting = Vec::new();
    for n in 0..400 {
        let record = Sender::report(&sender);
        let client = other.clone();
        waiting.push(tokio::spawn(async move { submit(&client, &record).await.unwrap() }));
        if n % 40 == 39 {
            for submitted in waiting.drain(..) {
                submitted.await.unwrap();
            }
        }
    }
    let quickly: Vec<u64> = {
        let mut all = Vec::new();
        for _ in 0..400 {
            all.push(record(&mut quick).await.sequence);
        }
        all
    };
    assert_eq!(quickly, (1..=400).collect::<Vec<_>>());
    // a place is free again when its listener goes
    drop(held.pop());
    let start = Instant::now();
    let late = loop {
        match watch(&client, Filter::default(), Some(1)).await {
            Ok(late) => break late,
            Err(status) => assert_eq!(code(&status), Code::Overloaded),
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the place was not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    held.push(late);
    for watch in &mut held {
        let mut seen = BTreeSet::new();
        for expect in 1..=400 {
            assert_eq!(record(watch).await.sequence, expect);
            seen.insert(expect);
        }
        assert_eq!(seen.len(), 400);
    }
    drop(nodes);
}
