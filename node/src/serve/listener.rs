//! A listener: accept, TLS, HTTP/2, with a bound on everything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use kho_transport::Coalesced;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::crowd::{Handshake, Handshakes};
use super::gate::{self, Bounds};
use super::heard::Heard;
use super::log_gate::LogGate;
use super::metered::Budget;
use super::metric_definitions::{self as measured, rejected};
use crate::api::{ANSWERS_BYTES_MAX, Holders};
use crate::identity::Identity;
use crate::publish::PublicLog;
use crate::seams::{Accept, BoxIo};
use crate::shares::Shares;
use crate::tls::{Plane, Secure, SecureError, Secured};

/// A client that has not finished its handshake by then is not a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of other nodes, at most: a handful of kinds of traffic from each, with room for reconnects.
pub(super) const PEER_CONNECTIONS_MAX: usize = 256;
/// Connections of clients and operators that show no party's certificate, at most: they have places of their own, since each
/// only learns why it gets nothing, and must not keep out who may come in.
const STRANGERS_MAX: usize = 64;
/// Connections of one certificate that are always admitted while there are places, however few these are.
const SHARE_MIN: usize = 16;
/// A connection without a certificate may ask once and learn why it gets nothing.
const UNAUTHENTICATED_LIFETIME: Duration = Duration::from_secs(5);
/// A reader of the public log has the time to read some thousand tiles, and then comes again: so nobody holds a place for
/// ever, and what it has begun is cut after the second of these.
const LOG_LIFETIME: Duration = Duration::from_secs(60);
const LOG_GRACE: Duration = Duration::from_secs(10);
/// Bytes of requests that are being received on a plane, at most: two dozen of the largest, or many small ones.
const REQUESTS_BYTES_MAX: usize = 96 << 20;
/// Requests of a plane that are under way at once, at most: some KiB each.
const REQUESTS_MAX: usize = 16 << 10;
/// Requests of one connection at once, at most.
const STREAMS_MAX: u32 = 1024;
/// Of the public log: as many as make the way worth its while.
const LOG_STREAMS_MAX: u32 = 32;
/// Bytes of a request's headers, at most.
const HEADERS_LENGTH_MAX: u32 = 16 << 10;
/// Flow-control windows in bytes. A connection's bounds what its requests can make a node hold unread.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Of the public log: requests have no body. The least that HTTP/2 begins with.
const LOG_WINDOW: u32 = 65_535;
/// Of peers: several full batches.
const PEER_STREAM_WINDOW: u32 = 4 << 20;
const PEER_CONNECTION_WINDOW: u32 = 16 << 20;
/// A silent connection is tried after so long, and given up after so long again.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of HTTP/1.1 must have come by then.
const HTTP1_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// `accept` failed, e.g. for want of file descriptors: let some connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One plane's listener.
pub(super) struct Listener {
    pub plane: Plane,
    pub accept: Box<dyn Accept>,
    pub secure: Arc<dyn Secure>,
    pub answers: Answers,
    pub connections_max: usize,
}

/// Who answers.
#[derive(Clone)]
pub(super) enum Answers {
    /// Services that ask who is there: gRPC, and what answers other requests, where that is something else.
    Services(Routes, Option<Router>),
    /// The public log.
    Log(Arc<PublicLog>),
}

/// How connections end.
#[derive(Clone, Default)]
pub(super) struct Ends {
    /// They finish what they have begun.
    pub stop: CancellationToken,
    /// They are cut.
    pub cut: CancellationToken,
}

impl Listener {
    /// Serves until it is to stop. `connections` tracks those that were accepted.
    pub async fn run(mut self, ends: Ends, connections: TaskTracker) {
        let plane = self.plane;
        let places = Arc::new(Semaphore::new(self.connections_max));
        let http = Arc::new(http(plane));
        let bounds = Bounds {
            budget: Budget::new(REQUESTS_BYTES_MAX),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_BYTES_MAX)),
            holders: Holders::of_plane(REQUESTS_MAX, REQUESTS_BYTES_MAX, ANSWERS_BYTES_MAX),
        };
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        let handshakes = Handshakes::default();
        let shares = Shares::of(self.connections_max, SHARE_MIN);
        loop {
            let accepted = tokio::select! {
                accepted = self.accept.accept() => accepted,
                () = ends.stop.cancelled() => return,
            };
            let (io, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(plane = plane.as_str(), %error, "accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let connection = Connection {
                plane,
                secure: self.secure.clone(),
                http: http.clone(),
                answers: self.answers.clone(),
                bounds: bounds.clone(),
                places: places.clone(),
                strangers: strangers.clone(),
                shares: shares.clone(),
            };
            let (ends, handshake) = (ends.clone(), handshakes.begin());
            connections.spawn(async move {
                match connection.serve(io, handshake, ends).await {
                    Err(error @ ConnectionError::Revoked) => {
                        tracing::warn!(plane = plane.as_str(), from, %error, "connection closed");
                    }
                    Err(error) => tracing::debug!(plane = plane.as_str(), from, %error, "connection"),
                    Ok(()) => {}
                }
            });
        }
    }
}

fn http(plane: Plane) -> Builder<TokioExecutor> {
    let (stream, connection, streams) = match plane {
        Plane::Client | Plane::Admin => (STREAM_WINDOW, CONNECTION_WINDOW, STREAMS_MAX),
        Plane::Peer => (PEER_STREAM_WINDOW, PEER_CONNECTION_WINDOW, STREAMS_MAX),
        Plane::Log => (LOG_WINDOW, LOG_WINDOW, LOG_STREAMS_MAX),
    };
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_HEADER_TIMEOUT)
        .max_buf_size(HEADERS_LENGTH_MAX as usize);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADERS_LENGTH_MAX)
        .initial_stream_window_size(stream)
        .initial_connection_window_size(connection)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    match plane {
        Plane::Peer => http.http2_only(),
        Plane::Client | Plane::Admin | Plane::Log => http,
    }
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("no TLS handshake in {HANDSHAKE_TIMEOUT:?}")]
    HandshakeTimeout,
    #[error("too many handshakes, and this was the oldest")]
    CrowdedOut,
    #[error("too many connections{0}")]
    Full(&'static str),
    #[error("an answer was not taken")]
    NotRead,
    #[error("nothing was asked")]
    Silent,
    #[error("its certificate was revoked")]
    Revoked,
    #[error(transparent)]
    Secure(#[from] SecureError),
    #[error("http: {0}")]
    Http(Box<dyn std::error::Error + Send + Sync>),
    #[error("cut after {LOG_LIFETIME:?} and {LOG_GRACE:?}")]
    Cut,
}

impl ConnectionError {
    /// As it is counted, if the connection came to nothing.
    fn rejected(&self) -> Option<&'static str> {
        Some(match self {
            ConnectionError::HandshakeTimeout => "timeout",
            ConnectionError::CrowdedOut => "crowded-out",
            ConnectionError::Full(_) => "full",
            ConnectionError::NotRead => "not-read",
            ConnectionError::Silent => "silent",
            ConnectionError::Revoked => "revoked",
            ConnectionError::Secure(error) if error.is_revoked() => "revoked",
            ConnectionError::Secure(SecureError::Handshake(_)) => "handshake",
            ConnectionError::Secure(SecureError::Certificate(_)) => "certificate",
            ConnectionError::Http(_) | ConnectionError::Cut => return None,
        })
    }
}

struct Connection {
    plane: Plane,
    secure: Arc<dyn Secure>,
    http: Arc<Builder<TokioExecutor>>,
    answers: Answers,
    bounds: Bounds,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    shares: Shares,
}

impl Connection {
    async fn serve(self, io: BoxIo, handshake: Handshake, ends: Ends) -> Result<(), ConnectionError> {
        let plane = self.plane;
        let served = self.serve_counted(io, handshake, ends).await;
        if let Some(reason) = served.as_ref().err().and_then(ConnectionError::rejected) {
            rejected(plane, reason);
        }
        served
    }

    async fn serve_counted(self, io: BoxIo, handshake: Handshake, ends: Ends) -> Result<(), ConnectionError> {
        let secured = tokio::select! {
            secured = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.secure.secure(Box::new(Coalesced::new(io)))) => secured,
            () = handshake.crowded_out() => return Err(ConnectionError::CrowdedOut),
        };
        let Secured { io, identity, standing } = secured.map_err(|_elapsed| ConnectionError::HandshakeTimeout)??;
        drop(handshake);
        tokio::select! {
            served = self.serve_known(io, identity, ends) => served,
            // what it asked may still be done; who can't be trusted is not told
            () = standing.lost() => Err(ConnectionError::Revoked),
        }
    }

    async fn serve_known(self, io: BoxIo, identity: Identity, ends: Ends) -> Result<(), ConnectionError> {
        // closing at once is the cheapest answer
        let stranger = matches!(self.plane, Plane::Client | Plane::Admin) && identity.certificate().is_none();
        let places = if stranger { self.strangers } else { self.places };
        let _place = places.try_acquire_owned().map_err(|_full| ConnectionError::Full(""))?;
        let share = identity.certificate().map(|certificate| self.shares.take(certificate));
        let _share = share.map(|share| share.ok_or(ConnectionError::Full(" of one certificate"))).transpose()?;
        let _measured = measured::Connection::open(self.plane);
        let heard = Heard::default();
        let io = TokioIo::new(heard.of(io));
        let silent = heard.nothing();
        tokio::pin!(silent);
        match self.answers {
            Answers::Services(routes, web) => {
                let anonymous = matches!(identity, Identity::Anonymous).then_some(UNAUTHENTICATED_LIFETIME);
                let service = gate::service(self.plane, identity, routes, web, self.bounds);
                let stands_still = service.answers.clone().stand_still();
                let connection = self.http.serve_connection(io, service);
                tokio::pin!(connection, stands_still);
                tokio::select! {
                    done = connection.as_mut() => return done.map_err(ConnectionError::Http),
                    () = stands_still.as_mut() => return Err(ConnectionError::NotRead),
                    () = silent => return Err(ConnectionError::Silent),
                    () = end(anonymous, ends.stop) => connection.as_mut().graceful_shutdown(),
                }
                tokio::select! {
                    done = connection => done.map_err(ConnectionError::Http),
                    () = stands_still => Err(ConnectionError::NotRead),
                    () = ends.cut.cancelled() => Ok(()),
                }
            }
            Answers::Log(log) => {
                let service = LogGate::new(log);
                let stands_still = service.answers.clone().stand_still();
                let connection = self.http.serve_connection(io, service);
                tokio::pin!(connection, stands_still);
                tokio::select! {
                    done = connection.as_mut() => return done.map_err(ConnectionError::Http),
                    () = stands_still.as_mut() => return Err(ConnectionError::NotRead),
                    () = silent => return Err(ConnectionError::Silent),
                    () = end(Some(LOG_LIFETIME), ends.stop) => connection.as_mut().graceful_shutdown(),
                }
                tokio::select! {
                    done = tokio::time::timeout(LOG_GRACE, connection) => match done {
                        Ok(done) => done.map_err(ConnectionError::Http),
                        Err(_elapsed) => Err(ConnectionError::Cut),
                    },
                    () = ends.cut.cancelled() => Ok(()),
                }
            }
        }
    }
}

/// When a connection is told to end.
async fn end(lifetime: Option<Duration>, stop: CancellationToken) {
    match lifetime {
        // Either way it ends now.
        Some(lifetime) => drop(tokio::time::timeout(lifetime, stop.cancelled()).await),
        None => stop.cancelled().await,
    }
}
