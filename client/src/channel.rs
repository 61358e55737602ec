//! Mutual TLS and HTTP/2 towards one listener of one node.

mod names;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioIo;
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_transport::Coalesced;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tower::{Service, ServiceExt};
use zeroize::Zeroizing;

use names::{Names, Resolver};

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
    /// Certificate and key don't belong together.
    #[error("the private key{} does not belong to the certificate{}", within(key), within(certificate))]
    OtherKey {
        /// The certificate's file, where it is one.
        certificate: Option<PathBuf>,
        /// The key's.
        key: Option<PathBuf>,
    },
    /// The address is no `host:port`.
    #[error("expected an address like host:port, found {found:?}")]
    Address {
        /// What was given.
        found: String,
    },
    /// TLS could not be set up.
    #[error("TLS towards {address}: {source}")]
    Tls {
        /// The node.
        address: String,
        /// The library's words.
        source: tonic::transport::Error,
    },
}

fn within(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default()
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::File { .. } | Error::Pem { .. } | Error::OtherKey { .. } | Error::Tls { .. } => Code::TlsFileInvalid,
            Error::Address { .. } => Code::ConfigInvalid,
        }
    }
}

/// Files are looked at so often: a certificate is renewed weeks before it ends.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Where an identity lies.
#[derive(Debug, Clone)]
pub(crate) struct PemFiles {
    pub certificate: PathBuf,
    key: PathBuf,
    trust: PathBuf,
    /// Looked at so often.
    pub every: Duration,
}

/// What lies there.
pub(crate) struct Pem {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    trust: Vec<u8>,
}

impl PemFiles {
    /// What the files hold, and a digest that tells whether it is the same.
    pub fn read(&self) -> Result<(Pem, Digest), Error> {
        let read = |what, path: &Path| {
            std::fs::read(path).map_err(|source| Error::File { what, path: path.to_owned(), source })
        };
        let key = Zeroizing::new(read("key", &self.key)?);
        let pem = Pem { certificate: read("certificate", &self.certificate)?, key, trust: read("trust", &self.trust)? };
        let of = [&pem.certificate, &*pem.key, &pem.trust].map(|bytes| *Digest::of(bytes).as_bytes());
        let seen = Digest::of(of.as_flattened());
        Ok((pem, seen))
    }
}

impl Pem {
    pub fn tls(&self) -> Result<Tls, Error> {
        Tls::from_pem(&self.certificate, &self.key, &self.trust)
    }
}

/// How TLS files fare that are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// How long ago those in use were read.
    pub age: Duration,
    /// How often they were read again.
    pub reloads: u64,
    /// Why what lies there now is not used.
    pub failed: Option<String>,
}

/// A connection's identity, and the authority that it trusts to name nodes.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    trust: Certificate,
    /// Where it came from and is looked for again, and the digest of what was there.
    files: Option<(PemFiles, Digest)>,
}

impl Tls {
    /// From PEM texts: own certificate chain, its key, trusted roots.
    pub fn from_pem(certificate: &[u8], key: &[u8], trust: &[u8]) -> Result<Self, Error> {
        let certificates = |what, pem: &[u8]| match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(Error::Pem { what, found: "no certificate".to_owned() }),
            Err(error) => Err(Error::Pem { what, found: error.to_string() }),
        };
        let chain = certificates("certificate", certificate)?;
        certificates("trust", trust)?;
        let pair =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| Error::Pem { what: "key", found: error.to_string() })?;
        // here, where it can be said: a handshake would only fail
        match CertifiedKey::from_der(chain, pair, &rustls::crypto::aws_lc_rs::default_provider()) {
            Ok(_) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(Error::OtherKey { certificate: None, key: None }),
            Err(error) => return Err(Error::Pem { what: "certificate and key", found: error.to_string() }),
        }
        let (identity, trust) = (Identity::from_pem(certificate, key), Certificate::from_pem(trust));
        Ok(Self { identity, trust, files: None })
    }

    /// The same from files, read once.
    pub fn from_files(certificate: &Path, key: &Path, trust: &Path) -> Result<Self, Error> {
        Ok(Self { files: None, ..Self::reloading(certificate, key, trust)? })
    }

    /// The same from files that a [`Client`](crate::Client) looks at every [`RELOAD_INTERVAL`]: when they change, new calls
    /// take new connections, and calls under way end on the old ones. What is not usable is not taken
    /// ([`Client::tls_status`](crate::Client::tls_status)). Put a new file in place by a rename.
    pub fn reloading(certificate: &Path, key: &Path, trust: &Path) -> Result<Self, Error> {
        let [certificate, key, trust] = [certificate, key, trust].map(Path::to_owned);
        let files = PemFiles { certificate, key, trust, every: RELOAD_INTERVAL };
        let (pem, seen) = files.read()?;
        let tls = pem.tls().map_err(|error| match error {
            Error::OtherKey { .. } => {
                Error::OtherKey { certificate: Some(files.certificate.clone()), key: Some(files.key.clone()) }
            }
            error => error,
        })?;
        Ok(Self { files: Some((files, seen)), ..tls })
    }

    /// Looks at its files at another interval.
    #[must_use = "it is the identity that has the interval"]
    pub fn every(mut self, interval: Duration) -> Self {
        if let Some((files, _)) = &mut self.files {
            files.every = interval;
        }
        self
    }

    pub(crate) fn files(self) -> Option<(PemFiles, Digest)> {
        self.files
    }
}

/// Whether it may be a `host:port`.
pub(crate) fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        && Endpoint::from_shared(format!("http://{address}")).is_ok()
}

/// A channel to `host:port` that connects when it is first used, and again whenever it has to.
/// `connect_timeout` bounds each of the name's lookup, TCP and TLS.
pub fn open(address: &str, tls: Option<&Tls>, connect_timeout: Duration) -> Result<Channel, Error> {
    open_with(GaiResolver::new(), address, tls, connect_timeout)
}

fn open_with(
    resolver: impl Resolver,
    address: &str,
    tls: Option<&Tls>,
    connect_timeout: Duration,
) -> Result<Channel, Error> {
    let bad = || Error::Address { found: address.to_owned() };
    if !is_address(address) {
        return Err(bad());
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|_| bad())?
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
    Ok(endpoint.connect_with_connector_lazy(connector(resolver, connect_timeout)))
}

/// TCP as tonic makes it by itself, its bytes coalesced. The time-outs are each step's own: one around all (tonic's, with a
/// connector that is not its own) ends in an error that does not say that nothing was sent.
fn connector(
    resolver: impl Resolver,
    connect_timeout: Duration,
) -> impl Service<Uri, Response: Read + Write + Send + Unpin, Error: std::error::Error + Send + Sync, Future: Send> + Send
{
    let mut tcp = HttpConnector::new_with_resolver(Names::new(resolver, connect_timeout));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.map_response(|io| {
        crate::observe::connected();
        TokioIo::new(Coalesced::new(io.into_inner()))
    })
}

#[cfg(test)]
mod tests;
