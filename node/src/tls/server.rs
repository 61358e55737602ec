//! The accepting side of a plane.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::files::{Loaded, Own};
use super::{Error, Plane, provider};
use crate::config::{CertificateFiles, TlsFiles};
use crate::consensus::PeerIdentity;

/// The accepting side of a plane: files, and what was last made of them.
pub struct ServerTls {
    plane: Plane,
    files: Files,
    /// Whom the certificate named at the start: the peer plane's names the node.
    own: Option<PeerIdentity>,
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
        let (config, own) = build(plane, &files, None)?;
        Ok(ServerTls { plane, files, own, current: ArcSwap::from_pointee(config) })
    }

    /// Reads the files again; new connections use what they hold now. On an error the old stays, also when the
    /// certificate is another node's by now.
    pub fn reload(&self) -> Result<(), Error> {
        let (config, _) = build(self.plane, &self.files, self.own)?;
        self.current.store(Arc::new(config));
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

/// The configuration, and the node that its certificate names; an error if that must be `own` and is not.
fn build(
    plane: Plane,
    files: &Files,
    own: Option<PeerIdentity>,
) -> Result<(ServerConfig, Option<PeerIdentity>), Error> {
    let (mut config, named) = match files {
        Files::Mutual(files) => {
            let loaded = Loaded::read(files)?;
            own.map_or(Ok(()), |own| loaded.check_own(own))?;
            let named = loaded.node();
            (mutual(plane, files, loaded)?, named)
        }
        Files::Public(files) => (public(files)?, None),
    };
    config.alpn_protocols = plane.protocols();
    // A resumed session would skip the check of the certificate against the roots and the clock of now.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, named))
}

fn mutual(plane: Plane, files: &TlsFiles, loaded: Loaded) -> Result<ServerConfig, Error> {
    let Loaded { chain, key, roots } = loaded;
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
