//! The outbox against nodes that do as they are told: bounds, lock, order, refusals, doubt, pauses, reopening.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::path::Path;
use std::time::{Duration, Instant};

use fake::spool::{WAIT, code_of, deliver_for, drain, of, open, pace, places, stored, with};
use fake::{Act, Fake, absent, client, log, receipt_of, refuse};
use kho_client::{Added, Drained, Limits, Outbox, OutboxError, OutboxEvent, Pace, Place};
use kho_proto::error::{Code, Refusal};
use kho_proto::receipt::Receipt;

#[tokio::test]
async fn what_was_added_is_delivered_after_a_restart_with_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let records = [of("a", None).await, of("b", None).await, of("c", None).await];
    let outbox = open(dir.path());
    assert_eq!(outbox.add_all(&records).await.unwrap(), [Added::New; 3]);
    drop(outbox);
    let outbox = open(dir.path());
    assert_eq!(outbox.status().queued, 3);
    let mut events = outbox.events();
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!((node.requests(), outbox.status().queued, outbox.status().delivered), (3, 0, 3));
    for _ in &records {
        let event = events.recv().await.unwrap();
        assert!(matches!(event, OutboxEvent::Delivered { duplicate: false, .. }), "{event:?}");
    }
    drop(outbox);
    // and the receipts are there after another
    let outbox = open(dir.path());
    for record in &records {
        let stored = stored(&outbox, record).await;
        let receipt = Receipt::from_tlog_proof(&stored.receipt.unwrap()).unwrap();
        receipt.verify_record(log().verifier_key(), record.record()).unwrap();
        assert_eq!(stored.record, kho_proto::record::to_file(record.record()));
    }
}

#[tokio::test]
async fn adding_again_is_no_second_record() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    assert_eq!(outbox.add(&record).await.unwrap(), Added::New);
    assert_eq!(outbox.add(&record).await.unwrap(), Added::Before(Place::Queued));
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!(outbox.add(&record).await.unwrap(), Added::Before(Place::Delivered));
    assert_eq!((outbox.status().queued, node.requests()), (0, 1));
    let other = with("a", None, Some(record.record_id()), "{\"n\": 1}").await;
    let error = outbox.add(&other).await.unwrap_err();
    assert_eq!(error.code(), Code::RecordIdConflict);
    // within one call, too: all or none
    let error = outbox.add_all(&[of("b", None).await, other.clone(), record.clone()]).await.unwrap_err();
    assert_eq!((error.code(), outbox.status().queued), (Code::RecordIdConflict, 0));
    let twice = of("c", None).await;
    let added = outbox.add_all(&[twice.clone(), twice]).await.unwrap();
    assert_eq!(added, [Added::New, Added::Before(Place::Queued)]);
}

#[tokio::test]
async fn a_full_outbox_takes_nothing_more_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { records_max: 2, ..Limits::default() };
    let outbox = Outbox::open(dir.path(), limits).unwrap();
    let (one, two, three) = (of("a", None).await, of("b", None).await, of("c", None).await);
    outbox.add(&one).await.unwrap();
    let error = outbox.add_all(&[two.clone(), three.clone()]).await.unwrap_err();
    assert!(matches!(error, OutboxError::Full { what: "records", expected: 2, found: 3 }), "{error}");
    assert_eq!((error.code(), outbox.status().queued), (Code::OutboxFull, 1));
    outbox.add(&two).await.unwrap();
    // what is refused still takes its room, what is delivered does not
    let refused = Refusal::new(Code::FiguresInvalid, "as the test says");
    let node = Fake::node(1, 1, &[Act::Refuse(refused), Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    outbox.add(&three).await.unwrap();
    assert_eq!(outbox.add(&of("d", None).await).await.unwrap_err().code(), Code::OutboxFull);
    drop(outbox);
    let bytes = kho_proto::record::to_file(one.record()).len() as u64;
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), Limits { bytes_max: bytes + 1, ..Limits::default() }).unwrap();
    outbox.add(&one).await.unwrap();
    let error = outbox.add(&two).await.unwrap_err();
    assert!(matches!(error, OutboxError::Full { what: "bytes", .. }), "{error}");
}

#[tokio::test]
async fn a_second_opener_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let error = Outbox::open(dir.path(), Limits::default()).unwrap_err();
    assert_eq!(error.code(), Code::OutboxLocked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(outbox);
    open(dir.path());
    let error = Outbox::open_existing(&dir.path().join("elsewhere"), Limits::default()).unwrap_err();
    assert_eq!(error.code(), Code::OutboxMissing);
    assert!(!dir.path().join("elsewhere").exists());
}

/// In every order of answers the node sees a series in its order, and other series in between.
#[tokio::test]
async fn a_series_is_sent_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = of("a", None).await;
    let second = of("a", Some(&first)).await;
    let third = of("a", Some(&second)).await;
    let other = of("b", None).await;
    outbox.add_all(&[first.clone(), second.clone(), third.clone(), other.clone()]).await.unwrap();
    let mut events = outbox.events();
    let node = Fake::node(1, 1, &[refuse(Code::NoLeader), Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    let mut delivered = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let OutboxEvent::Delivered { record_id, .. } = event {
            delivered.push(record_id);
        }
    }
    let series: Vec<_> = delivered.iter().filter(|id| **id != other.record_id()).copied().collect();
    assert_eq!(series, [first.record_id(), second.record_id(), third.record_id()]);
    assert_eq!(delivered.len(), 4);
}

/// A revision is not even on its way before the answer for the one that it supersedes.
#[tokio::test]
async fn the_next_of_a_series_waits_for_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = of("a", None).await;
    let second = of("a", Some(&first)).await;
    let third = of("a", Some(&second)).await;
    outbox.add_all(&[first, second, third]).await.unwrap();
    let node = Fake::node(1, 1, &[Act::Accept, Act::Hang]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(200)).await;
    let found: Vec<_> = outbox.list(None).iter().map(|listed| (listed.place, listed.in_doubt, listed.rounds)).collect();
    assert_eq!(found, [(Place::Queued, true, 1), (Place::Queued, false, 0), (Place::Delivered, false, 0)]);
}

#[tokio::test]
async fn a_permanent_refusal_is_kept_with_its_code_and_takes_its_successors_along() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = of("a", None).await;
    let second = of("a", Some(&first)).await;
    let third = of("a", Some(&second)).await;
    let other = of("b", None).await;
    outbox.add_all(&[first.clone(), second.clone(), third.clone(), other.clone()]).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!(node.requests(), 2, "the successors were not sent");
    drop(outbox);
    let outbox = open(dir.path());
    let expected = [(first.record_id(), Place::Refused), (second.record_id(), Place::Refused)];
    assert_eq!(places(&outbox)[..2], expected);
    assert_eq!(code_of(&outbox, &first), "figures-invalid");
    assert_eq!(code_of(&outbox, &third), "outbox-predecessor-refused");
    assert_eq!(stored(&outbox, &first).await.refusal().unwrap(), "figures-invalid\nas the test says\n");
    // one command, and the whole chain goes
    assert_eq!(outbox.retry(Some(vec![first.record_id()])).await.unwrap(), 3);
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!((outbox.status().refused, outbox.status().delivered), (0, 4));
    let error = outbox.retry(Some(vec![first.record_id()])).await.unwrap_err();
    assert!(matches!(error, OutboxError::Unknown { found: "delivered", .. }), "{error}");
}

#[tokio::test]
async fn a_successor_alone_goes_back_to_its_refused_predecessor() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let first = of("a", None).await;
    outbox.add(&first).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    let second = of("a", Some(&first)).await;
    outbox.add(&second).await.unwrap();
    drain(&outbox, &[&node]).await;
    assert_eq!(code_of(&outbox, &second), "outbox-predecessor-refused");
    assert_eq!(outbox.retry(Some(vec![second.record_id()])).await.unwrap(), 1);
    drain(&outbox, &[&node]).await;
    assert_eq!((code_of(&outbox, &second).as_str(), node.requests()), ("outbox-predecessor-refused", 1));
    // a refused record that is of no interest any more leaves room, and its successor to the store
    outbox.forget(vec![first.record_id()]).await.unwrap();
    assert_eq!(outbox.retry(None).await.unwrap(), 1);
    drain(&outbox, &[&node]).await;
    assert_eq!(places(&outbox), [(second.record_id(), Place::Delivered)]);
}

/// A record that was never sent is refused at once; one that may be in is asked for first, and not too soon.
#[tokio::test]
async fn in_doubt_the_store_is_asked_before_a_refusal_counts() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    deliver_for(&outbox, &[&hangs], Duration::from_millis(100)).await;
    assert_eq!((outbox.status().in_doubt, code_of(&outbox, &record).as_str()), (1, "outcome-unknown"));
    drop(outbox);
    let outbox = open(dir.path());
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), refuse(Code::RecordUnknown)]).await;
    let begun = Instant::now();
    // the first answer refuses it, and what is in doubt for a moment only stays
    deliver_for(&outbox, &[&node], Duration::from_millis(50)).await;
    assert_eq!((outbox.status().queued, node.requests()), (1, 1));
    assert_eq!(code_of(&outbox, &record), "figures-invalid");
    tokio::time::sleep(Duration::from_millis(1600)).await;
    // who does not say how much it has proves nothing
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), refuse(Code::RecordUnknown)]).await;
    deliver_for(&outbox, &[&node], Duration::from_millis(400)).await;
    assert!(node.requests() >= 2, "it was asked");
    assert_eq!((places(&outbox)[0].1, outbox.status().in_doubt), (Place::Queued, 1));
    let node = Fake::node(1, 1, &[refuse(Code::FiguresInvalid), absent(1_000)]).await;
    drain(&outbox, &[&node]).await;
    assert!(begun.elapsed() >= pace().doubt + fake::timing().deadline);
    assert_eq!((places(&outbox)[0].1, node.requests()), (Place::Refused, 2));
    assert_eq!(code_of(&outbox, &record), "figures-invalid");
}

#[tokio::test]
async fn transient_answers_keep_a_record_and_a_pause_grows() {
    for act in [refuse(Code::NoLeader), refuse(Code::UnitNotPermitted), Act::Foreign(tonic::Code::Unimplemented)] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        let record = of("a", None).await;
        outbox.add(&record).await.unwrap();
        let node = Fake::node(1, 1, &[act]).await;
        deliver_for(&outbox, &[&node], Duration::from_millis(400)).await;
        let listed = outbox.list(None).remove(0);
        assert_eq!((listed.place, listed.in_doubt), (Place::Queued, false), "{listed:?}");
        assert!((1..30).contains(&listed.rounds), "{listed:?}");
        let node = Fake::node(1, 1, &[Act::Accept]).await;
        drain(&outbox, &[&node]).await;
        assert_eq!(places(&outbox), [(record.record_id(), Place::Delivered)]);
    }
}

#[tokio::test]
async fn nobody_reached_is_no_doubt_and_the_first_node_that_is_there_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.add(&of("a", None).await).await.unwrap();
    let absent = Fake::absent().await;
    deliver_for(&outbox, &[&absent], Duration::from_millis(100)).await;
    let status = outbox.status();
    assert_eq!((status.queued, status.in_doubt), (1, 0));
    assert_eq!(status.waits_for.unwrap().0, "no-leader");
}

#[tokio::test]
async fn a_receipt_that_proves_nothing_is_kept_and_the_record_stays() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    let forged = Act::Forge(|receipt| receipt.sequence.0 += 1);
    let node = Fake::node(1, 1, &[forged, Act::Duplicate]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!(places(&outbox), [(record.record_id(), Place::Delivered)]);
    let evidence = dir.path().join("evidence").join(format!("{}.tlog-proof.rejected", record.record_id()));
    let kept = Receipt::from_tlog_proof(&std::fs::read_to_string(evidence).unwrap()).unwrap();
    assert_eq!(kept.sequence.0, receipt_of(record.record()).sequence.0 + 1);
}

#[tokio::test]
async fn the_oldest_delivered_records_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { kept_records_max: 2, ..Limits::default() };
    let outbox = Outbox::open(dir.path(), limits).unwrap();
    let records = [of("a", None).await, of("b", None).await, of("c", None).await];
    outbox.add_all(&records).await.unwrap();
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    drain(&outbox, &[&node]).await;
    let kept: Vec<_> = places(&outbox).into_iter().map(|(id, _)| id).collect();
    assert_eq!(kept, [records[1].record_id(), records[2].record_id()]);
    outbox.forget(vec![records[1].record_id()]).await.unwrap();
    drop(outbox);
    let outbox = open(dir.path());
    assert_eq!(places(&outbox), [(records[2].record_id(), Place::Delivered)]);
    assert!(outbox.read(records[1].record_id()).await.unwrap().is_none());
}

#[tokio::test]
async fn dropped_while_it_delivers_it_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.add(&of("a", None).await).await.unwrap();
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let client_of_it = client(&[&hangs]);
    let delivers = outbox.deliver(&client_of_it, std::future::pending());
    let cut = tokio::time::timeout(Duration::from_millis(100), delivers);
    assert!(cut.await.is_err(), "it was dropped while it waited for an answer");
    assert_eq!(outbox.status().in_doubt, 1);
    let node = Fake::node(1, 1, &[Act::Duplicate]).await;
    drain(&outbox, &[&node]).await;
    assert_eq!((outbox.status().queued, outbox.status().delivered), (0, 1));
}

#[tokio::test]
async fn what_is_added_while_it_delivers_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let delivering = {
        let (outbox, client) = (outbox.clone(), client(&[&node]));
        tokio::spawn(
            async move { outbox.deliver_at(&client, pace(), tokio::time::sleep(Duration::from_secs(2))).await },
        )
    };
    let mut events = outbox.events();
    for n in 0..20 {
        outbox.add(&of(&n.to_string(), None).await).await.unwrap();
    }
    for _ in 0..20 {
        tokio::time::timeout(WAIT, events.recv()).await.unwrap().unwrap();
    }
    assert_eq!(outbox.status().delivered, 20);
    delivering.await.unwrap().unwrap();
}

/// What a crash may leave of a store that is being made is not opened, and what is no store is not taken for one.
#[tokio::test]
async fn torn_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("outbox.redb.new"), b"half a st").unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    drop(outbox);
    let path = dir.path().join("outbox.redb");
    let whole = std::fs::read(&path).unwrap();
    let flipped = {
        let mut bytes = whole.clone();
        let place = bytes.windows(8).rposition(|window| window == b"2020-06-").expect("the record's bytes");
        bytes[place] ^= 1;
        bytes
    };
    for torn in [Vec::new(), b"no store at all".to_vec(), whole[..whole.len() / 2].to_vec(), flipped] {
        std::fs::write(&path, &torn).unwrap();
        let error = Outbox::open(dir.path(), Limits::default()).unwrap_err();
        assert_eq!(error.code(), Code::OutboxDamaged, "{} bytes: {error}", torn.len());
        assert_eq!(std::fs::read(&path).unwrap().len(), torn.len(), "it is left as it is");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(places(&open(dir.path())), [(record.record_id(), Place::Queued)]);
}

#[cfg(unix)]
#[tokio::test]
async fn its_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("below/outbox");
    drop(open(&path));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("outbox.redb")), mode(&path.join("lock"))), (0o700, 0o600, 0o600));
}

/// What one record waits for does not hold up another.
#[tokio::test]
async fn a_record_that_is_too_early_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.add(&of("a", None).await).await.unwrap();
    let early = Fake::node(1, 1, &[refuse(Code::SubmittedAtInFuture)]).await;
    let slow = Pace { pause_min: Duration::from_secs(60), ..pace() };
    let delivering = {
        let (outbox, early) = (outbox.clone(), client(&[&early]));
        tokio::spawn(async move {
            let pace = Pace { pause_max: Duration::from_secs(60), ..slow };
            outbox.deliver_at(&early, pace, tokio::time::sleep(Duration::from_secs(4))).await
        })
    };
    let mut events = outbox.events();
    let waits = |event: OutboxEvent| matches!(event, OutboxEvent::Waits { code: Code::SubmittedAtInFuture, .. });
    assert!(waits(tokio::time::timeout(WAIT, events.recv()).await.unwrap().unwrap()));
    let added = Instant::now();
    outbox.add(&of("b", None).await).await.unwrap();
    assert!(waits(tokio::time::timeout(WAIT, events.recv()).await.unwrap().unwrap()));
    assert!(added.elapsed() < Duration::from_secs(3), "it was sent at once");
    delivering.await.unwrap().unwrap();
}

/// R-D1: at most a configured number of times, then by hand; but what may be in is never given up.
#[tokio::test]
async fn given_up_after_a_configured_number_of_rounds() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let record = of("a", None).await;
    outbox.add(&record).await.unwrap();
    let node = Fake::node(1, 1, &[refuse(Code::CertificateNotYetValid)]).await;
    let pace = Pace { rounds_max: Some(3), ..pace() };
    let client_of_it = client(&[&node]);
    for again in 0..2 {
        let drained = tokio::time::timeout(WAIT, outbox.drain(&client_of_it, pace, std::future::pending())).await;
        assert_eq!(drained.expect("in time").unwrap(), Drained::Empty);
        let listed = outbox.list(None).remove(0);
        assert_eq!((listed.place, listed.rounds), (Place::Refused, 3), "{again}");
        let (code, sentence) = listed.why.unwrap();
        assert_eq!(code, "certificate-not-yet-valid");
        assert!(sentence.starts_with("given up after 3 rounds: "), "{sentence}");
        assert_eq!(outbox.retry(None).await.unwrap(), 1);
    }
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    outbox
        .deliver_at(
            &client(&[&hangs]),
            Pace { rounds_max: Some(1), ..pace },
            tokio::time::sleep(Duration::from_millis(200)),
        )
        .await
        .unwrap();
    let listed = outbox.list(None).remove(0);
    assert_eq!((listed.place, listed.in_doubt), (Place::Queued, true));
}
