use std::time::Duration;

use kho_proto::pb::v1::GetRequest;
use kho_proto::pb::v1::store_client::StoreClient;
use rcgen::{CertificateParams, KeyPair};

use super::{Tls, open};
use crate::attempt::Failed;

/// One time-out around TCP and TLS ended as a call whose outcome nobody knows.
#[tokio::test]
async fn a_node_that_hangs_in_the_handshake_was_not_reached() {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let tls = Tls::from_pem(own.as_bytes(), key.serialize_pem().as_bytes(), own.as_bytes()).unwrap();
    // the kernel takes connections, and nobody speaks
    let node = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", node.local_addr().unwrap().port());
    // which of two time-outs comes first is a matter of a millisecond
    let calls = (0..40).map(|_| {
        let mut store = StoreClient::new(open(&address, Some(&tls), Duration::from_millis(50)).unwrap());
        async move { store.get(GetRequest::default()).await.unwrap_err() }
    });
    for status in futures::future::join_all(calls).await {
        let failed = Failed::of(&status);
        assert!(matches!(failed, Failed::Unreached(_)), "{failed:?}");
    }
}
