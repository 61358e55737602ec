//! TLS files that change while requests are under way.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod fake;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fake::{Act, Fake, config, signed, timing};
use kho_client::{Client, Config, Tls};
use kho_proto::error::Code;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate in both forms, and its key.
struct Issued {
    pem: String,
    der: Vec<u8>,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Issued { pem: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_pem() }
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn server(&self) -> ServerTlsConfig {
        let own = self.issue("127.0.0.1");
        ServerTlsConfig::new()
            .identity(Identity::from_pem(own.pem, own.key))
            .client_ca_root(Certificate::from_pem(self.pem()))
    }
}

struct Files(PathBuf);

impl Files {
    fn put(&self, name: &str, text: &str) {
        fs::write(self.0.join("new"), text).unwrap();
        fs::rename(self.0.join("new"), self.path(name)).unwrap();
    }

    fn put_pair(&self, issued: &Issued) {
        self.put("key", &issued.key);
        self.put("certificate", &issued.pem);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn tls(&self) -> Tls {
        Tls::reloading(&self.path("certificate"), &self.path("key"), &self.path("trust")).unwrap()
    }
}

fn files(dir: &Path, authority: &Authority, issued: &Issued) -> Files {
    let files = Files(dir.to_owned());
    files.put_pair(issued);
    files.put("trust", &authority.pem());
    files
}

/// Unoptimised handshakes on a busy machine take their time.
fn client(node: &Fake, tls: Tls) -> Client {
    let timing = kho_client::Timing { connect: Duration::from_secs(5), attempt: Duration::from_secs(2), ..timing() };
    let timing = kho_client::Timing { deadline: Duration::from_secs(20), ..timing };
    Client::new(Config { tls: Some(tls), timing, ..config(&[node]) }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_without_a_dropped_request() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let files = files(dir.path(), &authority, &old);
    let node = Fake::secure(&[Act::Accept], authority.server()).await;
    let client = client(&node, files.tls().every(Duration::from_millis(50)));
    let id = signed().await.record_id();
    client.get(id).await.unwrap();
    assert_eq!(*node.peer.lock().unwrap(), old.der);
    assert_eq!(client.tls_status().unwrap().reloads, 0);

    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = |client: Client, stop: std::sync::Arc<std::sync::atomic::AtomicBool>| async move {
        let mut reads = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            client.get(id).await.unwrap();
            reads += 1;
        }
        reads
    };
    let readers: Vec<_> = (0..8).map(|_| tokio::spawn(reader(client.clone(), stop.clone()))).collect();
    files.put_pair(&new);
    let end = Instant::now() + Duration::from_secs(20);
    while *node.peer.lock().unwrap() != new.der {
        assert!(Instant::now() < end, "the new certificate was not taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.expect("every read was answered");
    }
    let requests = node.requests();
    assert_eq!(reads + 1, requests, "each was answered at once: none was cut and asked again");
    let status = client.tls_status().unwrap();
    assert!(status.reloads >= 1 && status.failed.is_none(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_on_the_old_connection() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = files(dir.path(), &authority, &authority.issue("old"));
    let node = Fake::secure(&[Act::RefuseInTime(Code::SignatureInvalid)], authority.server()).await;
    let client = client(&node, files.tls());
    let (record, submitting) = (signed().await, client.clone());
    let under_way = tokio::spawn(async move { submitting.submit(&record).await.unwrap_err() });
    while node.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    files.put_pair(&authority.issue("new"));
    assert!(client.reload_tls().unwrap());
    assert!(!client.reload_tls().unwrap(), "nothing is new");
    assert_eq!(under_way.await.unwrap().code(), Code::SignatureInvalid);
    assert_eq!(node.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_told_and_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let files = files(dir.path(), &authority, &old);
    let node = Fake::secure(&[Act::Accept], authority.server()).await;
    let client = client(&node, files.tls());
    let id = signed().await.record_id();
    for (name, text) in [("certificate", "no PEM"), ("certificate", &new.pem), ("trust", "-----BEGIN"), ("key", "")] {
        let before = fs::read_to_string(files.path(name)).unwrap();
        files.put(name, text);
        assert_eq!(client.reload_tls().unwrap_err().code(), Code::TlsFileInvalid, "{name}: {text}");
        assert!(client.tls_status().unwrap().failed.is_some());
        client.get(id).await.unwrap();
        assert_eq!(*node.peer.lock().unwrap(), old.der);
        files.put(name, &before);
        client.reload_tls().unwrap();
        assert_eq!(client.tls_status().unwrap().failed, None, "mended");
    }
    fs::remove_file(files.path("key")).unwrap();
    client.reload_tls().unwrap_err();
    client.get(id).await.unwrap();
    files.put_pair(&new);
    assert!(client.reload_tls().unwrap());
    client.get(id).await.unwrap();
    assert_eq!(*node.peer.lock().unwrap(), new.der);
    // one that was read once has no files
    assert_eq!(fake::client(&[&node]).tls_status(), None);
}

/// Said where it is read: in a handshake it would only be a transport's error.
#[test]
fn a_key_of_another_certificate_is_named_with_its_file() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = Files(dir.path().to_owned());
    files.put("trust", &authority.pem());
    files.put_pair(&authority.issue("platform"));
    files.tls();
    files.put("key", &authority.issue("platform").key);
    let error = Tls::from_files(&files.path("certificate"), &files.path("key"), &files.path("trust")).err().unwrap();
    assert_eq!(error.code(), Code::TlsFileInvalid);
    let (key, certificate) = (files.path("key"), files.path("certificate"));
    assert_eq!(
        error.to_string(),
        format!("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())
    );
}
