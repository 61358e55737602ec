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
use tokio::sync::Mutex;
use tonic::body::Body;
use tower::Service;

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
    current: Mutex<Option<Http2>>,
}

impl Link {
    pub fn new(dial: Arc<dyn Dial>, tasks: Arc<dyn Tasks>, node: NodeId, address: String) -> Self {
        Self { dial, tasks, node, address, current: Mutex::new(None) }
    }

    /// Where it leads.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Of the requests' URIs; what it says is of no importance, the connection stands.
    pub fn origin(&self) -> Uri {
        Uri::from_static("http://peer")
    }

    /// A connection that stands, as far as anyone knows. An error: nothing was sent.
    pub async fn connect(&self) -> Result<Http2, ConnectError> {
        let mut current = self.current.lock().await;
        if let Some(http2) = current.as_mut() {
            if http2.stands() {
                return Ok(http2.clone());
            }
            *current = None;
        }
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
        let http2 = Http2(send);
        *current = Some(http2.clone());
        Ok(http2)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Dial(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] hyper::Error),
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
