//! The accepting side of a plane.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::files::Loaded;
use super::{Error, Plane, provider};
use crate::config::TlsFiles;
use crate::consensus::PeerIdentity;

/// The accepting side of a plane: files, and what was last made of them.
pub struct ServerTls {
    plane: Plane,
    files: TlsFiles,
    /// Whom the certificate named at the start: the peer plane's names the node.
    own: Option<PeerIdentity>,
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads the files.
    pub fn load(plane: Plane, files: &TlsFiles) -> Result<ServerTls, Error> {
        let loaded = Loaded::read(files)?;
        let own = loaded.node();
        let current = ArcSwap::from_pointee(build(plane, files, loaded)?);
        Ok(ServerTls { plane, files: files.clone(), own, current })
    }

    /// Reads the files again; new connections use what they hold now. On an error the old stays, also when the
    /// certificate is another node's by now.
    pub fn reload(&self) -> Result<(), Error> {
        let loaded = Loaded::read(&self.files)?;
        self.own.map_or(Ok(()), |own| loaded.check_own(own))?;
        self.current.store(Arc::new(build(self.plane, &self.files, loaded)?));
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

fn build(plane: Plane, files: &TlsFiles, loaded: Loaded) -> Result<ServerConfig, Error> {
    let Loaded { chain, key, roots } = loaded;
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
