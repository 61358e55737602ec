//! One HTTP/2 connection to a node, made when it is needed and made again when it is gone.
//!
//! Not tonic's channel: that reconnects on its own, and then nobody can tell a request that was never sent from one
//! that was.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1::forward_client::ForwardClient;
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::{Code as GrpcCode, Status};
use tower::Service;

use super::MESSAGE_LENGTH_MAX;
use super::lane::Lane;
use crate::seams::{Dial, Tasks};

/// A silent connection is tried after so long, and given up after so long again.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Flow-control windows in bytes: several full batches.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The way to one node.
pub(super) struct Link {
    dial: Arc<dyn Dial>,
    tasks: Arc<dyn Tasks>,
    node: NodeId,
    address: String,
    current: Mutex<Option<Connection>>,
}

/// A connection, and how proposals go over it.
struct Connection {
    http2: Http2,
    proposals: Proposals,
}

/// What is known of a node's call for proposals: for as long as the connection, since another release is another process.
enum Proposals {
    Unasked,
    Lane(Lane),
    /// The node is of a release before there was such a call.
    Unknown,
}

impl Link {
    pub fn new(dial: Arc<dyn Dial>, tasks: Arc<dyn Tasks>, node: NodeId, address: String) -> Self {
        Self { dial, tasks, node, address, current: Mutex::new(None) }
    }

    /// Where it leads.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection that stands, as far as anyone knows. An error: nothing was sent.
    pub async fn connect(&self) -> Result<Http2, ConnectError> {
        let mut current = self.current.lock().await;
        Ok(self.connected(&mut current).await?.http2.clone())
    }

    /// A call that takes proposals, over such a connection; none: the node knows no such call. An error: nothing was sent.
    pub async fn lane(&self) -> Result<Option<Lane>, ConnectError> {
        let mut current = self.current.lock().await;
        let connection = self.connected(&mut current).await?;
        match &connection.proposals {
            Proposals::Unknown => return Ok(None),
            Proposals::Lane(lane) if lane.stands() => return Ok(Some(lane.clone())),
            Proposals::Lane(_) | Proposals::Unasked => {}
        }
        match Lane::open(client(connection.http2.clone()), &*self.tasks).await {
            Ok(lane) => {
                connection.proposals = Proposals::Lane(lane.clone());
                Ok(Some(lane))
            }
            Err(status) if status.code() == GrpcCode::Unimplemented => {
                connection.proposals = Proposals::Unknown;
                Ok(None)
            }
            Err(status) => {
                // what takes no call takes nothing: whoever waits here next finds out by connecting
                *current = None;
                Err(status.into())
            }
        }
    }

    async fn connected<'c>(&self, current: &'c mut Option<Connection>) -> Result<&'c mut Connection, ConnectError> {
        if current.as_mut().is_none_or(|connection| !connection.http2.stands()) {
            *current = None;
            *current = Some(Connection { http2: self.dial().await?, proposals: Proposals::Unasked });
        }
        Ok(current.as_mut().expect("it was put there"))
    }

    async fn dial(&self) -> Result<Http2, ConnectError> {
        let io = self.dial.dial(self.node, &self.address).await?;
        let (send, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await?;
        let driven = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        };
        self.tasks.spawn("forward-connection", Box::pin(driven));
        Ok(Http2(send))
    }
}

/// What the requests' URIs say is of no importance, the connection stands.
pub(super) fn client(http2: Http2) -> ForwardClient<Http2> {
    ForwardClient::with_origin(http2, Uri::from_static("http://peer"))
        .max_decoding_message_size(MESSAGE_LENGTH_MAX)
        .max_encoding_message_size(MESSAGE_LENGTH_MAX)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Dial(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] hyper::Error),
    #[error("the call for proposals: {0}")]
    Call(#[from] Box<Status>),
}

/// Sends requests over one connection.
#[derive(Clone)]
pub(super) struct Http2(SendRequest<Body>);

impl Http2 {
    fn stands(&mut self) -> bool {
        !self.0.is_closed()
    }
}

impl Service<http::Request<Body>> for Http2 {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
