//! The accepting side of a plane.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kho_proto::certificate;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls_pki_types::CertificateDer;

use super::files::{Loaded, Own};
use super::judge::{Judge, Register, Verifier};
use super::{Error, Plane, Standing, provider};
use crate::config::{CertificateFiles, TlsFiles};
use crate::consensus::PeerIdentity;

/// The accepting side of a plane: files, and what was last made of them.
pub struct ServerTls {
    plane: Plane,
    files: Files,
    /// Whom the certificate named at the start: the peer plane's names the node.
    own: Option<PeerIdentity>,
    current: ArcSwap<Made>,
    /// What open connections are held to.
    register: Register,
}

/// What was made of the files at one time.
pub(super) struct Made {
    pub config: Arc<ServerConfig>,
    judge: Option<Arc<Judge>>,
    /// Whom the certificate names, if a node.
    own: Option<PeerIdentity>,
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
        let made = build(plane, &files, None)?;
        let (own, register) = (made.own, Register::of(plane, made.judge.as_ref()));
        Ok(ServerTls { plane, files, own, current: ArcSwap::from_pointee(made), register })
    }

    /// Reads the files again; new connections use what they hold now, and those of certificates that are listed as revoked
    /// by now lose their standing. On an error the old stays, also when the certificate is another node's by now.
    pub fn reload(&self) -> Result<(), Error> {
        let made = Arc::new(build(self.plane, &self.files, self.own)?);
        self.register.check(made.judge.as_ref(), made.config.time_provider.current_time())?;
        self.current.store(made.clone());
        self.register.replace(made.judge.as_ref());
        Ok(())
    }

    /// Which plane.
    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// What a connection accepted now uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.made().config.clone()
    }

    pub(super) fn made(&self) -> Arc<Made> {
        self.current.load_full()
    }

    /// Of a connection whose handshake was by `made`, with this chain.
    pub(super) fn standing(
        &self,
        made: &Made,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Result<Standing, certificate::Error> {
        self.register.standing(made.judge.as_ref(), chain, made.config.time_provider.current_time())
    }
}

/// An error if the certificate must name `own` and does not.
fn build(plane: Plane, files: &Files, own: Option<PeerIdentity>) -> Result<Made, Error> {
    let (mut config, judge, own) = match files {
        Files::Mutual(files) => {
            let loaded = Loaded::read(files)?;
            own.map_or(Ok(()), |own| loaded.check_own(own))?;
            let (named, judge) = (loaded.node(), Judge::read(files, &loaded.trusted)?);
            (mutual(plane, files, loaded, judge.as_ref())?, judge, named)
        }
        Files::Public(files) => (public(files)?, None, None),
    };
    config.alpn_protocols = plane.protocols();
    // A resumed session would skip the check of the certificate against the roots and the clock of now.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Made { config: Arc::new(config), judge, own })
}

fn mutual(plane: Plane, files: &TlsFiles, loaded: Loaded, judge: Option<&Arc<Judge>>) -> Result<ServerConfig, Error> {
    let Loaded { chain, key, roots, .. } = loaded;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = match plane {
        Plane::Peer => verifier,
        Plane::Client | Plane::Admin | Plane::Log => verifier.allow_unauthenticated(),
    };
    let inner = verifier.build().map_err(|source| Error::Verifier { path: files.trust.clone(), source })?;
    let verifier: Arc<dyn ClientCertVerifier> = match judge {
        Some(judge) => Arc::new(Verifier { inner, judge: judge.clone() }),
        None => inner,
    };
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
