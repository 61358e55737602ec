//! Nobody was reached: nothing was sent, and no call says that it may have been.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::net::TcpListener;

use fake::{Act, Fake, config, several, signed, signed_as, timing};
use kho_client::{Client, Config, SubmitError, Timing, Tls};
use rcgen::{CertificateParams, KeyPair};

/// Nodes whose connections never come up: the kernel takes them, and nobody answers the handshake. To a caller it is as if
/// each packet was dropped.
fn mute(nodes: usize, timing: Timing) -> (Vec<TcpListener>, Client) {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let tls = Tls::from_pem(own.as_bytes(), key.serialize_pem().as_bytes(), own.as_bytes()).unwrap();
    let listeners: Vec<_> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let nodes = listeners.iter().map(|node| format!("localhost:{}", node.local_addr().unwrap().port())).collect();
    (listeners, Client::new(Config { nodes, tls: Some(tls), timing, ..config(&[]) }).unwrap())
}

fn unreachable<T: std::fmt::Debug>(answer: Result<T, SubmitError>) {
    assert!(matches!(answer, Err(SubmitError::Unreachable { .. })), "{answer:?}");
}

/// Attempts end with their connection's time-out, but for the last, for which less is left.
#[tokio::test]
async fn the_last_attempt_of_a_deadline_is_as_certain_as_the_others() {
    let client = || mute(3, Timing::default());
    let ((_one, submits), (_two, many), (_three, streams)) = (client(), client(), client());
    let (record, records) = (signed().await, several(2).await);
    let stream = async {
        let (sender, mut results) = streams.submit_stream();
        sender.send(signed_as(7).await).await.unwrap();
        results.next().await.unwrap().answer
    };
    let (one, several, streamed) = tokio::join!(submits.submit(&record), many.submit_many(&records), stream);
    unreachable(one);
    several.into_iter().for_each(unreachable);
    unreachable(streamed);
    // the record is in no doubt either
    unreachable(submits.within(timing().deadline).submit(&record).await);
}

#[tokio::test]
async fn calls_at_the_same_time_are_as_certain_as_one() {
    let (_nodes, client) = mute(1, timing());
    let records = several(8).await;
    let calls = records.iter().map(|record| client.submit(record));
    futures::future::join_all(calls).await.into_iter().for_each(unreachable);

    // what was sent is not
    let hangs = Fake::node(1, 1, &[Act::Hang]).await;
    let client = fake::client(&[&hangs]);
    let calls = records.iter().map(|record| client.submit(record));
    for answer in futures::future::join_all(calls).await {
        assert!(answer.as_ref().is_err_and(SubmitError::is_unknown), "{answer:?}");
    }
}
