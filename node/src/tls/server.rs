//! The accepting side of a plane.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::files::Loaded;
use super::{Error, Plane, provider};
use crate::config::TlsFiles;

/// The accepting side of a plane: files, and what was last made of them.
pub struct ServerTls {
    plane: Plane,
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    pub fn load(plane: Plane, files: &TlsFiles) -> Result<ServerTls, Error> {
        let current = ArcSwap::from_pointee(build(plane, files)?);
        Ok(ServerTls { plane, files: files.clone(), current })
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

fn build(plane: Plane, files: &TlsFiles) -> Result<ServerConfig, Error> {
    let Loaded { chain, key, roots } = Loaded::read(files)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = match plane {
        Plane::Peer => verifier,
        Plane::Client | Plane::Admin => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build().map_err(|source| Error::Verifier { path: files.trust.clone(), source })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|source| Error::Refused { path: files.certificate.clone(), source })?;
    config.alpn_protocols = plane.protocols();
    // A resumed session would skip the check of the certificate against the roots and the clock of now.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
