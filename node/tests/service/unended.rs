//! Calls whose message is whole, or has not begun, and whose end never comes: they are cut, and what they brought counts
//! until then. Over HTTP/2 a request ends when its sender says so, whatever its message.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use kho_proto::error::Code;
use kho_proto::pb::admin::v1::{NodeStatusRequest, NodeStatusResponse};
use kho_proto::pb::v1::{GetRequest, GetResponse, SubmitRequest, SubmitResponse};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::sender::Sender;
use crate::thin_line::{code, get, submit};
use crate::world::{World, tree};

/// By then a node has lost its patience with a call that stands still: 10 s after its last byte, which on a slow machine comes
/// late.
const CUT: Duration = Duration::from_secs(30);

/// Sends these messages and no end; what the node says in the end.
async fn unended<Q, A>(channel: &Channel, path: &'static str, messages: Vec<Q>) -> Result<A, Status>
where
    Q: Message + Default + Send + 'static,
    A: Message + Default + Send + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel.clone()).max_encoding_message_size(8 << 20);
    grpc.ready().await.unwrap();
    let messages = stream::iter(messages).chain(stream::pending());
    let path = http::uri::PathAndQuery::from_static(path);
    let asked = grpc.client_streaming(Request::new(messages), path, ProstCodec::<Q, A>::default());
    let answer = tokio::time::timeout(CUT, asked).await.expect("held for longer than it may be");
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_and_counts_until_then() {
    let (world, nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(1).await;
    submit(&client, &sender.report()).await.unwrap();
    let before = tree(&nodes[0]);

    let card = world.clients.card(&[], &["urn:kho:role:submitter", "urn:kho:role:reader", "urn:kho:units:all"]);
    let channel = world.channel(1, "client", Some(&card)).await;
    let large = SubmitRequest { record: Some(sender.sign(sender.draft(), &vec![b' '; 4 << 20])) };
    let calls = (0..30)
        .map(|_| unended::<SubmitRequest, SubmitResponse>(&channel, "/kho.v1.Store/Submit", vec![large.clone()]));
    let (mut idle, mut overloaded) = (0, 0);
    for answer in join_all(calls).await {
        match code(&answer.unwrap_err()) {
            Code::StreamIdle => idle += 1,
            Code::Overloaded => overloaded += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(idle > 0 && overloaded > 0, "{idle} idle, {overloaded} beyond what may be received at once");

    let operator = world.operators.card(&[], &["urn:kho:role:operator"]);
    let admin = world.channel(1, "admin", Some(&operator)).await;
    let asks = GetRequest { record_id: vec![7; 16].into() };
    let (one, two, other) = futures::join!(
        unended::<GetRequest, GetResponse>(&channel, "/kho.v1.Store/Get", vec![asks.clone()]),
        unended::<GetRequest, GetResponse>(&channel, "/kho.v1.Store/Get", vec![asks.clone(), asks.clone()]),
        unended::<NodeStatusRequest, NodeStatusResponse>(
            &admin,
            "/kho.admin.v1.Admin/NodeStatus",
            vec![NodeStatusRequest::default()]
        ),
    );
    assert_eq!(code(&one.unwrap_err()), Code::StreamIdle);
    assert_eq!(code(&two.unwrap_err()), Code::RequestMalformed, "a call has one message");
    assert_eq!(code(&other.unwrap_err()), Code::StreamIdle);
    assert_eq!(tree(&nodes[0]), before, "what does not end does nothing");
    submit(&client, &sender.report()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_said_what_to_read_holds_no_room_of_answers() {
    let (world, _nodes, _) = World::formed(1).await;
    let sender = Sender::new(&world.signers, "BYT");
    let client = world.platform(1).await;
    let record = sender.report();
    submit(&client, &record).await.unwrap();
    let card = world.clients.card(&[], &["urn:kho:role:reader", "urn:kho:units:all"]);
    // more connections than a certificate, or a plane, has room for, with as many calls each as one has
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let channel = world.channel(1, "client", Some(&card)).await;
        for path in ["/kho.v1.Store/Get", "/kho.v1.Store/List"].into_iter().cycle().take(14) {
            let channel = channel.clone();
            held.spawn(async move { unended::<GetRequest, GetResponse>(&channel, path, Vec::new()).await });
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // by the same certificate: others have the rest of the plane's room anyway
    let reader = world.store_of(1, Some(&card)).await;
    let found = tokio::time::timeout(Duration::from_secs(3), get(&reader, &record)).await;
    assert_eq!(found.expect("a read of the same certificate is answered").unwrap().record, Some(record));
    assert!(held.try_join_next().is_none(), "they are still there");
}
