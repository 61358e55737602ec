//! A caller of HTTP with a client certificate, as curl, Java and a browser are.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kho_proto::error::Code;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::client::TlsStream;

use crate::world::{Card, World};

pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const PLATFORM: &[&str] = &["urn:kho:role:submitter", "urn:kho:role:reader", "urn:kho:units:all"];

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert!(self.header("content-type").ends_with("json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub fn good(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!((self.header("cache-control"), self.header("x-content-type-options")), ("no-store", "nosniff"));
        self.json()
    }

    /// Says so as every refusal does.
    #[track_caller]
    pub fn refused(&self, status: u16, code: Code) -> serde_json::Value {
        assert_eq!(self.status, status, "{code:?}: {}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code.as_str(), "{problem}");
        assert_eq!(problem["type"], format!("urn:kho:error:{}", code.as_str()));
        assert_eq!((&problem["status"], &problem["retry"]), (&status.into(), &code.retry().into()));
        assert!(!problem["detail"].as_str().unwrap().is_empty() && !problem["title"].as_str().unwrap().is_empty());
        problem
    }
}

/// Who asks.
pub struct Caller {
    card: Option<Card>,
    trust: String,
    port: u16,
    /// Over HTTP/2, else over HTTP/1.1.
    pub h2: bool,
}

impl Caller {
    pub fn new(world: &World, uris: &[&str]) -> Caller {
        Self::of(world, Some(world.clients.card(&[], uris)))
    }

    pub fn of(world: &World, card: Option<Card>) -> Caller {
        Self::on(world, "client", card)
    }

    /// On any plane of node 1.
    pub fn on(world: &World, plane: &str, card: Option<Card>) -> Caller {
        let trust = std::fs::read_to_string(world.path(&format!("{plane}-ca.pem"))).unwrap();
        Caller { card, trust, port: world.port(1, plane), h2: false }
    }

    pub async fn tls(&self) -> TlsStream<tokio::net::TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trust.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match &self.card {
            None => config.with_no_client_auth(),
            Some(card) => {
                let chain = vec![CertificateDer::from_pem_slice(card.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(card.key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![if self.h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(if self.h2 { b"h2".as_slice() } else { b"http/1.1" }));
        stream
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let io = TokioIo::new(self.tls().await);
        let target = if self.h2 { format!("https://127.0.0.1{path}") } else { path.to_owned() };
        let mut request = Request::builder().method(method).uri(target);
        if !self.h2 {
            request = request.header("host", "127.0.0.1");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = if self.h2 {
            let (mut send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            send.send_request(request).await.unwrap()
        } else {
            let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            send.send_request(request).await.unwrap()
        };
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.ask(Method::GET, path, &[("accept", accept)], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        self.ask(Method::POST, path, &[("content-type", content_type)], body).await
    }

    pub async fn post_json(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.post(path, JSON.1, body.to_string()).await
    }
}
