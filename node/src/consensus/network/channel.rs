//! Connections to peers, made when first used and kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kho_proto::id::NodeId;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::seams::Dial;

/// Bytes of a peer message, at most: an entry of one record of the largest size, or a read of the log, with room.
pub(crate) const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Time to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between HTTP/2 pings: finds out that a peer is gone without a word.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// An unanswered ping closes the connection.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes in flight on a stream and on a connection before the peer must say that it has read them.
const WINDOW_BYTES: u32 = 8 << 20;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Plane {
    /// Log entries.
    Append,
    /// Heartbeats, votes, hand-over.
    Control,
    /// Snapshots.
    Snapshot,
}

/// Connections by peer and plane.
pub(crate) struct Channels {
    dial: Arc<dyn Dial>,
    // Addresses of the configuration win over those that the membership was formed with.
    addresses: HashMap<NodeId, String>,
    open: Mutex<HashMap<(NodeId, Plane), Channel>>,
}

impl Channels {
    pub(crate) fn new(dial: Arc<dyn Dial>, addresses: HashMap<NodeId, String>) -> Self {
        Self { dial, addresses, open: Mutex::default() }
    }

    /// The connection to a peer; reconnects by itself.
    pub(crate) fn get(&self, target: NodeId, address: &str, plane: Plane) -> Channel {
        let mut open = self.open.lock();
        let channel = open.entry((target, plane)).or_insert_with(|| {
            let address = self.addresses.get(&target).map_or(address, String::as_str);
            connect(Arc::clone(&self.dial), target, address.to_owned())
        });
        channel.clone()
    }
}

fn connect(dial: Arc<dyn Dial>, target: NodeId, address: String) -> Channel {
    let connector = service_fn(move |_: Uri| {
        let (dial, address) = (Arc::clone(&dial), address.clone());
        async move { dial.dial(target, &address).await.map(TokioIo::new) }
    });
    // The address and TLS are the dialer's; the URI only fills HTTP's fields.
    Endpoint::from_static("http://peer")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_with_connector_lazy(connector)
}
