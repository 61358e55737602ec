//! HTTPS towards a log: HTTP/2 where the server speaks it, else HTTP/1.1.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::uri::{Scheme, Uri};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kho_proto::error::Code;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Error, REQUESTS_MAX};

/// TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the request to the last byte of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection on which an answer is awaited is tried after so long, and given up after so long again: the next request
/// must not go down a line that is dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Characters of a refusal that are shown.
const TEXT_MAX: usize = 200;

type Sendable = Empty<Bytes>;

/// Connections to one log.
pub(super) struct Https {
    host: String,
    port: u16,
    /// As it stands in `Host`.
    authority: String,
    /// Without a slash at its end.
    prefix: String,
    tls: TlsConnector,
    name: ServerName<'static>,
    idle: Mutex<Vec<Sender>>,
    connecting: tokio::sync::Mutex<()>,
}

enum Sender {
    Http1(http1::SendRequest<Sendable>),
    Http2(http2::SendRequest<Sendable>),
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    async fn send(&mut self, request: Request<Sendable>) -> hyper::Result<Response<Incoming>> {
        match self {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

impl Https {
    pub fn new(url: &str, trust: &[u8]) -> Result<Self, Error> {
        let bad = || Error::Address { found: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        if uri.scheme() != Some(&Scheme::HTTPS) || uri.query().is_some() {
            return Err(bad());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
        Ok(Self {
            port: authority.port_u16().unwrap_or(443),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            tls: TlsConnector::from(Arc::new(config(trust)?)),
            host,
            name,
            idle: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// The bytes at a path relative to the log's prefix.
    pub async fn get(&self, path: &str, length_max: usize) -> Result<Bytes, Error> {
        let place = format!("https://{}{}/{path}", self.authority, self.prefix);
        let unreachable = |why: String| Error::Unreachable { place: place.clone(), why };
        // what was idle may have ended meanwhile: that tells nothing of the server
        let (sender, fresh) = match self.idle() {
            Some(sender) => (sender, false),
            None => (self.connect().await.map_err(&unreachable)?, true),
        };
        match self.ask(sender, path, length_max, &place).await {
            Err(Error::Unreachable { .. }) if !fresh => {
                let sender = self.connect().await.map_err(unreachable)?;
                self.ask(sender, path, length_max, &place).await
            }
            done => done,
        }
    }

    async fn ask(&self, mut sender: Sender, path: &str, length_max: usize, place: &str) -> Result<Bytes, Error> {
        let unreachable = |why: String| Error::Unreachable { place: place.to_owned(), why };
        let request = self.request(&sender, path).map_err(|error| unreachable(error.to_string()))?;
        let response = within(ANSWER_TIMEOUT, async { sender.send(request).await.map_err(|error| error.to_string()) });
        let (head, body) = response.await.map_err(unreachable)?.into_parts();
        let body = within(ANSWER_TIMEOUT, async { Ok(Limited::new(body, length_max).collect().await) }).await;
        let body = match body.map_err(unreachable)? {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(Error::TooLong { place: place.to_owned(), length_max });
            }
            Err(error) => return Err(unreachable(error.to_string())),
        };
        self.keep(sender);
        match head.status.as_u16() {
            200 => Ok(body),
            404 => Err(Error::Absent { place: place.to_owned() }),
            status => {
                let text = String::from_utf8_lossy(&body);
                let line: String = text.lines().next().unwrap_or_default().chars().take(TEXT_MAX).collect();
                let code = line.split_once(':').and_then(|(code, _)| Code::parse(code));
                Err(Error::Answer { place: place.to_owned(), status, code, text: line })
            }
        }
    }

    fn request(&self, sender: &Sender, path: &str) -> http::Result<Request<Sendable>> {
        let target = format!("{}/{path}", self.prefix);
        let agent = concat!("kho/", env!("CARGO_PKG_VERSION"));
        let request = Request::get(match sender {
            Sender::Http1(_) => target,
            Sender::Http2(_) => format!("https://{}{target}", self.authority),
        });
        let request = match sender {
            Sender::Http1(_) => request.header(HOST, &self.authority),
            Sender::Http2(_) => request.version(Version::HTTP_2),
        };
        request.header(ACCEPT, "*/*").header(USER_AGENT, agent).body(Sendable::new())
    }

    fn idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock();
        idle.retain(|sender| !sender.is_closed());
        match idle.last() {
            Some(Sender::Http2(sender)) => Some(Sender::Http2(sender.clone())),
            Some(Sender::Http1(_)) => idle.pop(),
            None => None,
        }
    }

    /// For the next request. One connection of HTTP/2 serves all, HTTP/1.1 needs one for each request at once.
    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock();
        let shared = matches!(sender, Sender::Http2(_)) && !idle.is_empty();
        if !sender.is_closed() && !shared && idle.len() < REQUESTS_MAX {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        // one after the other: the second request may find the first one's connection
        let _turn = self.connecting.lock().await;
        if let Some(sender) = self.idle() {
            return Ok(sender);
        }
        let sender = within(CONNECT_TIMEOUT, self.handshake()).await?;
        if let Sender::Http2(shared) = &sender {
            self.keep(Sender::Http2(shared.clone()));
        }
        Ok(sender)
    }

    async fn handshake(&self) -> Result<Sender, String> {
        let said = |error: &dyn std::error::Error| error.to_string();
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| said(&error))?;
        tcp.set_nodelay(true).map_err(|error| said(&error))?;
        let tls = self.tls.connect(self.name.clone(), tcp).await.map_err(|error| said(&error))?;
        let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(tls);
        // the connections end with their senders; why they end, the next request tells
        if h2 {
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
            let (sender, connection) = http2.handshake(io).await.map_err(|error| said(&error))?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(|error| said(&error))?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_elapsed) => Err(format!("nothing within {} s", limit.as_secs())),
    }
}

fn config(trust: &[u8]) -> Result<ClientConfig, Error> {
    let bad = |found: String| Error::Trust { found };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(trust).collect::<Result<Vec<_>, _>>();
    // a system's list may hold some that no one can use any more
    let (used, _) = roots.add_parsable_certificates(certificates.map_err(|error| bad(error.to_string()))?);
    if used == 0 {
        return Err(bad("none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| bad(error.to_string()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
