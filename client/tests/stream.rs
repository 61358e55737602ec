//! A stream of records: none lost, none answered twice, whatever becomes of nodes and streams.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fake::{Act, Fake, client, config, refuse, several, signed, timing};
use kho_client::{Client, Config, Settled, Signed, StreamClosed, SubmitError, Timing};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, RecordId};

/// Sends all, and takes all answers: one for each, or the test fails.
async fn stream(client: &Client, records: Vec<Signed>) -> BTreeMap<RecordId, Settled> {
    let (sender, mut results) = client.submit_stream();
    let expected = records.len();
    let sending = tokio::spawn(async move {
        for record in records {
            sender.send(record).await.unwrap();
        }
    });
    let mut settled = BTreeMap::new();
    while let Some(one) = results.next().await {
        let again = settled.insert(one.record.record_id(), one);
        assert!(again.is_none(), "a second answer");
    }
    sending.await.unwrap();
    assert_eq!(settled.len(), expected, "an answer for each");
    settled
}

fn all_by(settled: &BTreeMap<RecordId, Settled>, node: u64) -> bool {
    settled.values().all(|one| one.answer.as_ref().is_ok_and(|done| done.node == NodeId(node)))
}

#[tokio::test]
async fn each_has_one_answer_over_one_stream() {
    let acts = [Act::Accept, refuse(Code::SignatureInvalid), Act::Accept];
    let node = Fake::node(1, 1, &acts).await;
    let records = several(200).await;
    let bad = records[1].record_id();
    let settled = stream(&client(&[&node]), records).await;
    for (id, one) in settled {
        match one.answer {
            Ok(done) => assert_eq!(done.record_id, id),
            Err(error) => assert_eq!((id, error.code()), (bad, Code::SignatureInvalid)),
        }
    }
    assert_eq!(node.streams(), 1);
    assert_eq!(node.short(), 199, "certificates go along once");
}

#[tokio::test]
async fn a_node_that_forgets_certificates_gets_them_again() {
    let node = Fake::forgetful(&[Act::Accept]).await;
    let settled = stream(&client(&[&node]), several(5).await).await;
    assert!(all_by(&settled, 1), "{settled:?}");
}

#[tokio::test]
async fn what_a_lost_stream_left_open_goes_on_at_another_node() {
    let well = Fake::node(2, 2, &[Act::Duplicate]).await;
    let two = [Act::Accept, Act::Accept];
    for (bad, before) in [
        (Fake::absent().await, 0),
        (Fake::hangs_up().await, 0),
        (Fake::node(1, 1, &[&two[..], &[Act::Foreign(tonic::Code::Unavailable)]].concat()).await, 2),
        (Fake::node(1, 1, &[&two[..], &[Act::End]].concat()).await, 2),
        (Fake::node(1, 1, &[&two[..], &[Act::Hang]].concat()).await, 2),
        (Fake::node(1, 1, &[&two[..], &[refuse(Code::NodeStopping)]].concat()).await, 2),
        (Fake::node(1, 1, &[&two[..], &[Act::Admit(Code::OutcomeUnknown)]].concat()).await, 2),
    ] {
        let settled = stream(&client(&[&bad, &well]), several(20).await).await;
        let by =
            |node| settled.values().filter(move |one| one.answer.as_ref().is_ok_and(|done| done.node == NodeId(node)));
        assert_eq!((by(1).count(), by(2).count()), (before, 20 - before), "{settled:?}");
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_is_opened_again_at_the_same_node_if_there_is_no_other() {
    let node =
        Fake::node(1, 1, &[Act::Accept, Act::End, Act::Accept, Act::Foreign(tonic::Code::Internal), Act::Accept]);
    let node = node.await;
    let settled = stream(&client(&[&node]), several(30).await).await;
    assert!(all_by(&settled, 1), "{settled:?}");
    assert_eq!(node.streams(), 3);
}

#[tokio::test]
async fn silence_is_unknown_and_absence_is_not() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let start = Instant::now();
    let settled = stream(&client(&[&hangs]), several(5).await).await;
    assert!(settled.values().all(|one| one.answer.as_ref().is_err_and(SubmitError::is_unknown)), "{settled:?}");
    assert!(start.elapsed() < timing().deadline + Duration::from_millis(300), "each has its deadline");

    let absent = Fake::absent().await;
    let settled = stream(&client(&[&absent]), several(5).await).await;
    let unreachable = |one: &Settled| matches!(one.answer, Err(SubmitError::Unreachable { .. }));
    assert!(settled.values().all(unreachable), "{settled:?}");

    let old = Fake::node(1, 1, &[refuse(Code::NoLeader)]).await;
    let settled = stream(&client(&[&old]), several(2).await).await;
    assert!(settled.values().all(|one| one.answer.as_ref().is_err_and(|error| error.code() == Code::NoLeader)));
}

/// To open a stream is an attempt like any other, however long a connection may take.
#[tokio::test]
async fn a_node_that_opens_no_stream_costs_one_attempt() {
    // the kernel takes connections, and nobody speaks
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let well = Fake::node(2, 2, &[Act::Accept]).await;
    let nodes = vec![mute.local_addr().unwrap().to_string(), well.address.clone()];
    let long = Timing { connect: Duration::from_secs(1), ..Timing::default() };
    let client = Client::new(Config { nodes, timing: long, ..config(&[]) }).unwrap();
    let settled = stream(&client, several(3).await).await;
    assert!(all_by(&settled, 2), "{settled:?}");
}

#[tokio::test]
async fn a_nodes_wish_to_be_left_alone_is_respected() {
    let wait = Duration::from_millis(300);
    let hint = Refusal { retry_after: Some(wait), ..Refusal::new(Code::Overloaded, "queue full") };
    let node = Fake::node(1, 1, &[Act::Refuse(hint), Act::Accept]).await;
    let start = Instant::now();
    let settled = stream(&client(&[&node]), vec![signed().await]).await;
    assert!(all_by(&settled, 1), "{settled:?}");
    assert!(start.elapsed() >= wait);
    assert_eq!(node.streams(), 1, "the stream stays");
}

#[tokio::test]
async fn who_does_not_take_answers_does_not_send_for_long() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let (sender, mut results) = client(&[&node]).submit_stream();
    let record = signed().await;
    let sending = async {
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_millis(500), sender.send(record.clone())).await.is_ok() {
            sent += 1;
        }
        sent
    };
    assert_eq!(sending.await, 128);
    results.next().await.unwrap();
    sender.send(record).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_results_are_dropped_takes_nothing_and_leaves_doubt() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let (sender, results) = client(&[&hangs]).submit_stream();
    let record = signed().await;
    sender.send(record.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(results);
    assert_eq!(sender.send(record.clone()).await, Err(StreamClosed));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let absent = Fake::absent().await;
    assert!(client(&[&absent]).submit(&record).await.unwrap_err().is_unknown());
}

#[tokio::test]
async fn a_record_that_no_message_can_hold_harms_nobody() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let mut records = several(3).await;
    let mut large = records[1].record().clone();
    large.payload = vec![0; 8 << 20].into();
    records[1] = Signed::from_record(large).unwrap();
    let bad = records[1].record_id();
    let settled = stream(&client(&[&node]), records).await;
    for (id, one) in settled {
        assert_eq!(one.answer.err().map(|error| error.code()), (id == bad).then_some(Code::PayloadTooLarge));
    }
    assert_eq!(node.streams(), 1);
}

#[tokio::test]
async fn a_hint_beyond_the_deadline_ends_a_record_at_once_and_no_other() {
    let hint = Refusal { retry_after: Some(Duration::from_secs(60)), ..Refusal::new(Code::QuotaExceeded, "too fast") };
    let node = Fake::node(1, 1, &[Act::Refuse(hint), Act::Accept]).await;
    let start = Instant::now();
    let settled = stream(&client(&[&node]), several(10).await).await;
    let codes: Vec<_> = settled.values().filter_map(|one| one.answer.as_ref().err()).map(SubmitError::code).collect();
    assert_eq!(codes, [Code::QuotaExceeded]);
    assert!(start.elapsed() < timing().deadline / 2, "{:?}", start.elapsed());
}
