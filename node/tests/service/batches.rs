//! Many records in one message and in one stream: each has its own result, whatever its neighbours are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kho_node::serve::Node;
use kho_proto::batch::{STREAM_IN_FLIGHT_MAX, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_RECORDS_MAX};
use kho_proto::error::Code;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{
    NotTaken, SignedRecord, SubmitManyRequest, SubmitManyResponse, SubmitResult, SubmitStreamRequest,
    SubmitStreamResponse,
};
use kho_proto::record::to_file;
use kho_proto::status::from_status;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::sender::Sender;
use crate::thin_line::{code, id_of, submit, verify};
use crate::world::{World, tree};

type Store = StoreClient<Channel>;

async fn many(client: &Store, records: Vec<Vec<u8>>) -> Result<SubmitManyResponse, Status> {
    let records = records.into_iter().map(Into::into).collect();
    many_with(client, SubmitManyRequest { records, certificates: Vec::new() }).await
}

async fn many_with(client: &Store, request: SubmitManyRequest) -> Result<SubmitManyResponse, Status> {
    client.clone().submit_many(request).await.map(tonic::Response::into_inner)
}

fn files(records: &[SignedRecord]) -> Vec<Vec<u8>> {
    records.iter().map(to_file).collect()
}

/// The code of a refusal; none: taken.
fn refused(result: &SubmitResult) -> Option<String> {
    match result.result.as_ref().unwrap() {
        Wire::Taken(_) => None,
        Wire::Refused(NotTaken { detail, message }) => {
            assert!(!message.is_empty());
            Some(detail.clone().unwrap().code)
        }
        Wire::Unknown(unknown) => panic!("unknown: {unknown:?}"),
    }
}

fn receipt(result: &SubmitResult) -> Option<kho_proto::pb::v1::Receipt> {
    match result.result.as_ref().unwrap() {
        Wire::Taken(taken) => taken.receipt.clone(),
        _ => None,
    }
}

/// A stream whose two halves the test holds.
struct Records {
    sender: mpsc::Sender<SubmitStreamRequest>,
    results: Streaming<SubmitStreamResponse>,
}

impl Records {
    async fn open(client: &Store) -> Result<Records, Status> {
        let (sender, records) = mpsc::channel(1);
        let results = client.clone().submit_stream(ReceiverStream::new(records)).await?.into_inner();
        Ok(Records { sender, results })
    }

    async fn send(&self, correlation: u64, record: impl Into<bytes::Bytes>) {
        let request = SubmitStreamRequest { correlation, record: record.into(), deadline_ms: 0 };
        self.sender.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<SubmitStreamResponse>, Status> {
        tokio::time::timeout(Duration::from_secs(20), self.results.message()).await.expect("a result in time")
    }

    /// No more is sent: all that is left.
    async fn rest(self) -> Result<BTreeMap<u64, SubmitResult>, Status> {
        let Records { sender, mut results } = self;
        drop(sender);
        let mut all = BTreeMap::new();
        while let Some(response) = results.message().await? {
            let again = all.insert(response.correlation, response.result.unwrap());
            assert!(again.is_none(), "two results of one record");
        }
        Ok(all)
    }
}

/// Records of which every second one is bad, each for a reason of its own; and what becomes of them.
fn mixed(world: &World, sender: &Sender) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let good = || to_file(&sender.report());
    let changed = |change: fn(&mut SignedRecord)| {
        let mut record = sender.report();
        change(&mut record);
        to_file(&record)
    };
    let other = Sender::new(&world.signers, "BCA");
    vec![
        (good(), None),
        (b"\xff\xff no protobuf".to_vec(), Some("request-malformed")),
        (good(), None),
        (Vec::new(), Some("header-field-invalid")),
        (good(), None),
        (changed(|record| record.payload = b"other".as_slice().into()), Some("payload-length-mismatch")),
        (good(), None),
        (changed(|record| record.certificates = vec![b"another".as_slice().into()]), Some("certificate-missing")),
        (to_file(&other.report()), Some("unit-not-permitted")),
        (good(), None),
    ]
}

async fn scene() -> (World, Vec<Node>, kho_proto::checkpoint::VerifierKey, Sender, Store) {
    let (world, nodes, key) = World::formed(1).await;
    let client = world.store(1, &["urn:kho:role:submitter", "urn:kho:unit:BYT"]).await;
    let sender = Sender::new(&world.signers, "BYT");
    (world, nodes, key, sender, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_does_not_sink_its_neighbours() {
    let (world, nodes, _, sender, client) = scene().await;
    let mixed = mixed(&world, &sender);
    let good = mixed.iter().filter(|(_, expected)| expected.is_none()).count() as u64;
    let response = many(&client, mixed.iter().map(|(bytes, _)| bytes.clone()).collect()).await.unwrap();
    assert_eq!(response.results.len(), mixed.len());
    assert_eq!((response.node_id, response.leader_id), (1, 1));
    for (place, (result, (_, expected))) in response.results.iter().zip(&mixed).enumerate() {
        assert_eq!(refused(result).as_deref(), *expected, "record {place}");
    }
    assert_eq!(tree(&nodes[0]).0, 1 + good, "the genesis and the good ones");

    let mut records = Records::open(&client).await.unwrap();
    for (place, (bytes, _)) in mixed.iter().enumerate() {
        records.send(place as u64 + 100, bytes.clone()).await;
    }
    let first = records.next().await.unwrap().unwrap();
    let mut results = records.rest().await.unwrap();
    results.insert(first.correlation, first.result.unwrap());
    for (place, (_, expected)) in mixed.iter().enumerate() {
        let result = &results[&(place as u64 + 100)];
        assert_eq!(refused(result).as_deref(), *expected, "record {place}");
        let same = receipt(result) == receipt(&response.results[place]);
        assert!(same, "record {place}: the first receipt again");
    }
    assert_eq!(tree(&nodes[0]).0, 1 + good, "the same records once more are the same records");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_message_go_together_and_in_their_order() {
    let (_world, _nodes, key, sender, client) = scene().await;
    // the data key, so that what follows is one entry
    submit(&client, &sender.report()).await.unwrap();
    let first = sender.draft();
    let mut supersedes = None;
    let revisions: Vec<SignedRecord> = (0..20)
        .map(|_| {
            let draft = kho_proto::record::Draft { series: first.series.clone(), supersedes, ..sender.draft() };
            let record = sender.sign(draft, b"{}");
            supersedes = Some(id_of(&record));
            record
        })
        .collect();
    let mut all = files(&revisions);
    all.push(to_file(&revisions[7]));
    let response = many(&client, all).await.unwrap();
    let receipts: Vec<_> =
        revisions.iter().zip(&response.results).map(|(record, result)| verify(&key, receipt(result), record)).collect();
    assert!(receipts.windows(2).all(|pair| pair[0].sequence.0 + 1 == pair[1].sequence.0), "in order");
    let checkpoints: BTreeSet<_> = receipts.iter().map(|receipt| receipt.checkpoint.clone()).collect();
    assert_eq!(checkpoints.len(), 1, "one entry, one checkpoint");
    let Some(Wire::Taken(twice)) = &response.results[20].result else { panic!("{:?}", response.results[20]) };
    assert!(twice.duplicate);
    assert_eq!(twice.receipt, receipt(&response.results[7]));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_travel_once() {
    let (world, _nodes, key, sender, client) = scene().await;
    let reports: Vec<SignedRecord> = (0..6).map(|_| sender.report()).collect();
    let short = |record: &SignedRecord| to_file(&SignedRecord { certificates: Vec::new(), ..record.clone() });
    let request = SubmitManyRequest {
        records: reports[..3].iter().map(|record| short(record).into()).collect(),
        certificates: sender.chain.clone(),
    };
    for (record, result) in reports.iter().zip(&many_with(&client, request).await.unwrap().results) {
        verify(&key, receipt(result), record);
    }
    let mut records = Records::open(&client).await.unwrap();
    let another = Sender::new(&world.signers, "BYT").report();
    records.send(6, short(&another)).await;
    let none = records.next().await.unwrap().unwrap();
    assert_eq!(refused(&none.result.unwrap()).as_deref(), Some("certificate-missing"), "nobody ever carried it");
    records.send(4, to_file(&reports[4])).await;
    records.send(5, short(&reports[5])).await;
    records.send(3, short(&reports[3])).await;
    for (number, result) in records.rest().await.unwrap() {
        verify(&key, receipt(&result), &reports[number as usize]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_whole_message_refuses_it() {
    let (world, nodes, _, sender, client) = scene().await;
    let before = tree(&nodes[0]);
    let report = to_file(&sender.report());
    let none = code(&many(&client, Vec::new()).await.unwrap_err());
    let records = vec![report.clone(); SUBMIT_MANY_RECORDS_MAX + 1];
    let too_many = code(&many(&client, records).await.unwrap_err());
    assert_eq!((none, too_many), (Code::RequestMalformed, Code::RequestMalformed));
    let large = vec![vec![7; SUBMIT_MANY_BYTES_MAX / 2]; 2];
    assert_eq!(code(&many(&client, large).await.unwrap_err()), Code::PayloadTooLarge);

    let reader = world.store(1, &["urn:kho:role:reader", "urn:kho:unit:BYT"]).await;
    assert_eq!(code(&many(&reader, vec![report.clone()]).await.unwrap_err()), Code::RoleNotPermitted);
    let refused = Records::open(&reader).await.err().map(|status| code(&status));
    assert_eq!(refused, Some(Code::RoleNotPermitted));
    assert_eq!(tree(&nodes[0]), before);

    // a message of a stream that is too long ends it, with what went before answered
    let mut records = Records::open(&client).await.unwrap();
    records.send(1, report).await;
    records.send(2, vec![7; SUBMIT_MANY_BYTES_MAX + 1]).await;
    assert_eq!(records.next().await.unwrap().unwrap().correlation, 1);
    assert_eq!(code(&records.next().await.unwrap_err()), Code::PayloadTooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_take_results_stops_itself_and_nobody_else() {
    let (world, nodes, key, sender, client) = scene().await;
    let records = Records::open(&client).await.unwrap();
    let report = to_file(&sender.report());
    let mut sent = 0;
    // results of one receipt each: HTTP/2 holds some of them, the node the rest
    while tokio::time::timeout(Duration::from_secs(2), records.send(sent, report.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 200_000, "the node reads on and on");
    }
    assert!(sent >= STREAM_IN_FLIGHT_MAX as u64, "{sent}");
    let other = world.platform(1).await;
    let record = sender.report();
    verify(&key, submit(&other, &record).await.unwrap().receipt, &record);
    // and on the same connection
    let record = sender.report();
    verify(&key, submit(&client, &record).await.unwrap().receipt, &record);
    let results = records.rest().await.unwrap();
    assert!(results.len() as u64 >= sent, "{} of {sent}", results.len());
    assert_eq!(tree(&nodes[0]).0, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_on_a_connection() {
    let (_world, _nodes, _, sender, client) = scene().await;
    let mut open = Vec::new();
    let refused = loop {
        match Records::open(&client).await {
            Ok(records) => open.push(records),
            Err(status) => break from_status(&status).unwrap(),
        }
    };
    assert_eq!((open.len(), refused.code), (16, Code::Overloaded));
    assert!(refused.retry_after.is_some());
    let mut last = open.pop().unwrap();
    last.send(1, to_file(&sender.report())).await;
    assert!(receipt(&last.next().await.unwrap().unwrap().result.unwrap()).is_some());
    drop(last);
    // its place is free when the node has heard of it
    let start = std::time::Instant::now();
    while Records::open(&client).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the place of a stream that ended stays taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answers_what_it_read_and_says_so() {
    let (_world, mut nodes, _, sender, client) = scene().await;
    let mut records = Records::open(&client).await.unwrap();
    records.send(1, to_file(&sender.report())).await;
    assert_eq!(records.next().await.unwrap().unwrap().correlation, 1);
    let stopping = tokio::spawn(nodes.remove(0).stop());
    assert_eq!(code(&records.next().await.unwrap_err()), Code::NodeStopping);
    let stopped = tokio::time::timeout(Duration::from_secs(4), stopping).await;
    assert!(stopped.is_ok(), "an open stream does not hold a node that stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_any_node_outlives_a_change_of_leader() {
    let (world, nodes, key) = World::formed(3).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(2).await;
    submit(&client, &sender.report()).await.unwrap();
    let mut records = Records::open(&client).await.unwrap();
    let reports: Vec<SignedRecord> = (0..40).map(|_| sender.report()).collect();
    for (number, report) in reports.iter().enumerate() {
        records.send(number as u64, to_file(report)).await;
        if number == 20 {
            let leader = nodes.iter().find(|node| node.consensus().is_leader()).unwrap();
            leader.consensus().transfer_leader(None).await.unwrap();
        }
    }
    let mut taken = 0;
    for _ in 0..reports.len() {
        let response = records.next().await.unwrap().unwrap();
        let report = &reports[response.correlation as usize];
        match response.result.unwrap().result.unwrap() {
            Wire::Taken(first) => {
                verify(&key, first.receipt, report);
                taken += 1;
            }
            // under way while the leader changed: again, under the same id
            Wire::Refused(_) | Wire::Unknown(_) => {
                verify(&key, submit(&client, report).await.unwrap().receipt, report);
            }
        }
    }
    assert!(taken > reports.len() / 2, "{taken}");
    // what is acknowledged is applied where the leader is; the others may still be at it
    let leader = nodes.iter().find(|node| node.consensus().is_leader()).unwrap();
    assert_eq!(tree(leader).0, 2 + reports.len() as u64, "each once");
}
