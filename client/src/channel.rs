//! Mutual TLS and HTTP/2 towards one listener of one node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kho_proto::error::Code;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use zeroize::Zeroizing;

/// A connection that says nothing is asked whether it lives after this time...
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// ...and given up when it does not answer within this one.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes in flight per stream and per connection: one record of the largest size fits.
pub const WINDOW_BYTES: u32 = 8 << 20;

/// Why a connection could not be set up; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// Which of the three.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file holds no certificate or key.
    #[error("{what}: expected PEM, found {found}")]
    Pem {
        /// Which of the three.
        what: &'static str,
        /// What was found instead.
        found: String,
    },
    /// The address is no `host:port`.
    #[error("expected an address like host:port, found {found:?}")]
    Address {
        /// What was given.
        found: String,
    },
    /// Certificate and key don't belong together, or TLS could not be set up.
    #[error("TLS towards {address}: {source}")]
    Tls {
        /// The node.
        address: String,
        /// The library's words.
        source: tonic::transport::Error,
    },
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::File { .. } | Error::Pem { .. } | Error::Tls { .. } => Code::TlsFileInvalid,
            Error::Address { .. } => Code::ConfigInvalid,
        }
    }
}

/// A connection's identity, and the authority that it trusts to name nodes.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    trust: Certificate,
}

impl Tls {
    /// From PEM texts: own certificate chain, its key, trusted roots.
    pub fn from_pem(certificate: &[u8], key: &[u8], trust: &[u8]) -> Result<Self, Error> {
        let certificates = |what, pem: &[u8]| match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
            Ok(found) if !found.is_empty() => Ok(()),
            Ok(_) => Err(Error::Pem { what, found: "no certificate".to_owned() }),
            Err(error) => Err(Error::Pem { what, found: error.to_string() }),
        };
        certificates("certificate", certificate)?;
        certificates("trust", trust)?;
        PrivateKeyDer::from_pem_slice(key).map_err(|error| Error::Pem { what: "key", found: error.to_string() })?;
        Ok(Self { identity: Identity::from_pem(certificate, key), trust: Certificate::from_pem(trust) })
    }

    /// The same from files.
    pub fn from_files(certificate: &Path, key: &Path, trust: &Path) -> Result<Self, Error> {
        let read = |what, path: &Path| {
            std::fs::read(path).map_err(|source| Error::File { what, path: path.to_owned(), source })
        };
        let key = Zeroizing::new(read("key", key)?);
        Self::from_pem(&read("certificate", certificate)?, &key, &read("trust", trust)?)
    }
}

/// A channel to `host:port` that connects when it is first used, and again whenever it has to.
/// `connect_timeout` bounds each of TCP and TLS.
pub fn open(address: &str, tls: Option<&Tls>, connect_timeout: Duration) -> Result<Channel, Error> {
    let bad = || Error::Address { found: address.to_owned() };
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(bad());
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|_| bad())?
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    if let Some(tls) = tls {
        let config = ClientTlsConfig::new()
            .ca_certificate(tls.trust.clone())
            .identity(tls.identity.clone())
            .timeout(connect_timeout);
        endpoint = endpoint.tls_config(config).map_err(|source| Error::Tls { address: address.to_owned(), source })?;
    }
    Ok(endpoint.connect_lazy())
}
