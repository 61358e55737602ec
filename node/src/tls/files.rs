//! The PEM files of a plane.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use crate::config::TlsFiles;

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
}

impl Loaded {
    pub fn read(files: &TlsFiles) -> Result<Loaded, Error> {
        let Own { chain, key } = Own::read(&files.certificate, &files.key)?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.trust)? {
            roots.add(root).map_err(|source| Error::Refused { path: files.trust.clone(), source })?;
        }
        Ok(Loaded { chain, key, roots: Arc::new(roots) })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
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

/// The node's own certificate of a plane, DER.
pub(super) fn own_certificate(files: &TlsFiles) -> Result<Vec<u8>, Error> {
    let chain = certificates(&files.certificate)?;
    Ok(chain.into_iter().next().map(|certificate| certificate.to_vec()).unwrap_or_default())
}
