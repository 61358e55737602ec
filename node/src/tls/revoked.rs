//! Lists of revoked certificates of a plane. // R-C5

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kho_proto::certificate::{Crl, Issued, IssuerId, TrustRoots};
use kho_proto::id::UnixMs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::{Error, files};

/// How DER begins, and PEM does not: the tag of a SEQUENCE.
const DER_SEQUENCE: u8 = 0x30;

/// The lists of a plane, by who signed them. An authority may have several (of parts of what it issued): each counts.
#[derive(Debug)]
pub(super) struct Lists {
    path: PathBuf,
    by: BTreeMap<IssuerId, Vec<Crl>>,
}

impl Lists {
    /// Reads a file: a list in DER, or any number in PEM, with the certificates of their authorities that are no roots.
    /// All are of authorities that lead to `roots`, or none is taken.
    pub fn read(path: &Path, roots: &TrustRoots) -> Result<Self, Error> {
        let file = files::read(path)?;
        let (lists, issuers) = match file.first() {
            Some(&DER_SEQUENCE) => (vec![file.into()], Vec::new()),
            _ => (
                sections::<CertificateRevocationListDer<'_>>(path, &file)?,
                sections::<CertificateDer<'_>>(path, &file)?,
            ),
        };
        if lists.is_empty() {
            return Err(Error::Empty { path: path.to_owned(), expected: "at least one list of revoked certificates" });
        }
        let refused = |source| Error::List { path: path.to_owned(), source };
        let mut by: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for der in lists {
            let list = Crl::from_der(&der).map_err(refused)?;
            // its authority may sign lists if it could when it made this one
            let issuer = roots.verify_crl(&der, &issuers, list.this_update()).map_err(refused)?;
            by.entry(issuer).or_default().push(list);
        }
        Ok(Self { path: path.to_owned(), by })
    }

    /// An error if an authority's newest list was made before its newest of `before`: what has been taken back since would be
    /// let in again, because of a file that was copied from the wrong place.
    pub fn check_not_older(&self, before: &Lists) -> Result<(), Error> {
        let newest = |lists: &Vec<Crl>| lists.iter().map(Crl::this_update).max();
        for (issuer, lists) in &self.by {
            let (found, expected) = (newest(lists), before.by.get(issuer).and_then(newest));
            if let (Some(found), Some(expected)) = (found, expected)
                && found < expected
            {
                let issuer = lists.first().map(|list| list.issuer().to_owned()).unwrap_or_default();
                return Err(Error::Older { path: self.path.clone(), issuer, expected, found });
            }
        }
        Ok(())
    }

    /// Whether a certificate on the path is listed.
    pub fn take_back(&self, path: &[Issued]) -> bool {
        let listed = |one: &Issued| self.by.get(&one.issuer)?.iter().find(|list| list.takes_back(&one.serial));
        path.iter().any(|one| listed(one).is_some())
    }

    fn all(&self) -> impl Iterator<Item = &Crl> {
        self.by.values().flatten()
    }

    /// Certificates that they take back.
    pub fn revoked(&self) -> usize {
        self.all().map(Crl::revoked).sum()
    }

    /// When the first of them is due to be renewed.
    pub fn next_update(&self) -> Option<UnixMs> {
        self.all().filter_map(Crl::next_update).min()
    }
}

fn sections<T: PemObject + AsRef<[u8]>>(path: &Path, pem: &[u8]) -> Result<Vec<Bytes>, Error> {
    let found = T::pem_slice_iter(pem).map(|one| one.map(|one| Bytes::copy_from_slice(one.as_ref())));
    found.collect::<Result<_, _>>().map_err(|source| Error::Malformed { path: path.to_owned(), source })
}
