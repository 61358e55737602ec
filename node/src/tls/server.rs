//! The accepting side of a plane.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::files::{Loaded, Own};
use super::{Error, Plane, provider};
use crate::config::{CertificateFiles, TlsFiles};

/// The accepting side of a plane: files, and what was last made of them.
pub struct ServerTls {
    plane: Plane,
    files: Files,
    current: ArcSwap<ServerConfig>,
}

enum Files {
    Mutual(TlsFiles),
    Public(CertificateFiles),
}

impl ServerTls {
    /// Reads the files.
    pub fn load(plane: Plane, files: &TlsFiles) -> Result<ServerTls, Error> {
        Self::of(plane, Files::Mutual(files.clone()))
    }

    /// Reads the files of a plane that asks nobody for a certificate.
    pub fn load_public(plane: Plane, files: &CertificateFiles) -> Result<ServerTls, Error> {
        Self::of(plane, Files::Public(files.clone()))
    }

    fn of(plane: Plane, files: Files) -> Result<ServerTls, Error> {
        let current = ArcSwap::from_pointee(build(plane, &files)?);
        Ok(ServerTls { plane, files, current })
    }

    /// Reads the files again; new connections use what they hold now. On an error the old stays.
    pub fn reload(&self) -> Result<(), Error> {
        self.current.store(Arc::new(build(self.plane, &self.files)?));
        Ok(())
    }

    /// Which plane.
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// What a connection accepted now uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn build(plane: Plane, files: &Files) -> Result<ServerConfig, Error> {
    let mut config = match files {
        Files::Mutual(files) => mutual(plane, files)?,
        Files::Public(files) => public(files)?,
    };
    config.alpn_protocols = plane.protocols();
    // A resumed session would skip the check of the certificate against the roots and the clock of now.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn mutual(plane: Plane, files: &TlsFiles) -> Result<ServerConfig, Error> {
    let Loaded { chain, key, roots } = Loaded::read(files)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = match plane {
        Plane::Peer => verifier,
        Plane::Client | Plane::Admin | Plane::Log => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build().map_err(|source| Error::Verifier { path: files.trust.clone(), source })?;
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|source| Error::Refused { path: files.certificate.clone(), source })
}

fn public(files: &CertificateFiles) -> Result<ServerConfig, Error> {
    let Own { chain, key } = Own::read(&files.certificate, &files.key)?;
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|source| Error::Refused { path: files.certificate.clone(), source })
}
