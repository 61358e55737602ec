//! A listener: accept, TLS, HTTP/2, with a bound on everything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::connection::{Connection, ConnectionError};
use super::crowd::Handshakes;
use super::gate::Bounds;
use super::metered::Budget;
use crate::api::{ANSWERS_BYTES_MAX, Holders};
use crate::publish::PublicLog;
use crate::seams::Accept;
use crate::shares::Shares;
use crate::tls::{Plane, Secure};

/// Connections of other nodes, at most: a handful of kinds of traffic from each, with room for reconnects.
pub(super) const PEER_CONNECTIONS_MAX: usize = 256;
/// Connections of clients and operators that show no party's certificate, at most: they have places of their own, since each
/// only learns why it gets nothing, and must not keep out who may come in.
const STRANGERS_MAX: usize = 64;
/// Connections of one certificate, or of one address, that are always admitted while there are places, however few these are.
const SHARE_MIN: usize = 16;
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
        let connection = Connection {
            plane,
            secure: self.secure,
            http: Arc::new(http(plane)),
            answers: self.answers,
            bounds: Bounds {
                budget: Budget::new(REQUESTS_BYTES_MAX),
                requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
                answers: Arc::new(Semaphore::new(ANSWERS_BYTES_MAX)),
                holders: Holders::of_plane(REQUESTS_MAX, REQUESTS_BYTES_MAX, ANSWERS_BYTES_MAX),
            },
            places: Arc::new(Semaphore::new(self.connections_max)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            shares: Shares::of(self.connections_max, SHARE_MIN),
        };
        let handshakes = Handshakes::default();
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
            let connection = connection.clone();
            let (ends, handshake) = (ends.clone(), handshakes.begin());
            connections.spawn(async move {
                match connection.serve(io, &from, handshake, ends).await {
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
