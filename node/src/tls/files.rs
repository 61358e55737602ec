//! The PEM files of a plane.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use crate::config::TlsFiles;
use crate::consensus::PeerIdentity;
use crate::identity::Identity;

/// Certificate chain and key, parsed.
pub(super) struct Own {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Own {
    pub fn read(certificate: &Path, key: &Path) -> Result<Own, Error> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| match source {
            rustls_pki_types::pem::Error::NoItemsFound => {
                Error::Empty { path: key.to_owned(), expected: "a private key" }
            }
            source => Error::Malformed { path: key.to_owned(), source },
        })?;
        Ok(Own { chain, key })
    }
}

/// Certificate chain, key and roots, parsed.
pub(super) struct Loaded {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub roots: Arc<RootCertStore>,
    /// The same, as they were read.
    pub trusted: Vec<CertificateDer<'static>>,
}

impl Loaded {
    pub fn read(files: &TlsFiles) -> Result<Loaded, Error> {
        let Own { chain, key } = Own::read(&files.certificate, &files.key)?;
        let mut roots = RootCertStore::empty();
        let trusted = certificates(&files.trust)?;
        for root in &trusted {
            roots.add(root.clone()).map_err(|source| Error::Refused { path: files.trust.clone(), source })?;
        }
        Ok(Loaded { chain, key, roots: Arc::new(roots), trusted })
    }

    fn identity(&self) -> Result<Identity, kho_proto::certificate::Error> {
        Identity::of_certificate(self.chain.first().map(AsRef::as_ref))
    }

    /// The node that the certificate names, if it names one.
    pub fn node(&self) -> Option<PeerIdentity> {
        self.identity().ok()?.node().ok()
    }

    /// An error unless the certificate is `own`'s: with another node's every peer would refuse this one, and say so only
    /// in its own log.
    pub fn check_own(&self, own: PeerIdentity) -> Result<(), Error> {
        let found = match self.identity() {
            Ok(Identity::Node(found)) if found == own => return Ok(()),
            Ok(Identity::Node(found)) => format!("cluster {}, node {}", found.cluster_id, found.node_id),
            Ok(_) => "no node".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Error::NotOwn { cluster: own.cluster_id, node: own.node_id, found })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
    if found.is_empty() {
        return Err(Error::Empty { path: path.to_owned(), expected: "at least one certificate" });
    }
    Ok(found)
}
