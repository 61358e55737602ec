use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as Started;

use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kho_proto::error::Code;

use super::*;

const TWO: Tile = Tile { level: 0, index: 0, width: 2 };
/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(30);

fn log(dir: &Path, patience: Duration) -> PublicLog {
    PublicLog { source: Source::Directory(dir.to_owned()), patience }
}

fn put(dir: &Path, resource: Resource, bytes: &[u8]) {
    let path = dir.join(resource.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // whole, or not there
    fs::write(dir.join("new"), bytes).unwrap();
    fs::rename(dir.join("new"), path).unwrap();
}

/// A node behind the same address that has not applied as much yet.
#[tokio::test]
async fn what_is_not_there_yet_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let error = log(dir.path(), Duration::ZERO).tiles(2, [TWO].into()).await.unwrap_err();
    assert_eq!(error.code(), Code::LogTileAbsent);
    let patient = log(dir.path(), LONG);
    let wait = patient.tiles(2, [TWO].into());
    let later = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        put(dir.path(), Resource::Tile(TWO), &[7; 64]);
    };
    let (found, ()) = tokio::join!(wait, later);
    found.unwrap();
}

#[tokio::test]
async fn a_full_tile_or_bundle_serves_at_once_for_a_partial_one_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), Resource::Tile(TWO.full()), &[7; 8192]);
    let leaves: Vec<_> = (0..=255u8).map(|n| [n; 3]).collect();
    let bundle = Bundle { index: 0, width: 256 };
    put(dir.path(), Resource::Entries(bundle), &Bundle::encode(&leaves));
    let (log, start) = (log(dir.path(), LONG), Started::now());
    log.tiles(2, [TWO].into()).await.unwrap();
    let found = log.leaves(Bundle { width: 2, ..bundle }).await.unwrap();
    assert_eq!(found, [[0; 3].as_slice(), &[1; 3]]);
    assert!(start.elapsed() < LONG / 2, "without patience");
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, start) = (log(dir.path(), LONG), Started::now());
    put(dir.path(), Resource::Tile(TWO), &[7; 63]);
    assert_eq!(log.tiles(2, [TWO].into()).await.unwrap_err().code(), Code::LogTilesInvalid);
    let bundle = Bundle { index: 0, width: 2 };
    put(dir.path(), Resource::Entries(bundle), &Bundle::encode([b"one"]));
    assert_eq!(log.leaves(bundle).await.unwrap_err().code(), Code::LogTilesInvalid);
    put(dir.path(), Resource::Checkpoint, &[b'x'; NOTE_LENGTH_MAX + 1]);
    assert_eq!(log.checkpoint().await.unwrap_err().code(), Code::LogUnusable);
    assert!(start.elapsed() < LONG / 2, "without patience");
}

/// A line that is dead says nothing: it must not be asked for ever.
#[tokio::test]
async fn a_connection_that_died_is_replaced() {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = names.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let secret = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = connections.clone();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        loop {
            let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let number = accepted.fetch_add(1, Ordering::SeqCst);
            let answered = Arc::new(tokio::sync::Notify::new());
            let answers = answered.clone();
            let service = hyper::service::service_fn(move |_| {
                answers.notify_one();
                std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::from(
                    "7",
                ))))
            });
            tokio::spawn(async move {
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let mut connection = http.serve_connection(TokioIo::new(tls), service);
                if number > 0 {
                    return connection.await;
                }
                // a moment for the answer, and from then on nothing moves: as if the machine had lost its power
                let dies = async {
                    answered.notified().await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                };
                tokio::select! {
                    done = &mut connection => done,
                    () = dies => std::future::pending().await,
                }
            });
        }
    });
    let https = https::Https::new(&url, certificate.pem().as_bytes()).unwrap();
    for connections_then in [1, 2, 2] {
        assert_eq!(https.get("checkpoint", 10).await.unwrap(), "7");
        assert_eq!(connections.load(Ordering::SeqCst), connections_then);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
