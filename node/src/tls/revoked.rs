//! Lists of revoked certificates of a plane. // R-C5

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use kho_proto::certificate::{Crl, Issued, IssuerId, TrustRoots};
use kho_proto::id::UnixMs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::{Error, files};

/// How DER begins, and PEM does not: the tag of a SEQUENCE.
const DER_SEQUENCE: u8 = 0x30;

/// A list may be made by a clock that is ahead of the node's by so much.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// The lists of a plane, by who signed them. An authority may have several (of parts of what it issued): each counts.
#[derive(Debug)]
pub(super) struct Lists {
    path: PathBuf,
    by: BTreeMap<IssuerId, Vec<Listed>>,
    /// Certificates of authorities that are no roots.
    issuers: Vec<Bytes>,
}

/// A list, and as it was read: whether its authority still counts is asked when others take its place.
#[derive(Debug)]
struct Listed {
    crl: Crl,
    der: Bytes,
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
            let crl = Crl::from_der(&der).map_err(refused)?;
            // its authority may sign lists if it could when it made this one
            let issuer = roots.verify_crl(&der, &issuers, crl.this_update()).map_err(refused)?;
            by.entry(issuer).or_default().push(Listed { crl, der });
        }
        Ok(Self { path: path.to_owned(), by, issuers })
    }

    /// An error if a list was made in the future: later ones would count as older until a restart.
    pub fn check_not_ahead(&self, now: UnixMs) -> Result<(), Error> {
        let latest = UnixMs(now.0.saturating_add(AHEAD_MAX.as_millis() as u64));
        let Some(crl) = self.all().find(|crl| crl.this_update() > latest) else { return Ok(()) };
        let (path, issuer, found) = (self.path.clone(), crl.issuer().to_owned(), crl.this_update());
        Err(Error::Ahead { path, issuer, expected: latest, found })
    }

    /// An error if an authority of `before` that still leads to `roots` has fewer lists than there, or one that was made before
    /// its counterpart: what has been taken back would be let in again, because of a file that was copied from the wrong place,
    /// or that lacks what could not be fetched.
    pub fn check_no_less(&self, before: &Lists, roots: &TrustRoots) -> Result<(), Error> {
        for (id, lists) in &before.by {
            let found = self.by.get(id).map(Vec::as_slice).unwrap_or_default();
            let Some(first) = lists.first() else { continue };
            if found.is_empty() && !self.is_trusted(first, before, roots) {
                continue;
            }
            let (path, issuer) = (self.path.clone(), first.crl.issuer().to_owned());
            if found.len() < lists.len() {
                return Err(Error::Fewer { path, issuer, expected: lists.len(), found: found.len() });
            }
            let older = made(lists).into_iter().zip(made(found)).find(|(expected, found)| found < expected);
            if let Some((expected, found)) = older {
                return Err(Error::Older { path, issuer, expected, found });
            }
        }
        Ok(())
    }

    /// Whether the authority of a list of `before` leads to `roots`, by what stands in the file or stood in it.
    fn is_trusted(&self, list: &Listed, before: &Lists, roots: &TrustRoots) -> bool {
        let at = list.crl.this_update();
        [&before.issuers, &self.issuers].into_iter().any(|issuers| roots.verify_crl(&list.der, issuers, at).is_ok())
    }

    /// Whether a certificate on the path is listed.
    pub fn take_back(&self, path: &[Issued]) -> bool {
        let listed = |one: &Issued| self.by.get(&one.issuer)?.iter().find(|list| list.crl.takes_back(&one.serial));
        path.iter().any(|one| listed(one).is_some())
    }

    fn all(&self) -> impl Iterator<Item = &Crl> {
        self.by.values().flatten().map(|list| &list.crl)
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

/// When they were made, the newest first.
fn made(lists: &[Listed]) -> Vec<UnixMs> {
    let mut made: Vec<_> = lists.iter().map(|list| list.crl.this_update()).collect();
    made.sort_unstable_by(|one, other| other.cmp(one));
    made
}

fn sections<T: PemObject + AsRef<[u8]>>(path: &Path, pem: &[u8]) -> Result<Vec<Bytes>, Error> {
    let found = T::pem_slice_iter(pem).map(|one| one.map(|one| Bytes::copy_from_slice(one.as_ref())));
    found.collect::<Result<_, _>>().map_err(|source| Error::Malformed { path: path.to_owned(), source })
}
