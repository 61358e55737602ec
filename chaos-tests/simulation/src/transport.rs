//! Who is at the other end: a certificate is shown, not proven. TLS is for rings with real processes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kho_node::config::{CertificateFiles, Config, TlsFiles};
use kho_node::identity::Identity;
use kho_node::seams::{BoxIo, Dial, Net};
use kho_node::tls::{Dialler, Error, Plane, Secure, SecureError, Secured, Transport};
use kho_proto::id::NodeId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Certificates are not longer.
const CERTIFICATE_MAX: usize = 16 << 10;

/// Shows certificates.
pub struct Shown;

impl Transport for Shown {
    fn door(&self, _: Plane, _: &TlsFiles) -> Result<Arc<dyn Secure>, Error> {
        Ok(Arc::new(Shown))
    }

    fn public_door(&self, _: &CertificateFiles) -> Result<Arc<dyn Secure>, Error> {
        Ok(Arc::new(Plain))
    }

    fn dialler(&self, config: &Config, net: Arc<dyn Net>) -> Result<Arc<dyn Dialler>, Error> {
        let certificate = read(&config.tls.peer.certificate)?;
        Ok(Arc::new(ShownDialler { certificate, net }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let der = CertificateDer::from_pem_slice(&pem);
    Ok(der.map_err(|source| Error::Malformed { path: path.to_owned(), source })?.to_vec())
}

/// Dials and shows `certificate`.
pub async fn dial(net: &dyn Net, address: &str, certificate: &[u8]) -> io::Result<BoxIo> {
    let mut stream = net.dial(address).await?;
    stream.write_u16(certificate.len() as u16).await?;
    stream.write_all(certificate).await?;
    Ok(stream)
}

#[async_trait]
impl Secure for Shown {
    async fn secure(&self, mut io: BoxIo) -> Result<Secured, SecureError> {
        let length = usize::from(io.read_u16().await?);
        if length > CERTIFICATE_MAX {
            return Err(io::Error::other("no certificate").into());
        }
        let mut certificate = vec![0; length];
        io.read_exact(&mut certificate).await?;
        let identity = Identity::of_certificate(Some(&certificate))?;
        Ok(Secured::lasting(io, identity))
    }

    fn reload(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Asks nobody who they are: the public log.
struct Plain;

#[async_trait]
impl Secure for Plain {
    async fn secure(&self, io: BoxIo) -> Result<Secured, SecureError> {
        Ok(Secured::lasting(io, Identity::Anonymous))
    }

    fn reload(&self) -> Result<(), Error> {
        Ok(())
    }
}

struct ShownDialler {
    certificate: Vec<u8>,
    net: Arc<dyn Net>,
}

#[async_trait]
impl Dial for ShownDialler {
    async fn dial(&self, _: NodeId, address: &str) -> io::Result<BoxIo> {
        dial(&*self.net, address, &self.certificate).await
    }
}

impl Dialler for ShownDialler {
    fn reload(&self) -> Result<(), Error> {
        Ok(())
    }
}
