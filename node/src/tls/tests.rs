use std::path::{Path, PathBuf};
use std::sync::Arc;

use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::{ClientTls, PeerDial, Plane, Secure, ServerTls};
use crate::config::TlsFiles;
use crate::identity::Identity;
use crate::seams::{Accept, BoxIo, Dial, Net, Seams};

pub(super) const CLUSTER: ClusterId = ClusterId([1; 16]);

pub(super) struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its certificate's number is the node's.
    pub fn node(&self, id: u64) -> TlsFiles {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let uri = format!("urn:kho:node:{CLUSTER}:{id}");
        params.serial_number = Some(id.into());
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        self.issue(&format!("node{id}"), params)
    }

    fn issue(&self, name: &str, params: CertificateParams) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |what: &str| self.dir.path().join(format!("{name}.{what}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        TlsFiles { certificate: path("pem"), key: path("key"), trust: self.dir.path().join("ca.pem"), crl: None }
    }
}

fn refused(files: &TlsFiles) -> String {
    match ServerTls::load(Plane::Peer, files) {
        Ok(_) => panic!("the files were taken"),
        Err(error) => {
            assert_eq!(error.code(), Code::TlsFileInvalid);
            error.to_string()
        }
    }
}

#[test]
fn a_bad_file_is_named() {
    let authority = Authority::new();
    let good = authority.node(1);
    let missing = TlsFiles { key: PathBuf::from("/nonexistent.key"), ..good.clone() };
    assert!(refused(&missing).contains("/nonexistent.key"));
    let no_key = TlsFiles { key: good.certificate.clone(), ..good.clone() };
    assert!(refused(&no_key).contains("expected a private key"));
    let empty = authority.dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    assert!(
        refused(&TlsFiles { trust: empty.clone(), ..good.clone() })
            .contains("empty.pem: expected at least one certificate")
    );
    let other_key = TlsFiles { key: authority.node(2).key, ..good };
    assert!(refused(&other_key).contains("node1.pem"));
}

/// Echoes one byte over each connection, and tells who came.
async fn listen(tls: Arc<ServerTls>) -> String {
    let mut accept: Box<dyn Accept> = Seams::system().net.bind("127.0.0.1:0").await.unwrap();
    let address = accept.local_address();
    tokio::spawn(async move {
        loop {
            let (io, _) = accept.accept().await.unwrap();
            let config: Arc<ServerConfig> = tls.current();
            tokio::spawn(async move {
                let Ok(mut io) = TlsAcceptor::from(config).accept(io).await else { return };
                let chain = io.get_ref().1.peer_certificates();
                let identity =
                    Identity::of_certificate(chain.and_then(|chain| chain.first()).map(AsRef::as_ref)).unwrap();
                let node = identity.node().map_or(0, |node| node.node_id.0);
                io.write_u8(u8::try_from(node).unwrap()).await.unwrap();
                io.shutdown().await.unwrap();
            });
        }
    });
    address
}

pub(super) fn dial(files: &TlsFiles) -> PeerDial {
    let tls = Arc::new(ClientTls::load(files).unwrap());
    let net: Arc<dyn Net> = Seams::system().net;
    PeerDial::new(tls, net, CLUSTER)
}

async fn byte(mut io: BoxIo) -> std::io::Result<u8> {
    io.read_u8().await
}

#[tokio::test]
async fn peers_prove_themselves_to_each_other() {
    let authority = Authority::new();
    let server = Arc::new(ServerTls::load(Plane::Peer, &authority.node(1)).unwrap());
    let address = listen(server).await;
    let io = dial(&authority.node(2)).dial(NodeId(1), &address).await.unwrap();
    assert_eq!(byte(io).await.unwrap(), 2);
}

#[tokio::test]
async fn a_peer_that_is_another_member_is_refused() {
    let authority = Authority::new();
    let server = Arc::new(ServerTls::load(Plane::Peer, &authority.node(1)).unwrap());
    let address = listen(server).await;
    let error = dial(&authority.node(2)).dial(NodeId(3), &address).await.err().unwrap();
    assert!(error.to_string().contains("NodeId(3)"), "{error}");
}

#[tokio::test]
async fn peers_of_another_authority_are_refused_on_both_sides() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Arc::new(ServerTls::load(Plane::Peer, &authority.node(1)).unwrap());
    let address = listen(server).await;
    assert!(dial(&other.node(2)).dial(NodeId(1), &address).await.is_err(), "the dialler does not trust");
    let mixed = TlsFiles { trust: authority.dir.path().join("ca.pem"), ..other.node(2) };
    // In TLS 1.3 the dialler is done first: the refusal comes with the first read.
    match dial(&mixed).dial(NodeId(1), &address).await {
        Ok(io) => assert!(byte(io).await.is_err(), "the listener does not trust"),
        Err(_) => panic!("the dialler trusts the listener"),
    }
}

/// It has sent more before it hears of it: a socket that is closed at once answers with a reset, which throws the alert away.
#[tokio::test]
async fn who_is_refused_reads_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = ServerTls::load(Plane::Peer, &authority.node(1)).unwrap();
    let mut accept: Box<dyn Accept> = Seams::system().net.bind("127.0.0.1:0").await.unwrap();
    let address = accept.local_address();
    let refused = tokio::spawn(async move {
        let (io, _) = accept.accept().await.unwrap();
        server.secure(io).await.err().unwrap().to_string()
    });
    let mixed = TlsFiles { trust: authority.dir.path().join("ca.pem"), ..other.node(2) };
    let mut io = dial(&mixed).dial(NodeId(1), &address).await.unwrap();
    for _ in 0..4 {
        io.write_all(&[0; 16 << 10]).await.unwrap();
        io.flush().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    let error = io.read_u8().await.unwrap_err().to_string();
    assert!(error.contains("received fatal alert"), "{error}");
    drop(io);
    assert!(refused.await.unwrap().contains("TLS handshake"));
}

#[tokio::test]
async fn certificates_are_replaced_while_running() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = authority.node(1);
    let server = Arc::new(ServerTls::load(Plane::Peer, &files).unwrap());
    let address = listen(server.clone()).await;
    // it trusts the other authority, the listener trusts the first
    let caller = TlsFiles { trust: other.dir.path().join("ca.pem"), ..authority.node(9) };
    assert!(dial(&caller).dial(NodeId(1), &address).await.is_err());
    let next = other.node(1);
    copy(&next.certificate, &files.certificate);
    copy(&next.key, &files.key);
    server.reload().unwrap();
    dial(&caller).dial(NodeId(1), &address).await.unwrap();
    std::fs::write(&files.key, "no key").unwrap();
    server.reload().unwrap_err();
    dial(&caller).dial(NodeId(1), &address).await.expect("the old stays");
}

/// Every peer would refuse it, and say so only in its own log.
#[tokio::test]
async fn another_nodes_certificate_is_not_taken_while_running() {
    let authority = Authority::new();
    let files = authority.node(1);
    let server = Arc::new(ServerTls::load(Plane::Peer, &files).unwrap());
    let dialler = ClientTls::load(&files).unwrap();
    let address = listen(server.clone()).await;
    let another = authority.node(4);
    copy(&another.certificate, &files.certificate);
    copy(&another.key, &files.key);
    for error in [server.reload().unwrap_err(), dialler.reload().unwrap_err()] {
        assert!(error.to_string().contains("node 1 in its SAN, found"), "{error}");
    }
    dial(&authority.node(9)).dial(NodeId(1), &address).await.expect("the old stays");
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}
