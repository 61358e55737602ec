//! What an outbox takes for proof, and what holds up whom.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::time::{Duration, Instant};

use fake::log::{forked_at, receipt_in};
use fake::spool::{WAIT, code_of, deliver_for, delivering, drain, next, of, open, pace, perhaps_sent, places};
use fake::{Act, Fake, client, log, refuse, signed_as};
use kho_client::{Added, Drained, Limits, Outbox, OutboxEvent, Pace, Place};
use kho_proto::error::{Code, Refusal};
use kho_proto::receipt::Receipt;

#[tokio::test]
async fn who_adds_it_again_and_may_have_sent_it_leaves_it_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let (record, other) = (of("a", None).await, of("b", None).await);
    outbox.add(&record).await.unwrap();
    assert_eq!(outbox.status().in_doubt, 0);
    assert_eq!(outbox.add(&perhaps_sent(&record)).await.unwrap(), Added::Before(Place::Queued));
    // within one call, too
    outbox.add_all(&[other.clone(), perhaps_sent(&other)]).await.unwrap();
    assert_eq!(outbox.status().in_doubt, 2);
    drop(outbox);
    let outbox = open(dir.path());
    assert_eq!(outbox.status().in_doubt, 2);
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!((outbox.status().queued, outbox.status().refused), (2, 0));
}

/// A refusal that is on its way meanwhile says nothing of what somebody else has sent; nor is one that was refused before
/// refused for good when it is sent again.
#[tokio::test]
async fn added_again_during_its_round_or_after_its_refusal_it_is_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    let mut events = outbox.events();
    let slow = Fake::node(1, 1, &[Act::RefuseInTime(Code::FiguresInvalid)]).await;
    let task = delivering(&outbox, &slow, pace());
    while slow_to_begin(&outbox) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    outbox.add(&perhaps_sent(&record)).await.unwrap();
    let event = next(&mut events).await;
    assert!(matches!(event, OutboxEvent::Waits { code: Code::FiguresInvalid, .. }), "{event:?}");
    assert_eq!(outbox.status().in_doubt, 1);
    task.abort();
    let _ = task.await;

    let refused = of("b", None).await;
    outbox.add(&refused).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!(outbox.add(&perhaps_sent(&refused)).await.unwrap(), Added::Before(Place::Refused));
    outbox.retry(Some(vec![refused.record_id()])).await.unwrap();
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!((outbox.status().queued, outbox.status().in_doubt), (2, 2));
}

/// It was not marked yet as perhaps sent.
fn slow_to_begin(outbox: &Outbox) -> bool {
    outbox.status().in_doubt == 0
}

/// What an earlier process has seen of the time is nobody's measure: a clock may have been set since.
#[tokio::test]
async fn the_age_of_a_doubt_begins_anew_with_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&perhaps_sent(&record)).await.unwrap();
    drop(outbox);
    tokio::time::sleep(pace().doubt + fake::timing().deadline + Duration::from_millis(100)).await;
    let outbox = open(dir.path());
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), refuse(Code::RecordUnknown)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    assert_eq!((node.requests(), outbox.status().queued, outbox.status().in_doubt), (1, 1, 1));
}

#[tokio::test]
async fn evidence_that_cannot_be_kept_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    std::fs::write(dir.path().join("evidence"), b"no directory").unwrap();
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    let mut events = outbox.events();
    let forged = Act::Forge(|receipt| receipt.sequence.0 += 1);
    let node = Fake::node(1, 1, &[forged, Act::Duplicate]).await;
    drain(&outbox, &[&node]).await;
    let OutboxEvent::Waits { code, sentence, .. } = next(&mut events).await else { panic!("it waits first") };
    assert_eq!(code, Code::ReceiptInvalid);
    assert!(sentence.starts_with("the evidence could not be kept ("), "{sentence}");
    assert_eq!(places(&outbox), [(record.record_id(), Place::Delivered)]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_lies_in_the_stores_place_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outbox.redb");
    std::os::unix::fs::symlink(dir.path().join("not-mounted/outbox.redb"), &path).unwrap();
    for open in [Outbox::open, Outbox::open_existing] {
        let error = open(dir.path(), Limits::default()).unwrap_err();
        assert_eq!(error.code(), Code::OutboxStorageFailed, "{error}");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    }
}

/// The others' receipts are durable before anybody is asked for it; and shutdown ends the asking.
#[tokio::test]
async fn what_is_asked_for_holds_up_no_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let doubted = of("a", None).await;
    outbox.add(&perhaps_sent(&doubted)).await.unwrap();
    let node =
        Fake::node(1, 1, &[refuse(Code::FiguresInvalid), refuse(Code::FiguresInvalid), Act::Accept, Act::Hang]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    tokio::time::sleep(pace().doubt + fake::timing().deadline).await;
    let other = of("b", None).await;
    outbox.add(&other).await.unwrap();
    let (mut events, mut shutdown) = (outbox.events(), outbox.events());
    let ended = async move { drop(shutdown.recv().await) };
    let asking = {
        let (outbox, client) = (outbox.clone(), client(&[&node]));
        tokio::spawn(async move { outbox.deliver_at(&client, pace(), ended).await })
    };
    let event = next(&mut events).await;
    let delivered = Instant::now();
    assert!(matches!(event, OutboxEvent::Delivered { record_id, .. } if record_id == other.record_id()), "{event:?}");
    assert_eq!(outbox.list(Some(Place::Queued))[0].rounds, 1, "it is asked for");
    asking.await.unwrap().unwrap();
    assert!(delivered.elapsed() < fake::timing().deadline, "shutdown is not waited for");
    assert_eq!((code_of(&outbox, &doubted).as_str(), outbox.status().in_doubt), ("outcome-unknown", 1));
}

#[tokio::test]
async fn doubts_are_asked_for_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut acts = vec![refuse(Code::FiguresInvalid); 6];
    acts.push(Act::Hang);
    let node = Fake::node(1, 1, &acts).await;
    for series in ["a", "b", "c"] {
        outbox.add(&perhaps_sent(&of(series, None).await)).await.unwrap();
    }
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    tokio::time::sleep(pace().doubt + fake::timing().deadline).await;
    let mut events = outbox.events();
    let begun = Instant::now();
    let task = delivering(&outbox, &node, pace());
    for _ in 0..3 {
        let event = next(&mut events).await;
        assert!(matches!(event, OutboxEvent::Waits { code: Code::OutcomeUnknown, .. }), "{event:?}");
    }
    assert!(begun.elapsed() < 2 * fake::timing().deadline, "one call's time for all: {:?}", begun.elapsed());
    task.abort();
}

/// The unit of one record is not the unit of all.
#[tokio::test]
async fn a_units_refusal_holds_up_no_other_unit() {
    let slow = Pace { pause_min: Duration::from_secs(60), pause_max: Duration::from_secs(60), ..pace() };
    for code in [Code::UnitNotPermitted, Code::QuotaExceeded] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        let mut events = outbox.events();
        outbox.add(&of("a", None).await).await.unwrap();
        let hint = Some(Duration::from_secs(60));
        let refusal = Refusal { retry_after: hint, ..Refusal::new(code, "as the test says") };
        let node = Fake::node(1, 1, &[Act::Refuse(refusal), Act::Accept]).await;
        let task = delivering(&outbox, &node, slow);
        assert!(matches!(next(&mut events).await, OutboxEvent::Waits { .. }));
        outbox.add(&of("b", None).await).await.unwrap();
        let event = next(&mut events).await;
        assert!(matches!(event, OutboxEvent::Delivered { .. }), "{event:?}");
        task.abort();
    }
}

/// Who retries has mended something: he does not wait until the whole outbox's pause is over.
#[tokio::test]
async fn a_retry_ends_the_pause_of_the_whole() {
    let slow = Pace { pause_min: Duration::from_secs(60), pause_max: Duration::from_secs(60), ..pace() };
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut events = outbox.events();
    let acts = [refuse(Code::FiguresInvalid), Act::Foreign(tonic::Code::Unimplemented), Act::Accept];
    let node = Fake::node(1, 1, &acts).await;
    let task = delivering(&outbox, &node, slow);
    outbox.add(&of("a", None).await).await.unwrap();
    assert!(matches!(next(&mut events).await, OutboxEvent::Refused { .. }));
    outbox.add(&of("b", None).await).await.unwrap();
    assert!(matches!(next(&mut events).await, OutboxEvent::Waits { .. }));
    outbox.retry(None).await.unwrap();
    let event = next(&mut events).await;
    assert!(matches!(event, OutboxEvent::Delivered { .. }), "{event:?}");
    task.abort();
}

/// In a tree of the log's size that has another last leaf.
fn forked(receipt: &mut Receipt) {
    *receipt = receipt_in(&log(), &forked_at(255), receipt.leaf);
}

#[tokio::test]
async fn a_proven_fork_has_its_code_and_its_proof_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let (first, second) = (signed_as(1).await, signed_as(2).await);
    outbox.add_all(&[first.clone(), second.clone()]).await.unwrap();
    let node = Fake::node(1, 1, &[Act::Accept, Act::Forge(forked)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(200)).await;
    assert_eq!(code_of(&outbox, &second), "log-forked");
    let kept = |kind: &str| {
        let path = dir.path().join("evidence").join(format!("{}.{kind}", second.record_id()));
        std::fs::read_to_string(path).unwrap()
    };
    let document: serde_json::Value = serde_json::from_str(&kept("log-forked.json")).unwrap();
    let open = |name: &str| log().verifier_key().open(document[name].as_str().unwrap().as_bytes()).unwrap();
    let (old, new) = (open("old"), open("new"));
    assert_eq!(old.size, new.size);
    assert_ne!(old.root, new.root);
    assert!(Receipt::from_tlog_proof(&kept("tlog-proof.rejected")).is_ok());
}

/// The same where the store was asked.
#[tokio::test]
async fn what_an_asked_node_has_to_answer_for_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let doubted = signed_as(5).await;
    outbox.add(&perhaps_sent(&doubted)).await.unwrap();
    let forged = Act::Forge(|receipt| receipt.sequence.0 += 1);
    let acts = [refuse(Code::FiguresInvalid), refuse(Code::FiguresInvalid), forged, Act::Hang];
    let node = Fake::node(1, 1, &acts).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(100)).await;
    tokio::time::sleep(pace().doubt + fake::timing().deadline).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(300)).await;
    let evidence = dir.path().join("evidence").join(format!("{}.tlog-proof.rejected", doubted.record_id()));
    assert!(std::fs::read(evidence).is_ok());
    assert_eq!(outbox.status().in_doubt, 1);
}

/// Waiting brings in what a cluster may take later, and nothing that the sender has to be mended for.
#[tokio::test]
async fn draining_ends_when_only_the_sender_is_waited_for() {
    for code in [Code::UnitNotPermitted, Code::RoleNotPermitted] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        let first = of("a", None).await;
        outbox.add_all(&[first.clone(), of("a", Some(&first)).await]).await.unwrap();
        // it is tried anew each time, and a leader that is missing is waited for
        let node = Fake::node(1, 1, &[refuse(Code::NoLeader), refuse(Code::NoLeader), refuse(code)]).await;
        let client = client(&[&node]);
        let drained = tokio::time::timeout(WAIT, outbox.drain(&client, pace(), std::future::pending())).await;
        assert_eq!(drained.expect("in time").unwrap(), Drained::Sender([(code, 1)].into()));
        assert_eq!((outbox.status().queued, outbox.status().refused), (2, 0));
        let mended = Fake::node(1, 1, &[Act::Accept]).await;
        drain(&outbox, &[&mended]).await;
        assert_eq!((outbox.status().queued, outbox.status().delivered), (0, 2));
    }
}

/// Who sets how often a record is sent gets it refused, and out of the outbox.
#[tokio::test]
async fn what_the_sender_may_not_is_given_up_if_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.add(&of("a", None).await).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::UnitNotPermitted)]).await;
    let (client, pace) = (client(&[&node]), Pace { rounds_max: Some(2), ..pace() });
    let drained = tokio::time::timeout(WAIT, outbox.drain(&client, pace, std::future::pending())).await;
    assert_eq!(drained.expect("in time").unwrap(), Drained::Empty);
    assert_eq!((outbox.status().refused, node.requests()), (1, 2));
}
