use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kho_proto::pb::v1::GetRequest;
use kho_proto::pb::v1::store_client::StoreClient;

use super::*;
use crate::channel;

fn message(passage: &Passage) -> Message {
    Message { body: Body::new(Full::new(Bytes::from_static(b"a record"))), passage: passage.clone() }
}

#[tokio::test]
async fn a_message_that_was_called_back_is_given_to_no_connection() {
    let passage = Passage::default();
    let late = message(&passage);
    assert!(passage.call_back() && passage.call_back());
    assert!(late.collect().await.is_err());
}

#[tokio::test]
async fn a_message_that_was_given_is_not_called_back() {
    let passage = Passage::default();
    let given = message(&passage).collect().await.unwrap().to_bytes();
    assert_eq!(given, "a record");
    assert!(!passage.call_back());
}

#[test]
fn only_what_is_unknown_is_settled_by_it() {
    assert!(matches!(Failed::timed_out(Duration::from_secs(1)).never_sent(), Failed::Unreached(_)));
    let foreign = Failed::Foreign("no node of yours".to_owned());
    assert_eq!(foreign.clone().never_sent(), foreign);
}

/// A node's address, and the last byte of each message that arrives there. It answers that it does not know the call.
async fn noting() -> (String, Arc<Mutex<BTreeSet<u8>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, arrived) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<BTreeSet<u8>>>::default());
    let noted = arrived.clone();
    tokio::spawn(async move {
        loop {
            let (io, noted) = (TokioIo::new(listener.accept().await.unwrap().0), noted.clone());
            let answer = move |request: http::Request<Incoming>| {
                let noted = noted.clone();
                async move {
                    if let Some(last) =
                        request.into_body().collect().await.ok().and_then(|body| body.to_bytes().last().copied())
                    {
                        noted.lock().unwrap().insert(last);
                    }
                    let answer = http::Response::builder().header("content-type", "application/grpc");
                    Ok::<_, Infallible>(answer.header("grpc-status", "12").body(Empty::<Bytes>::new()).unwrap())
                }
            };
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(io, hyper::service::service_fn(answer)));
        }
    });
    (address, arrived)
}

/// A connection comes up in the moment in which an attempt gives up.
#[tokio::test]
async fn what_was_called_back_does_not_arrive() {
    let (address, arrived) = noting().await;
    let mut store = StoreClient::new(Tracked(channel::open(&address, None, Duration::from_secs(10)).unwrap()));
    for (n, called_back) in [(1, true), (2, false), (3, true), (4, false)] {
        let (mut request, passage) = (Request::new(GetRequest { record_id: vec![n].into() }), Passage::default());
        request.extensions_mut().insert(passage.clone());
        assert_eq!(called_back && passage.call_back(), called_back);
        let status = store.get(request).await.unwrap_err();
        assert_eq!(status.code() == tonic::Code::Unimplemented, !called_back, "{status}");
    }
    // over one connection, in their order
    assert_eq!(*arrived.lock().unwrap(), BTreeSet::from([2, 4]));
}
