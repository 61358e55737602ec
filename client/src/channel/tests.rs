use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::dns::Name;
use kho_proto::pb::v1::GetRequest;
use kho_proto::pb::v1::store_client::StoreClient;
use rcgen::{CertificateParams, KeyPair};
use tonic::transport::Channel;

use super::{Tls, open, open_with};
use crate::attempt::Failed;
use crate::passage::{self, Tracked};

const CONNECT: Duration = Duration::from_millis(50);
/// For what has to be done within it, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(2);

fn tls() -> Tls {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    Tls::from_pem(own.as_bytes(), key.serialize_pem().as_bytes(), own.as_bytes()).unwrap()
}

/// The kernel takes connections, and nobody speaks.
fn mute() -> (TcpListener, String) {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", node.local_addr().unwrap().port());
    (node, address)
}

/// One attempt of a call.
async fn attempt(channel: Channel, budget: Duration) -> Failed {
    let mut store = StoreClient::new(Tracked(channel));
    let call = |request| async move { store.get(request).await };
    passage::attempt(budget, GetRequest::default(), call).await.unwrap_err()
}

/// One time-out around TCP and TLS ended as a call whose outcome nobody knows.
#[tokio::test]
async fn a_node_that_hangs_in_the_handshake_was_not_reached() {
    let ((_node, address), tls) = (mute(), tls());
    // which of two time-outs comes first is a matter of a millisecond
    let calls = (0..40).map(|_| {
        let mut store = StoreClient::new(open(&address, Some(&tls), CONNECT).unwrap());
        async move { store.get(GetRequest::default()).await.unwrap_err() }
    });
    for status in futures::future::join_all(calls).await {
        let failed = Failed::of(&status);
        assert!(matches!(failed, Failed::Unreached(_)), "{failed:?}");
    }
}

/// A dial serves one of them; the attempts of the others ended while they waited for theirs, and counted as sent.
#[tokio::test]
async fn attempts_that_wait_for_a_connection_were_not_sent() {
    let (_node, address) = mute();
    let channel = open(&address, Some(&tls()), CONNECT).unwrap();
    let attempts = (0..8).map(|_| attempt(channel.clone(), CONNECT * 5 / 2));
    for failed in futures::future::join_all(attempts).await {
        assert!(matches!(failed, Failed::Unreached(_)), "{failed:?}");
    }
}

#[tokio::test]
async fn what_a_connection_was_given_is_unknown() {
    let (_node, address) = mute();
    let channel = open(&address, None, LONG).unwrap();
    let attempts = (0..8).map(|_| attempt(channel.clone(), LONG));
    for failed in futures::future::join_all(attempts).await {
        assert!(matches!(failed, Failed::Unknown(_)), "{failed:?}");
    }
}

/// The time-out of TCP begins when there is an address.
#[tokio::test]
async fn a_name_that_is_not_resolved_costs_no_more_than_a_connection_and_one_lookup() {
    let (node, address) = mute();
    let (lookups, known) = (Arc::new(AtomicU32::new(0)), Arc::new(tokio::sync::Notify::new()));
    let resolver = {
        let (lookups, known, found) = (lookups.clone(), known.clone(), node.local_addr().unwrap());
        tower::service_fn(move |_: Name| {
            lookups.fetch_add(1, Ordering::SeqCst);
            let known = known.clone();
            async move {
                known.notified().await;
                Ok::<_, std::io::Error>(std::iter::once(SocketAddr::new(found.ip(), 0)))
            }
        })
    };
    let channel = open_with(resolver, &address, None, CONNECT).unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let failed = attempt(channel.clone(), Duration::from_secs(5)).await;
        assert!(matches!(&failed, Failed::Unreached(why) if why.contains("not resolved within 50 ms")), "{failed:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(lookups.load(Ordering::SeqCst), 1, "one is under way");
    // slower than anybody waits, and of use all the same
    known.notify_one();
    tokio::time::sleep(CONNECT).await;
    let failed = attempt(channel, LONG).await;
    assert!(matches!(failed, Failed::Unknown(_)), "it was connected: {failed:?}");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}
