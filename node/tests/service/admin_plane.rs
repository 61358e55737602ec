//! Operators and auditors: status, metrics, health; no content.

use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use kho_proto::error::Code;
use kho_proto::pb::admin::v1::admin_client::AdminClient;
use kho_proto::pb::admin::v1::{InitClusterRequest, NodeStatusRequest, TransferLeaderRequest, TreeRootRequest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::sender::Sender;
use crate::thin_line::{code, submit};
use crate::world::{Card, World};

#[tokio::test(flavor = "multi_thread")]
async fn roles() {
    let (world, _nodes, _) = World::formed(1).await;
    let auditor = world.operators.card(&[], &["urn:kho:role:auditor"]);
    let mut auditor = AdminClient::new(world.channel(1, "admin", Some(&auditor)).await);
    let status = auditor.node_status(NodeStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.role.as_str(), status.tree_size, status.keyed), ("leader", 1, true));
    assert!(status.disk_free > 0 && status.rss > 0 && status.peers.len() == 1);
    auditor.tree_root(TreeRootRequest { size: 1 }).await.unwrap();
    let refused = auditor.tree_root(TreeRootRequest { size: 99 }).await.unwrap_err();
    assert_eq!(code(&refused), Code::RequestMalformed);
    let refused = auditor.init_cluster(InitClusterRequest {}).await.unwrap_err();
    assert_eq!(code(&refused), Code::RoleNotPermitted);
    let refused = auditor.transfer_leader(TransferLeaderRequest { to: 0 }).await.unwrap_err();
    assert_eq!(code(&refused), Code::RoleNotPermitted);
    let submitter = world.operators.card(&[], &["urn:kho:role:submitter"]);
    let mut submitter = AdminClient::new(world.channel(1, "admin", Some(&submitter)).await);
    let refused = submitter.node_status(NodeStatusRequest {}).await.unwrap_err();
    assert_eq!(code(&refused), Code::RoleNotPermitted);
    let mut anonymous = AdminClient::new(world.channel(1, "admin", None).await);
    let refused = anonymous.node_status(NodeStatusRequest {}).await.unwrap_err();
    assert_eq!(code(&refused), Code::ClientCertificateMissing);
}

/// Who shows no party's certificate only learns why it gets nothing, in places of its own.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_an_operator_out() {
    const PLACES: usize = 4;
    let world = World::new(1);
    let toml = world.toml(1).replace("[limits]\n", &format!("[limits]\nadmin_connections = {PLACES}\n"));
    let _node = world.try_start(world.parse(&toml)).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..PLACES {
        let mut stranger = AdminClient::new(world.channel(1, "admin", None).await);
        let refused = stranger.node_status(NodeStatusRequest {}).await.unwrap_err();
        assert_eq!(code(&refused), Code::ClientCertificateMissing);
        strangers.push(stranger);
    }
    world.operator(1).await.node_status(NodeStatusRequest {}).await.unwrap();
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_there_is_a_leader() {
    let world = World::new(1);
    let node = world.start(1).await;
    let card = world.clients.card(&[], &["urn:kho:role:reader"]);
    let mut health = HealthClient::new(world.channel(1, "client", Some(&card)).await);
    let request = || HealthCheckRequest { service: "kho.v1.Store".to_owned() };
    let before = health.check(request()).await.unwrap().into_inner().status;
    assert_eq!(before, i32::from(ServingStatus::NotServing));
    world.form(1).await;
    let after = health.check(request()).await.unwrap().into_inner().status;
    assert_eq!(after, i32::from(ServingStatus::Serving));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_over_http_1() {
    let (world, _nodes, _) = World::formed(1).await;
    submit(&world.platform(1).await, &Sender::new(&world.signers, "BYT").report()).await.unwrap();
    let operator = world.operators.card(&[], &["urn:kho:role:operator"]);
    let (status, text) = scrape(&world, Some(&operator)).await;
    assert_eq!(status, 200);
    for name in ["kho_write_acknowledged_total", "kho_write_hop_seconds_bucket", "process_resident_memory_bytes"] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
    let submitter = world.operators.card(&[], &["urn:kho:role:submitter"]);
    assert_eq!(scrape(&world, Some(&submitter)).await.0, 403);
    let (status, text) = scrape(&world, None).await;
    assert_eq!(status, 401);
    assert!(text.contains("client-certificate-missing"), "{text}");
}

pub async fn scrape(world: &World, card: Option<&Card>) -> (u16, String) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path("admin-ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match card {
        None => config.with_no_client_auth(),
        Some(card) => {
            let chain = vec![CertificateDer::from_pem_slice(card.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(card.key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", world.port(1, "admin"))).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::get("/metrics").header("host", "127.0.0.1").body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = send.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
