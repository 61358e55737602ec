//! Reading back.

mod fake;

use std::time::Duration;

use fake::log::{SIZE, log_of};
use fake::{Act, Fake, client, config, log, refuse, signed};
use kho_client::{Client, Config, GetError, ReceiptCheck};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;

#[tokio::test]
async fn a_record_comes_back_with_its_receipt() {
    let node = Fake::node(1, 1, &[Act::Accept]).await;
    let record = signed().await;
    let fetched = client(&[&node]).get(record.record_id()).await.unwrap();
    assert_eq!((&fetched.record, fetched.node), (record.record(), NodeId(1)));
}

#[tokio::test]
async fn another_node_is_asked_when_one_is_gone_hangs_or_has_no_leader() {
    for bad in
        [Fake::absent().await, Fake::node(1, 0, &[Act::Hang]).await, Fake::node(1, 0, &[refuse(Code::NoLeader)]).await]
    {
        let well = Fake::node(2, 2, &[Act::Accept]).await;
        assert_eq!(client(&[&bad, &well]).get(signed().await.record_id()).await.unwrap().node, NodeId(2));
    }
}

#[tokio::test]
async fn unknown_records_are_refused_at_once() {
    let node = Fake::node(1, 1, &[refuse(Code::RecordUnknown)]).await;
    let error = client(&[&node]).get(signed().await.record_id()).await.unwrap_err();
    assert_eq!((error.code(), node.requests()), (Code::RecordUnknown, 1));
}

/// A node that failed once comes last for this long, twice as long the next time.
const FIRST_REST: Duration = Duration::from_millis(250);

fn unknown_at(log_size: Option<u64>) -> Act {
    Act::Refuse(Refusal { log_size, ..Refusal::new(Code::RecordUnknown, "not here") })
}

#[tokio::test]
async fn a_node_behind_what_was_signed_does_not_know_what_is_not_there() {
    let stale = Fake::node(1, 1, &[Act::Accept, unknown_at(Some(SIZE - 1))]).await;
    let client = client(&[&stale]);
    client.submit(&signed().await).await.unwrap();
    let error = client.get(signed().await.record_id()).await.unwrap_err();
    assert!(!error.proves_absence(), "{error}");
    let GetError::Breach { breach, .. } = &error else { panic!("{error}") };
    assert_eq!(error.code(), Code::LogShrank);
    assert!(breach.document.contains("\"size\": 255") && breach.document.contains("\"epoch\": null"), "{breach}");
}

#[tokio::test]
async fn absence_is_proven_by_a_known_size_of_the_only_log() {
    let answers = [(Some(SIZE), true), (Some(SIZE + 9), true), (None, false)];
    for (size, proven) in answers {
        let node = Fake::node(1, 1, &[Act::Accept, unknown_at(size)]).await;
        let client = client(&[&node]);
        client.submit(&signed().await).await.unwrap();
        let error = client.get(signed().await.record_id()).await.unwrap_err();
        assert_eq!((error.code(), error.proves_absence()), (Code::RecordUnknown, proven), "{size:?}");
    }
    // of the other site's log a node says nothing
    let (node, other) = (Fake::node(1, 1, &[unknown_at(Some(SIZE))]).await, Fake::absent().await);
    let sites = Config { further_sites: vec![vec![other.address.clone()]], ..config(&[&node]) };
    let error = Client::new(sites).unwrap().get(signed().await.record_id()).await.unwrap_err();
    assert_eq!((error.code(), error.proves_absence()), (Code::RecordUnknown, false));
    // a refusal does not say of which log it is: no breach, and no proof while it is behind one of them
    for (size, proven) in [(SIZE - 1, false), (SIZE, true)] {
        let node = Fake::node(1, 1, &[Act::Accept, unknown_at(Some(size))]).await;
        let keys = [log(), log_of(2, 9)].map(|log| log.verifier_key().clone()).to_vec();
        let client = Client::new(Config { receipts: ReceiptCheck::PinnedKeys(keys), ..config(&[&node]) }).unwrap();
        client.submit(&signed().await).await.unwrap();
        let error = client.get(signed().await.record_id()).await.unwrap_err();
        assert_eq!((error.code(), error.proves_absence()), (Code::RecordUnknown, proven), "{size}");
    }
}

#[tokio::test]
async fn a_nodes_answer_is_no_silence() {
    for code in [Code::RecordDamaged, Code::StorageFailed, Code::NoLeader] {
        let node = Fake::node(1, 1, &[refuse(code)]).await;
        let (one, two) = (Fake::absent().await, Fake::absent().await);
        let error = client(&[&node, &one, &two]).get(signed().await.record_id()).await.unwrap_err();
        assert!(matches!(&error, GetError::Refused { refusal, .. } if refusal.code == code), "{error}");
    }
}

#[tokio::test]
async fn silence_is_unreachable() {
    let node = Fake::node(1, 1, &[Act::Hang]).await;
    let error = client(&[&node]).get(signed().await.record_id()).await.unwrap_err();
    assert!(matches!(error, GetError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_forged_receipt_is_found() {
    let node = Fake::node(1, 1, &[Act::Forge(|receipt| receipt.leaf.header_digest = Digest::of(b"other"))]).await;
    let error = client(&[&node]).get(signed().await.record_id()).await.unwrap_err();
    assert_eq!(error.code(), Code::ReceiptInvalid);
    let GetError::Receipt { rejected, .. } = error else { panic!("{error}") };
    assert!(rejected.to_file().unwrap().starts_with(b"c2sp.org/tlog-proof@v1"));
}

#[tokio::test]
async fn a_node_with_forged_receipts_is_asked_last() {
    let liar = Fake::node(1, 1, &[Act::Forge(|receipt| receipt.sequence.0 += 1)]).await;
    let well = Fake::node(2, 1, &[Act::Accept]).await;
    let client = client(&[&liar, &well]);
    let id = signed().await.record_id();
    client.get(id).await.unwrap_err();
    assert_eq!(client.get(id).await.unwrap().node, NodeId(2));
    // an answer that proves nothing is no recovery: it rests longer the second time
    let client = Client::new(config(&[&liar, &well])).unwrap();
    client.get(id).await.unwrap_err();
    tokio::time::sleep(FIRST_REST).await;
    client.get(id).await.unwrap_err();
    tokio::time::sleep(FIRST_REST).await;
    assert_eq!(client.get(id).await.unwrap().node, NodeId(2));
}
