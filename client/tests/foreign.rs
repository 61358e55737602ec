//! Addresses where no Kho node answers, or one that does not know a call yet, beside nodes that are well.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::convert::Infallible;
use std::time::Instant;

use fake::{Act, Fake, config, refuse, several, signed, timing};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kho_client::{Client, Config, ListQuery, ReadError, Settled, SubmitError};
use kho_proto::error::Code;
use kho_proto::id::NodeId;
use tokio::net::TcpListener;

/// What a node answers that does not know the call.
const OLDER: u16 = 200;

/// Refuses everything, as a node of another version ([`OLDER`]) or as a proxy that knows nothing of Kho.
async fn foreign(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = move |_| async move {
                let mut answer = http::Response::builder().status(status);
                if status == OLDER {
                    answer = answer.header("content-type", "application/grpc").header("grpc-status", "12");
                }
                Ok::<_, Infallible>(answer.body(Empty::<Bytes>::new()).unwrap())
            };
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)));
        }
    });
    address
}

/// The foreign ones first.
async fn client(statuses: &[u16], nodes: &[&Fake]) -> Client {
    let config = config(nodes);
    let mut addresses = Vec::new();
    for status in statuses {
        addresses.push(foreign(*status).await);
    }
    addresses.extend(config.nodes);
    Client::new(Config { nodes: addresses, ..config }).unwrap()
}

async fn streamed(client: &Client) -> Vec<Settled> {
    let (sender, mut results) = client.submit_stream();
    for record in several(5).await {
        sender.send(record).await.unwrap();
    }
    drop(sender);
    let mut settled = Vec::new();
    while let Some(one) = results.next().await {
        settled.push(one);
    }
    settled
}

#[tokio::test]
async fn one_foreign_address_is_not_the_cluster() {
    let well = Fake::node(2, 2, &[Act::Accept]).await;
    let done = client(&[403], &[&well]).await.submit(&signed().await).await.unwrap();
    assert_eq!((done.node, done.attempts), (NodeId(2), 2));
    let answers = client(&[404], &[&well]).await.submit_many(&several(3).await).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let settled = streamed(&client(&[OLDER], &[&well]).await).await;
    assert!(settled.iter().all(|one| one.answer.is_ok()), "{settled:?}");
    assert_eq!(client(&[403, OLDER], &[&well]).await.get(signed().await.record_id()).await.unwrap().node, NodeId(2));
}

#[tokio::test]
async fn foreign_to_the_last_address_ends_a_call_at_once() {
    let (client, begun) = (client(&[OLDER; 3], &[]).await, Instant::now());
    let foreign = |answer: &Result<_, SubmitError>| matches!(answer, Err(SubmitError::Foreign { .. }));
    let proxies = self::client(&[403, 404, OLDER], &[]).await;
    for client in [&client, &proxies] {
        let answer = client.submit(&signed().await).await;
        assert!(foreign(&answer), "{answer:?}");
    }
    let answers = client.submit_many(&several(2).await).await;
    assert!(answers.iter().all(foreign), "{answers:?}");
    let settled = streamed(&client).await;
    assert!(settled.iter().all(|one| foreign(&one.answer)), "{settled:?}");
    let error = client.list(ListQuery::default()).next().await.unwrap_err();
    assert!(matches!(&error, ReadError::Unreachable { last, .. } if last.contains("is not Kho's")), "{error}");
    assert!(begun.elapsed() < timing().deadline * 2);
}

#[tokio::test]
async fn who_is_absent_beside_it_may_be_well_tomorrow() {
    let absent = Fake::absent().await;
    let answer = client(&[404], &[&absent]).await.submit(&signed().await).await.unwrap_err();
    let SubmitError::Unreachable { last, .. } = &answer else { panic!("{answer}") };
    assert!(last.contains("is not Kho's"), "{last}");
    let settled = streamed(&client(&[OLDER], &[&absent]).await).await;
    let unreachable = |one: &Settled| matches!(one.answer, Err(SubmitError::Unreachable { .. }));
    assert!(settled.iter().all(unreachable), "{settled:?}");
    // and what a node says counts for more
    let refuses = Fake::node(2, 0, &[refuse(Code::NoLeader)]).await;
    let answer = client(&[403], &[&refuses]).await.submit(&signed().await).await.unwrap_err();
    assert_eq!(answer.code(), Code::NoLeader, "{answer}");
    assert!(matches!(answer, SubmitError::Refused { .. }), "{answer}");
}

/// A node of a later version refuses a record for a reason that this client does not know.
#[tokio::test]
async fn a_record_on_a_stream_is_taken_elsewhere_where_one_node_answers_in_other_words() {
    let (later, well) = (Fake::node(1, 1, &[Act::Later]).await, Fake::node(2, 2, &[Act::Accept]).await);
    let settled = streamed(&fake::client(&[&later, &well])).await;
    let by_well = |one: &Settled| one.answer.as_ref().is_ok_and(|done| done.node == NodeId(2));
    assert!(settled.iter().all(by_well), "{settled:?}");
    let settled = streamed(&fake::client(&[&later])).await;
    assert!(settled.iter().all(|one| matches!(one.answer, Err(SubmitError::Foreign { .. }))), "{settled:?}");
}

/// It is about that record: the node is asked first as before.
#[tokio::test]
async fn a_node_that_refuses_a_record_in_other_words_is_well() {
    let records = several(3).await;
    for streams in [false, true] {
        let later = Fake::node(1, 1, &[Act::Later, Act::Accept]).await;
        let client = fake::client(&[&later, &Fake::node(2, 1, &[Act::Accept]).await]);
        let answer = if streams {
            let (sender, mut results) = client.submit_stream();
            sender.send(records[0].clone()).await.unwrap();
            results.next().await.unwrap().answer
        } else {
            client.submit_many(&records[1..2]).await.remove(0)
        };
        assert_eq!(answer.unwrap().node, NodeId(2), "streams: {streams}");
        assert_eq!(client.submit(&records[2]).await.unwrap().node, NodeId(1), "streams: {streams}");
    }
}
