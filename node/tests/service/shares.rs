//! What all share on a node: one certificate has a part of it, on however many connections, and others have the rest.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::uri::PathAndQuery;
use kho_proto::error::Code;
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{SubmitRequest, SubmitResponse, SubmitStreamRequest, SubmitStreamResponse};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::sender::Sender;
use crate::thin_line::{code, submit};
use crate::world::{Card, World};

/// Streams of a connection, and of a certificate.
const CONNECTION_STREAMS: usize = 16;
const STREAMS: usize = 128;

fn platform(world: &World) -> Card {
    world.clients.card(&[], &["urn:kho:role:submitter", "urn:kho:role:reader", "urn:kho:units:all"])
}

/// Ends with its sender.
type Silent = (oneshot::Sender<SubmitStreamRequest>, Streaming<SubmitStreamResponse>);

async fn silent_stream(client: &StoreClient<Channel>) -> Result<Silent, Status> {
    let (sender, record) = oneshot::channel();
    let records = stream::once(record).filter_map(|record| std::future::ready(record.ok()));
    let results = client.clone().submit_stream(records).await?.into_inner();
    Ok((sender, results))
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_certificate_leave_room_for_anothers() {
    let (world, _nodes, _) = World::formed(1).await;
    let card = platform(&world);
    let mut open = Vec::new();
    for _ in 0..STREAMS / CONNECTION_STREAMS {
        let client = world.store_of(1, Some(&card)).await;
        for _ in 0..CONNECTION_STREAMS {
            open.push(silent_stream(&client).await.unwrap());
        }
    }
    let another = world.store_of(1, Some(&card)).await;
    assert_eq!(code(&silent_stream(&another).await.unwrap_err()), Code::Overloaded);
    silent_stream(&world.platform(1).await).await.unwrap();
    drop(open);
    let start = std::time::Instant::now();
    while silent_stream(&another).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "places of streams that ended stay taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A whole record whose request does not end: its bytes are being received until the node is tired of it.
async fn unended(channel: Channel, request: SubmitRequest) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel).max_encoding_message_size(8 << 20);
    grpc.ready().await.unwrap();
    let messages = Request::new(stream::iter([request]).chain(stream::pending()));
    let path = PathAndQuery::from_static("/kho.v1.Store/Submit");
    let asked = grpc.client_streaming(messages, path, ProstCodec::<SubmitRequest, SubmitResponse>::default());
    asked.await.map(|answer| answer.into_inner()).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_one_certificate_leave_room_for_anothers() {
    let (world, _nodes, _) = World::formed(1).await;
    let (card, sender) = (platform(&world), Sender::new(&world.signers, "BYT"));
    let large = || sender.sign(sender.draft(), &vec![b' '; 4 << 20]);
    let crowd = SubmitRequest { record: Some(large()) };
    let (mut held, mut calls) = (JoinSet::new(), Vec::new());
    for _ in 0..3 {
        let channel = world.channel(1, "client", Some(&card)).await;
        for _ in 0..10 {
            calls.push(held.spawn(unended(channel.clone(), crowd.clone())));
        }
    }
    // full when the first is refused
    let refused = held.join_next().await.unwrap().unwrap();
    assert_eq!(code(&refused), Code::Overloaded);
    let other = world.platform(1).await;
    for _ in 0..3 {
        submit(&other, &large()).await.unwrap();
    }
    // of a set the length counts those that ended, too
    let still = calls.iter().filter(|call| !call.is_finished()).count();
    assert!(still >= 5, "{still} are still held");
    while let Some(status) = held.join_next().await {
        assert!(matches!(code(&status.unwrap()), Code::Overloaded | Code::StreamIdle));
    }
    submit(&world.store_of(1, Some(&card)).await, &large()).await.unwrap();
}
