//! One connection of a listener: its handshake, its place among the others, and its end.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service as HyperService;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use kho_transport::Coalesced;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::crowd::{Handshake, network};
use super::gate::{self, Bounds};
use super::heard::Heard;
use super::listener::{Answers, Ends};
use super::log_gate::LogGate;
use super::metric_definitions::{self as measured, rejected};
use crate::identity::Identity;
use crate::seams::BoxIo;
use crate::shares::Shares;
use crate::tls::{Plane, Secure, SecureError, Secured};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client that has not finished its handshake by then is not a client.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection without a certificate may ask once and learn why it gets nothing.
const UNAUTHENTICATED_LIFETIME: Duration = Duration::from_secs(5);
/// A reader of the public log has the time to read some thousand tiles, and then comes again: so nobody holds a place for
/// ever, and what it has begun is cut after the second of these.
const LOG_LIFETIME: Duration = Duration::from_secs(60);
const LOG_GRACE: Duration = Duration::from_secs(10);

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
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
    Http(BoxError),
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

/// One that was accepted: who answers it, and what it shares with the others of its plane.
#[derive(Clone)]
pub(super) struct Connection {
    pub plane: Plane,
    pub secure: Arc<dyn Secure>,
    pub http: Arc<Builder<TokioExecutor>>,
    pub answers: Answers,
    pub bounds: Bounds,
    pub places: Arc<Semaphore>,
    /// Of those of clients and operators that show no party's certificate.
    pub strangers: Arc<Semaphore>,
    /// Of a certificate; of the public log, which asks for none, of an address.
    pub shares: Shares,
}

impl Connection {
    /// Until it ends. `from` is the address of the other side.
    pub async fn serve(self, io: BoxIo, from: &str, handshake: Handshake, ends: Ends) -> Result<(), ConnectionError> {
        let plane = self.plane;
        let served = self.serve_counted(io, from, handshake, ends).await;
        if let Some(reason) = served.as_ref().err().and_then(ConnectionError::rejected) {
            rejected(plane, reason);
        }
        served
    }

    async fn serve_counted(
        self,
        io: BoxIo,
        from: &str,
        handshake: Handshake,
        ends: Ends,
    ) -> Result<(), ConnectionError> {
        let secured = tokio::select! {
            secured = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.secure.secure(Box::new(Coalesced::new(io)))) => secured,
            () = handshake.crowded_out() => return Err(ConnectionError::CrowdedOut),
        };
        let Secured { io, identity, standing } = secured.map_err(|_elapsed| ConnectionError::HandshakeTimeout)??;
        drop(handshake);
        tokio::select! {
            served = self.serve_known(io, from, identity, ends) => served,
            // what it asked may still be done; who can't be trusted is not told
            () = standing.lost() => Err(ConnectionError::Revoked),
        }
    }

    async fn serve_known(self, io: BoxIo, from: &str, identity: Identity, ends: Ends) -> Result<(), ConnectionError> {
        // closing at once is the cheapest answer
        let stranger = matches!(self.plane, Plane::Client | Plane::Admin) && identity.certificate().is_none();
        let places = if stranger { self.strangers } else { self.places };
        let _place = places.try_acquire_owned().map_err(|_full| ConnectionError::Full(""))?;
        let (holder, whose) = match self.plane {
            Plane::Log => (Some(network(from)), " of one address"),
            Plane::Client | Plane::Admin | Plane::Peer => (identity.certificate(), " of one certificate"),
        };
        let share = holder.map(|holder| self.shares.take(holder));
        let _share = share.map(|share| share.ok_or(ConnectionError::Full(whose))).transpose()?;
        let _measured = measured::Connection::open(self.plane);
        let heard = Heard::default();
        let io = TokioIo::new(heard.of(io));
        let silent = heard.nothing();
        match self.answers {
            Answers::Services(routes, web) => {
                let lifetime = matches!(identity, Identity::Anonymous).then_some(UNAUTHENTICATED_LIFETIME);
                let service = gate::service(self.plane, identity, routes, web, self.bounds);
                let not_read = service.answers.clone().stand_still();
                let life = Life { lifetime, grace: None, ends };
                drive(&self.http, io, service, not_read, silent, life).await
            }
            Answers::Log(log) => {
                let service = LogGate::new(log);
                let not_read = service.answers.clone().stand_still();
                let life = Life { lifetime: Some(LOG_LIFETIME), grace: Some(LOG_GRACE), ends };
                drive(&self.http, io, service, not_read, silent, life).await
            }
        }
    }
}

/// How long a connection may be there.
struct Life {
    /// Then it is told to end; none: as long as it likes.
    lifetime: Option<Duration>,
    /// What it has begun by then has so long; none: as long as the plane.
    grace: Option<Duration>,
    ends: Ends,
}

/// Serves until the connection ends, or has to.
async fn drive<I, S, B>(
    http: &Builder<TokioExecutor>,
    io: I,
    service: S,
    not_read: impl Future<Output = ()>,
    silent: impl Future<Output = ()>,
    Life { lifetime, grace, ends }: Life,
) -> Result<(), ConnectionError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: HyperService<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let connection = http.serve_connection(io, service);
    tokio::pin!(connection, not_read);
    tokio::select! {
        done = connection.as_mut() => return done.map_err(ConnectionError::Http),
        () = not_read.as_mut() => return Err(ConnectionError::NotRead),
        () = silent => return Err(ConnectionError::Silent),
        () = end(lifetime, ends.stop) => connection.as_mut().graceful_shutdown(),
    }
    let over = async {
        match grace {
            Some(grace) => tokio::time::sleep(grace).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = connection => done.map_err(ConnectionError::Http),
        () = not_read => Err(ConnectionError::NotRead),
        () = over => Err(ConnectionError::Cut),
        () = ends.cut.cancelled() => Ok(()),
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
