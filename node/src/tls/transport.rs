//! Who is at the other end of a connection: the seam between a plane and TLS, so that a simulation can assert what
//! certificates prove.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kho_proto::certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::gathered::Gathered;
use super::{ClientTls, Error, PeerDial, Plane, ServerTls, Standing};
use crate::config::{CertificateFiles, Config, TlsFiles};
use crate::consensus::PeerIdentity;
use crate::identity::Identity;
use crate::seams::{BoxIo, Dial, Net};

/// Who was refused has so long to read why...
const LINGER: Duration = Duration::from_secs(1);
/// ...and may send so much meanwhile: several times what HTTP/2 lets anybody send who has not heard from the server yet.
const LINGER_BYTES_MAX: usize = 256 << 10;

/// Makes both ends of a node's planes.
pub trait Transport: Send + Sync + 'static {
    /// The accepting side of a plane.
    fn door(&self, plane: Plane, files: &TlsFiles) -> Result<Arc<dyn Secure>, Error>;
    /// The accepting side of the public log, which asks nobody who they are.
    fn public_door(&self, files: &CertificateFiles) -> Result<Arc<dyn Secure>, Error>;
    /// The dialling side of the peer plane.
    fn dialler(&self, config: &Config, net: Arc<dyn Net>) -> Result<Arc<dyn Dialler>, Error>;
}

/// The accepting side of a plane.
#[async_trait]
pub trait Secure: Send + Sync + 'static {
    /// Learns who is there.
    async fn secure(&self, io: BoxIo) -> Result<Secured, SecureError>;
    /// Reads certificates, keys, roots and lists of revoked certificates again; new connections use what they hold now. On an
    /// error the old stays.
    fn reload(&self) -> Result<(), Error>;
}

/// A connection, and who is at its other end.
pub struct Secured {
    /// What is said.
    pub io: BoxIo,
    /// Who says it.
    pub identity: Identity,
    /// For how long.
    pub standing: Standing,
}

impl Secured {
    /// Of who is never asked to leave.
    pub fn lasting(io: BoxIo, identity: Identity) -> Self {
        Self { io, identity, standing: Standing::lasting() }
    }
}

/// Why nobody is known to be there.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// No handshake.
    #[error("TLS handshake: {0}")]
    Handshake(#[from] io::Error),
    /// A certificate that was proven, but does not parse.
    #[error("client certificate: {0}")]
    Certificate(#[from] certificate::Error),
}

impl SecureError {
    /// Whether somebody came with a certificate that its authority has taken back.
    pub fn is_revoked(&self) -> bool {
        let SecureError::Handshake(error) = self else { return false };
        let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(error, Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked)))
    }
}

/// A dialling side whose files can be read again.
pub trait Dialler: Dial {
    /// As [`Secure::reload`].
    fn reload(&self) -> Result<(), Error>;
}

/// TLS 1.3, with the files that the configuration names.
pub struct Tls;

impl Transport for Tls {
    fn door(&self, plane: Plane, files: &TlsFiles) -> Result<Arc<dyn Secure>, Error> {
        Ok(Arc::new(ServerTls::load(plane, files)?))
    }

    fn public_door(&self, files: &CertificateFiles) -> Result<Arc<dyn Secure>, Error> {
        Ok(Arc::new(ServerTls::load_public(Plane::Log, files)?))
    }

    fn dialler(&self, config: &Config, net: Arc<dyn Net>) -> Result<Arc<dyn Dialler>, Error> {
        let tls = Arc::new(ClientTls::load(&config.tls.peer)?);
        tls.check_own(PeerIdentity { cluster_id: config.cluster_id, node_id: config.node() })?;
        Ok(Arc::new(PeerDial::new(tls, net, config.cluster_id)))
    }
}

#[async_trait]
impl Secure for ServerTls {
    async fn secure(&self, io: BoxIo) -> Result<Secured, SecureError> {
        let made = self.made();
        let tls = match TlsAcceptor::from(made.config.clone()).accept(io).into_fallible().await {
            Ok(tls) => tls,
            Err((error, io)) => {
                linger(io).await;
                return Err(error.into());
            }
        };
        let chain = tls.get_ref().1.peer_certificates();
        let certificate = chain.and_then(|chain| chain.first());
        let identity = Identity::of_certificate(certificate.map(AsRef::as_ref))?;
        let standing = self.standing(&made, chain)?;
        Ok(Secured { io: Box::new(Gathered::new(tls)), identity, standing })
    }

    fn reload(&self) -> Result<(), Error> {
        ServerTls::reload(self)
    }
}

/// Lets who was refused read why. It has more on its way (in TLS 1.3 its first request), and if that met a closed socket the
/// answer would be a reset, which throws away the alert: a client could not tell a refusal from a request that was lost.
async fn linger(mut io: BoxIo) {
    let drained = async {
        io.shutdown().await?;
        let (mut rest, mut left) = ([0; 4096], LINGER_BYTES_MAX);
        while left > 0 {
            match io.read(&mut rest).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // it is closed now, whoever did it
    drop(tokio::time::timeout(LINGER, drained).await);
}

impl Dialler for PeerDial {
    fn reload(&self) -> Result<(), Error> {
        self.tls().reload()
    }
}
