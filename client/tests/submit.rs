//! What a client does when nodes refuse, hang, hang up or lie.

mod fake;

use std::time::{Duration, Instant};

use fake::{Act, Fake, client, receipt_of, refuse, signed, timing};
use kho_client::{Signed, SubmitError};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, RecordId};

#[tokio::test]
async fn an_answer_is_verified_and_says_who_gave_it() {
    let node = Fake::node(2, 2, &[Act::Accept]).await;
    let record = signed().await;
    let done = client(&[&node]).submit(&record).await.unwrap();
    assert_eq!((done.record_id, done.node, done.attempts), (record.record_id(), NodeId(2), 1));
    assert_eq!(done.checkpoint.unwrap().size, fake::log::SIZE);
}

#[tokio::test]
async fn a_refusal_that_no_retry_helps_comes_at_once() {
    let node = Fake::node(1, 1, &[refuse(Code::SignatureInvalid)]).await;
    let other = Fake::node(2, 1, &[Act::Accept]).await;
    let error = client(&[&node, &other]).submit(&signed().await).await.unwrap_err();
    assert_eq!(error.code(), Code::SignatureInvalid);
    assert_eq!((node.requests(), other.requests()), (1, 0));
}

#[tokio::test]
async fn refusals_that_a_retry_helps_are_retried_until_one_accepts() {
    for code in [Code::NotLeader, Code::NoLeader, Code::Overloaded, Code::NodeStopping, Code::KeyNotApplied] {
        let one = Fake::node(1, 0, &[refuse(code), refuse(code), Act::Accept]).await;
        let two = Fake::node(2, 0, &[refuse(code)]).await;
        let done = client(&[&one, &two]).submit(&signed().await).await.unwrap();
        assert_eq!(done.node, NodeId(1), "{code:?}");
    }
}

#[tokio::test]
async fn a_refusal_to_the_end_stays_a_refusal() {
    let node = Fake::node(1, 0, &[refuse(Code::NoLeader)]).await;
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Refused { refusal, .. } if refusal.code == Code::NoLeader), "{error}");
    assert!(node.requests() > 3, "retried with growing pauses");
}

#[tokio::test]
async fn a_node_that_hangs_costs_one_attempt() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let well = Fake::node(2, 1, &[Act::Duplicate]).await;
    let client = client(&[&hangs, &well]);
    let start = Instant::now();
    let done = client.submit(&signed().await).await.unwrap();
    assert_eq!((done.node, done.attempts, done.duplicate), (NodeId(2), 2, true));
    assert!(start.elapsed() < timing().attempt * 2);
    // it rests now: the next call starts with the other
    assert_eq!(client.submit(&signed().await).await.unwrap().attempts, 1);
}

#[tokio::test]
async fn silence_is_unknown_never_failed() {
    let node = Fake::node(1, 1, &[Act::Hang]).await;
    let start = Instant::now();
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(error.code(), Code::OutcomeUnknown);
    assert!(start.elapsed() < timing().deadline + Duration::from_millis(200), "the deadline holds");
}

#[tokio::test]
async fn a_lost_connection_is_unknown() {
    let node = Fake::hangs_up().await;
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_settled_by_another_node() {
    let lost = Fake::hangs_up().await;
    let well = Fake::node(2, 2, &[Act::Accept]).await;
    let done = client(&[&lost, &well]).submit(&signed().await).await.unwrap();
    assert_eq!(done.node, NodeId(2));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_certainly_not_in() {
    let (one, two) = (Fake::absent().await, Fake::absent().await);
    let error = client(&[&one, &two]).submit(&signed().await).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn doubt_outlives_refusals_that_settle_nothing() {
    for code in [Code::NotLeader, Code::Overloaded, Code::UnitNotPermitted, Code::SupersedesUnknown] {
        let hangs = Fake::node(1, 1, &[Act::Hang]).await;
        let other = Fake::node(2, 1, &[refuse(code)]).await;
        let error = client(&[&hangs, &other]).submit(&signed().await).await.unwrap_err();
        assert!(error.is_unknown(), "{code:?}: {error}");
    }
}

#[tokio::test]
async fn doubt_ends_with_a_refusal_that_holds_for_all_attempts() {
    for code in [Code::SignatureInvalid, Code::RecordIdConflict, Code::SeriesHasHead, Code::SupersedesNotLatest] {
        let hangs = Fake::node(1, 1, &[Act::Hang]).await;
        let other = Fake::node(2, 1, &[refuse(code)]).await;
        let error = client(&[&hangs, &other]).submit(&signed().await).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn doubt_outlives_the_call() {
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let (refuses, absent) = (Fake::node(1, 1, &[refuse(Code::UnitNotPermitted)]).await, Fake::absent().await);
    let record = signed().await;
    assert!(client(&[&hangs]).submit(&record).await.unwrap_err().is_unknown());
    for later in [&refuses, &absent] {
        let error = client(&[later]).submit(&record).await.unwrap_err();
        assert!(error.is_unknown(), "{error}");
    }
    let settles = Fake::node(1, 1, &[refuse(Code::SeriesHasHead)]).await;
    assert_eq!(client(&[&settles]).submit(&record).await.unwrap_err().code(), Code::SeriesHasHead);
    // nobody waited for the end of this call
    let record = signed().await;
    let gone = tokio::time::timeout(Duration::from_millis(100), client(&[&hangs]).submit(&record)).await;
    assert!(gone.is_err());
    assert!(client(&[&absent]).submit(&record).await.unwrap_err().is_unknown());
}

#[tokio::test]
async fn a_record_from_elsewhere_may_have_been_sent() {
    let again = Signed::from_record(signed().await.record().clone()).unwrap();
    let absent = Fake::absent().await;
    let error = client(&[&absent]).submit(&again).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    let refuses = Fake::node(1, 1, &[refuse(Code::CertificateUntrusted)]).await;
    let error = client(&[&refuses]).submit(&again).await.unwrap_err();
    assert!(error.is_unknown() && error.to_string().contains("certificate-untrusted"), "{error}");
    let settles = Fake::node(1, 1, &[refuse(Code::SignatureInvalid)]).await;
    assert_eq!(client(&[&settles]).submit(&again).await.unwrap_err().code(), Code::SignatureInvalid);
}

#[tokio::test]
async fn a_refusal_is_not_forgotten_over_nodes_that_are_absent() {
    let refuses = Fake::node(1, 0, &[refuse(Code::NoLeader)]).await;
    let (one, two) = (Fake::absent().await, Fake::absent().await);
    let error = client(&[&refuses, &one, &two]).submit(&signed().await).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Refused { refusal, .. } if refusal.code == Code::NoLeader), "{error}");
}

#[tokio::test]
async fn a_node_knows_how_long_it_is_waited_for() {
    let node = Fake::node(1, 0, &[Act::RefuseInTime(Code::NoLeader)]).await;
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert_eq!(error.code(), Code::NoLeader, "certainly not in: {error}");
}

#[tokio::test]
async fn answers_that_admit_doubt_are_unknown() {
    for code in [Code::OutcomeUnknown, Code::StorageFailed] {
        let node = Fake::node(1, 1, &[refuse(code)]).await;
        let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
        assert!(error.is_unknown(), "{code:?}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_kho_node_is_named() {
    let node = Fake::node(1, 1, &[Act::Foreign(tonic::Code::Unimplemented)]).await;
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert!(matches!(error, SubmitError::Foreign { .. }), "{error}");
    let node = Fake::node(1, 1, &[Act::Foreign(tonic::Code::Internal)]).await;
    assert!(client(&[&node]).submit(&signed().await).await.unwrap_err().is_unknown());
}

#[tokio::test]
async fn a_nodes_wish_to_be_left_alone_is_respected() {
    let wait = Duration::from_millis(300);
    let refusal = Refusal { retry_after: Some(wait), ..Refusal::new(Code::Overloaded, "queue full") };
    let node = Fake::node(1, 1, &[Act::Refuse(refusal), Act::Accept]).await;
    let start = Instant::now();
    client(&[&node]).submit(&signed().await).await.unwrap();
    assert!(start.elapsed() >= wait);
}

#[tokio::test]
async fn a_hint_beyond_the_deadline_ends_the_call_at_once() {
    let wait = Some(Duration::from_secs(60));
    let refusal = Refusal { retry_after: wait, ..Refusal::new(Code::QuotaExceeded, "too fast") };
    let node = Fake::node(1, 1, &[Act::Refuse(refusal), Act::Accept]).await;
    let start = Instant::now();
    let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
    assert!(matches!(&error, SubmitError::Refused { refusal, .. } if refusal.retry_after == wait), "{error}");
    assert!(start.elapsed() < timing().deadline / 2);
}

#[tokio::test]
async fn the_leader_is_found_while_nothing_fails() {
    let one = Fake::node(1, 2, &[Act::Accept]).await;
    let two = Fake::node(2, 2, &[Act::Accept]).await;
    let client = client(&[&one, &two]);
    let record = signed().await;
    // the first answer says who leads, the second who that is
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(client.submit(&record).await.unwrap().node);
    }
    assert_eq!(nodes, [NodeId(1), NodeId(2), NodeId(2)]);
}

#[tokio::test]
async fn every_tampering_with_a_receipt_is_found() {
    let forgeries: [fn(&mut kho_proto::receipt::Receipt); 6] = [
        |receipt| receipt.leaf.record_id = RecordId([9; 16]),
        |receipt| receipt.leaf.header_digest = Digest::of(b"other"),
        |receipt| receipt.leaf.signature_block_digest = Digest::of(b"other"),
        |receipt| receipt.leaf.sealed_payload_digest = Digest::of(b"other"),
        |receipt| receipt.sequence.0 += 1,
        |receipt| receipt.checkpoint = b"no note"[..].into(),
    ];
    for (n, forge) in forgeries.into_iter().enumerate() {
        let node = Fake::node(1, 1, &[Act::Forge(forge)]).await;
        let error = client(&[&node]).submit(&signed().await).await.unwrap_err();
        assert_eq!(error.code(), Code::ReceiptInvalid);
        let SubmitError::Receipt { rejected, .. } = error else { panic!("forgery {n}: {error}") };
        let mut forged = receipt_of(signed().await.record());
        forge(&mut forged);
        assert_eq!(rejected.receipt(), Some(&forged.to_pb()), "forgery {n} is evidence");
        assert!(rejected.to_file().is_some());
    }
}

/// Its hints are worth as much as its receipts.
#[tokio::test]
async fn a_node_whose_receipts_prove_nothing_is_asked_last() {
    let (records, mut asked_again) = (fake::several(2).await, Vec::new());
    for way in ["submit", "submit_many", "submit_stream"] {
        let liar = Fake::node(1, 1, &[Act::Forge(|receipt| receipt.sequence.0 += 1)]).await;
        let well = Fake::node(2, 2, &[Act::Accept]).await;
        let client = client(&[&liar, &well]);
        let answers = match way {
            "submit" => vec![client.submit(&records[0]).await, client.submit(&records[1]).await],
            "submit_many" => {
                let mut answers = client.submit_many(&records[..1]).await;
                answers.extend(client.submit_many(&records[1..]).await);
                answers
            }
            _ => {
                let (sender, mut results) = client.submit_stream();
                let mut answers = Vec::new();
                for record in &records {
                    sender.send(record.clone()).await.unwrap();
                    answers.push(results.next().await.unwrap().answer);
                }
                answers
            }
        };
        assert!(matches!(&answers[0], Err(SubmitError::Receipt { .. })), "{way}: {:?}", answers[0]);
        if answers[1].as_ref().map(|done| done.node).ok() != Some(NodeId(2)) {
            asked_again.push(way);
        }
    }
    assert_eq!(asked_again, Vec::<&str>::new());
}

/// R-B1: the second record of a signer is smaller.
#[tokio::test]
async fn certificates_go_along_until_the_store_has_them() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let client = client(&[&node]);
    for n in 0..3 {
        client.submit(&fake::signed_as(n).await).await.unwrap();
    }
    assert_eq!((node.requests(), node.short()), (3, 2));
}

#[tokio::test]
async fn a_node_that_does_not_keep_certificates_gets_them_again() {
    let node = Fake::forgetful(&[Act::Accept]).await;
    let client = client(&[&node]);
    for n in 0..3 {
        client.submit(&fake::signed_as(n).await).await.unwrap();
    }
    assert_eq!((node.requests(), node.short()), (3, 2), "each once without and once with them");
}
