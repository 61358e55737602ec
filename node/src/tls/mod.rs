//! TLS 1.3 on every plane, each with trust roots of its own; files are read again on [`ServerTls::reload`] and
//! [`ClientTls::reload`] while connections stay, except those of certificates that are listed as revoked by then.
//!
//! Clients and operators without a certificate complete the handshake and then get `client-certificate-missing` for
//! whatever they ask ([`crate::serve()`]); a bad certificate fails the handshake. Peers must present one. Readers of the
//! public log are asked for none.

mod client;
mod error;
mod files;
mod gathered;
mod judge;
pub(crate) mod metric_definitions;
mod revoked;
mod server;
mod standing;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::{ClientTls, PeerDial};
pub use error::Error;
pub use server::ServerTls;
pub use standing::Standing;
pub use transport::{Dialler, Secure, SecureError, Secured, Tls, Transport};

/// A kind of listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Clients: submit and read.
    Client,
    /// The other nodes.
    Peer,
    /// Operators, and metrics.
    Admin,
    /// Anybody: the public log.
    Log,
}

impl Plane {
    /// As it stands in the configuration, in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Plane::Client => "client",
            Plane::Peer => "peer",
            Plane::Admin => "admin",
            Plane::Log => "log",
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Plane::Peer => vec![b"h2".to_vec()],
            // Metrics are scraped over HTTP/1.1; the log and records are read with whatever one has.
            Plane::Client | Plane::Admin | Plane::Log => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
