//! Reading back.

mod fake;

use fake::{Act, Fake, client, refuse, signed};
use kho_client::GetError;
use kho_proto::digest::Digest;
use kho_proto::error::Code;
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
