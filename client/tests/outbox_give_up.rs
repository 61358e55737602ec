//! What is given up by hand: a record that waits, also in doubt, and never one that is being sent.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::time::Duration;

use fake::spool::{WAIT, code_of, deliver_for, delivering, drain, next, of, open, pace, perhaps_sent, places, stored};
use fake::{Act, Fake, client, refuse};
use kho_client::{Drained, Outbox, OutboxError, OutboxEvent, Pace, Place, Signed};
use kho_proto::error::Code;

/// Pauses that no test waits for.
fn slow() -> Pace {
    let long = Duration::from_secs(60);
    Pace { pause_min: long, pause_max: long, doubt: long, ..pace() }
}

fn sentence_of(outbox: &Outbox, record: &Signed) -> String {
    let listed = outbox.list(None).into_iter().find(|listed| listed.record_id == record.record_id()).unwrap();
    listed.why.unwrap().1
}

/// R-D1: it is nobody's last word that it is not in, and that is not forgotten.
#[tokio::test]
async fn a_record_in_doubt_is_given_up_and_its_series_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = perhaps_sent(&of("a", None).await);
    let second = of("a", Some(&first)).await;
    outbox.add_all(&[first.clone(), second.clone()]).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!((outbox.status().queued, outbox.status().in_doubt), (2, 1));

    assert_eq!(outbox.give_up(vec![first.record_id(), first.record_id()]).await.unwrap(), 1);
    drop(outbox);
    let outbox = open(dir.path());
    assert_eq!(places(&outbox), [(second.record_id(), Place::Queued), (first.record_id(), Place::Refused)]);
    let refusal = stored(&outbox, &first).await.refusal().unwrap();
    let expected =
        "outbox-given-up\ngiven up by hand, and may be in; it waited for figures-invalid: as the test says\n";
    assert_eq!(refusal, expected);
    // what supersedes it is the store's to judge
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!((node.requests(), outbox.status().delivered), (1, 1));

    // back again it is in doubt as it was: no refusal alone is the last word
    assert_eq!(outbox.retry(Some(vec![first.record_id()])).await.unwrap(), 1);
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!((outbox.status().queued, outbox.status().in_doubt), (1, 1));
    let node = Fake::node(1, 1, &[Act::Duplicate]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!(outbox.status().delivered, 2);
}

#[tokio::test]
async fn what_certainly_is_not_in_takes_its_successors_along() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = of("a", None).await;
    let (second, other) = (of("a", Some(&first)).await, of("a", None).await);
    outbox.add_all(&[first.clone(), second.clone(), other.clone()]).await.unwrap();
    assert_eq!(outbox.give_up(vec![first.record_id()]).await.unwrap(), 0);
    assert_eq!(sentence_of(&outbox, &first), "given up by hand; it certainly is not in");
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!(code_of(&outbox, &second), "outbox-predecessor-refused");
    assert_eq!((node.requests(), outbox.status().delivered), (1, 1), "of its series, but it names none of them");
    assert_eq!(outbox.retry(Some(vec![first.record_id()])).await.unwrap(), 2);
}

/// Whoever drains is not kept for ever by a record that nothing settles.
#[tokio::test]
async fn draining_ends_when_the_last_one_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = perhaps_sent(&of("a", None).await);
    outbox.add(&record).await.unwrap();
    let mut events = outbox.events();
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid)]).await;
    let draining = {
        let (outbox, client) = (outbox.clone(), client(&[&node]));
        tokio::spawn(async move { outbox.drain(&client, slow(), std::future::pending()).await })
    };
    assert!(matches!(next(&mut events).await, OutboxEvent::Waits { .. }));
    // it pauses, and whoever drains sleeps: that is not being sent
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(outbox.give_up(vec![record.record_id()]).await.unwrap(), 1);
    let event = next(&mut events).await;
    assert!(matches!(event, OutboxEvent::Refused { code: Code::OutboxGivenUp, .. }), "{event:?}");
    let drained = tokio::time::timeout(WAIT, draining).await.expect("in time").unwrap().unwrap();
    assert_eq!(drained, Drained::Empty);
}

#[tokio::test]
async fn what_is_being_sent_is_not_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let (record, behind) = (of("a", None).await, of("a", None).await);
    outbox.add_all(&[record.clone(), behind.clone()]).await.unwrap();
    let node = Fake::node(1, 1, &[Act::Hang]).await;
    let task = delivering(&outbox, &node, pace());
    while node.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = outbox.give_up(vec![behind.record_id(), record.record_id()]).await.unwrap_err();
    assert!(matches!(error, OutboxError::UnderWay { record_id } if record_id == record.record_id()), "{error}");
    assert!(error.code().retry());
    assert_eq!((outbox.status().queued, outbox.status().refused), (2, 0), "all or none");
    assert_eq!(outbox.give_up(vec![behind.record_id()]).await.unwrap(), 0, "it was not sent");
    // a round that was dropped sends nothing any more
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(outbox.give_up(vec![record.record_id()]).await.unwrap(), 1);
    assert_eq!((outbox.status().queued, outbox.status().refused), (0, 2));
}

#[tokio::test]
async fn only_what_waits_is_given_up_all_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let (done, waits) = (of("a", None).await, of("b", None).await);
    outbox.add(&done).await.unwrap();
    drain(&outbox, &[&Fake::node(1, 1, &[Act::Accept]).await]).await;
    outbox.add(&waits).await.unwrap();
    for (id, what) in [(done.record_id(), "delivered"), (of("c", None).await.record_id(), "none")] {
        let error = outbox.give_up(vec![waits.record_id(), id]).await.unwrap_err();
        let OutboxError::Unknown { record_id, expected, found } = error else { panic!("{error}") };
        assert_eq!((record_id, expected, found), (id, "queued", what));
        assert_eq!(outbox.status().queued, 1);
    }
}
