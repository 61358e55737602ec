//! A signed report goes in, a receipt that anyone can check comes out.

use std::time::Duration;

use kho_node::serve::Node;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::error::Code;
use kho_proto::header::Header;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{GetRequest, GetResponse, SignedRecord, SubmitResponse};
use kho_proto::receipt::Receipt;
use kho_proto::status::from_status;
use tonic::Status;
use tonic::transport::Channel;

use crate::sender::{Sender, request};
use crate::world::{World, tree};

pub fn id_of(record: &SignedRecord) -> RecordId {
    Header::decode(&record.header).unwrap().record_id
}

pub async fn submit(client: &StoreClient<Channel>, record: &SignedRecord) -> Result<SubmitResponse, Status> {
    client.clone().submit(request(record.clone())).await.map(tonic::Response::into_inner)
}

pub async fn get(client: &StoreClient<Channel>, record: &SignedRecord) -> Result<GetResponse, Status> {
    let record_id = id_of(record).0.to_vec().into();
    client.clone().get(GetRequest { record_id }).await.map(tonic::Response::into_inner)
}

pub fn code(status: &Status) -> Code {
    from_status(status).unwrap_or_else(|| panic!("expected a stable code, found {status:?}")).code
}

pub fn verify(key: &VerifierKey, receipt: Option<kho_proto::pb::v1::Receipt>, record: &SignedRecord) -> Receipt {
    let receipt = Receipt::from_pb(&receipt.unwrap()).unwrap();
    receipt.verify_record(key, record).unwrap();
    receipt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_goes_in_and_its_receipt_verifies() {
    let (world, nodes, key) = World::formed(1).await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let record = sender.report();
    let first = submit(&client, &record).await.unwrap();
    assert!(!first.duplicate);
    let receipt = verify(&key, first.receipt.clone(), &record);
    assert_eq!(receipt.sequence.0, 1, "leaf 0 is the genesis");

    let again = submit(&client, &record).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.receipt, first.receipt, "the same bytes");

    let found = get(&client, &record).await.unwrap();
    assert_eq!(found.record.as_ref(), Some(&record));
    assert_eq!(found.receipt, first.receipt);
    assert_eq!(found.size, 2);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_what_their_units_sent_or_receive() {
    let (world, _nodes, _) = World::formed(1).await;
    let platform = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let mut draft = sender.draft();
    draft.receivers = vec!["VPCP".parse().unwrap()];
    let record = sender.sign(draft, b"{}");
    submit(&platform, &record).await.unwrap();
    for unit in ["BYT", "VPCP"] {
        let reader = world.store(1, &["urn:kho:role:reader", &format!("urn:kho:unit:{unit}")]).await;
        assert_eq!(get(&reader, &record).await.unwrap().record.as_ref(), Some(&record), "{unit}");
    }
    let other = world.store(1, &["urn:kho:role:reader", "urn:kho:unit:BCA"]).await;
    assert_eq!(code(&get(&other, &record).await.unwrap_err()), Code::RecordUnknown);
    assert_eq!(code(&get(&other, &sender.report()).await.unwrap_err()), Code::RecordUnknown, "absent: the same answer");
    let operator = world.store(1, &["urn:kho:role:operator", "urn:kho:units:all"]).await;
    assert_eq!(code(&get(&operator, &record).await.unwrap_err()), Code::RoleNotPermitted);
    let submitter = world.store(1, &["urn:kho:role:submitter", "urn:kho:unit:BYT"]).await;
    assert_eq!(code(&get(&submitter, &record).await.unwrap_err()), Code::RoleNotPermitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_supersede_the_latest_of_their_series() {
    let (world, nodes, key) = World::formed(1).await;
    let client = world.platform(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let first = sender.draft();
    let revision = |supersedes: Option<RecordId>| {
        let draft = kho_proto::record::Draft { series: first.series.clone(), supersedes, ..sender.draft() };
        sender.sign(draft, b"{}")
    };
    let one = sender.sign(first.clone(), b"{}");
    submit(&client, &one).await.unwrap();
    let two = revision(Some(id_of(&one)));
    verify(&key, submit(&client, &two).await.unwrap().receipt, &two);
    let before = tree(&nodes[0]);
    for (record, expect) in [
        (revision(None), Code::SeriesHasHead),
        (revision(Some(id_of(&one))), Code::SupersedesNotLatest),
        (revision(Some(id_of(&sender.report()))), Code::SupersedesUnknown),
    ] {
        assert_eq!(code(&submit(&client, &record).await.unwrap_err()), expect);
    }
    assert_eq!(tree(&nodes[0]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_records_and_receipts() {
    let (world, mut nodes, key) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let record = sender.report();
    let first = submit(&world.platform(1).await, &record).await.unwrap();
    nodes.remove(0).stop().await;
    let node = world.start(1).await;
    assert_eq!(world.form(1).await, key, "asking again is harmless");
    let client = world.platform(1).await;
    let again = submit(&client, &record).await.unwrap();
    assert_eq!((again.receipt, again.duplicate), (first.receipt, true));
    assert_eq!(get(&client, &record).await.unwrap().record, Some(record));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_each_get_their_own() {
    let (world, nodes, key) = World::formed(1).await;
    let client = world.platform(1).await;
    let senders: Vec<Sender> = ["BYT", "BTC", "T01"].iter().map(|unit| Sender::new(&world.signers, unit)).collect();
    let mut waiting = Vec::new();
    for n in 0..60 {
        let record = senders[n % senders.len()].report();
        let client = client.clone();
        waiting.push(tokio::spawn(async move {
            let response = submit(&client, &record).await;
            (record, response)
        }));
    }
    let mut sequences = std::collections::BTreeSet::new();
    for submitted in waiting {
        let (record, response) = submitted.await.unwrap();
        sequences.insert(verify(&key, response.unwrap().receipt, &record).sequence);
    }
    assert_eq!(sequences.len(), 60);
    assert_eq!(tree(&nodes[0]).0, 61);
}

/// A record may name certificates that its unit brought before, on any node, also after a restart. // R-C1
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_sent_once() {
    let (world, mut nodes, key) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let short = |sender: &Sender| {
        let whole = sender.report();
        (SignedRecord { certificates: Vec::new(), ..whole.clone() }, whole)
    };
    let first = world.platform(1).await;
    let refused = submit(&first, &short(&sender).0).await.unwrap_err();
    assert_eq!(code(&refused), Code::CertificateMissing);
    submit(&first, &sender.report()).await.unwrap();
    let everywhere = |nodes: &[Node]| nodes.iter().all(|node| tree(node).0 == tree(&nodes[0]).0);
    while !everywhere(&nodes) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in 1..=3 {
        let (sent, whole) = short(&sender);
        let client = world.platform(node).await;
        verify(&key, submit(&client, &sent).await.unwrap().receipt, &whole);
        assert_eq!(get(&client, &whole).await.unwrap().record, Some(whole));
    }
    nodes.remove(0).stop().await;
    nodes.insert(0, world.start(1).await);
    let (sent, whole) = short(&sender);
    verify(&key, submit(&world.platform(1).await, &sent).await.unwrap().receipt, &whole);
    // the store keeps them by unit, and a signer whose issuer alone is known is not known
    let (other, second) = (Sender::new(&world.signers, "BTC"), Sender::new(&world.signers, "BYT"));
    let platform = world.platform(1).await;
    for sender in [&other, &second] {
        assert_eq!(code(&submit(&platform, &short(sender).0).await.unwrap_err()), Code::CertificateMissing);
    }
}
