//! The certificates behind a connection, as lists of revoked ones name them.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::{Error, IssuerId, TrustRoots, parse};
use crate::id::UnixMs;

/// A certificate on the path to a root: who issued it, by name and key, and under which number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Whose list may take it back.
    pub issuer: IssuerId,
    /// Content octets of its DER serial number.
    pub serial: Box<[u8]>,
}

impl TrustRoots {
    /// The path from the certificate of a client or a node to a root: that certificate, and the authorities between.
    ///
    /// Whether it may connect is decided by who terminates TLS (a node is client and server, and its certificate is for both). A list that is found by name alone is the wrong one where an
    /// authority has changed its key under its name; so it is the path that says whose list counts.
    pub fn path_of(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        at: UnixTime,
    ) -> Result<Vec<Issued>, Error> {
        let no_path = |error| Error::of_path(UnixMs(at.as_secs().saturating_mul(1000)), error);
        let first = EndEntityCert::try_from(certificate).map_err(no_path)?;
        let usage = KeyUsage::client_auth();
        let path = first.verify_for_usage(algorithms, self.anchors(), others, at, usage, None, None);
        let path = path.map_err(no_path)?;
        let mut serials = vec![first.serial()];
        let mut issuers = Vec::new();
        for (below, authority) in path.intermediate_certificates().enumerate() {
            issuers.push(IssuerId::of(&parse(below + 1, &authority.der())?));
            serials.push(authority.serial());
        }
        issuers.push(self.id_of(path.anchor()));
        let issued = issuers.into_iter().zip(serials);
        Ok(issued.map(|(issuer, serial)| Issued { issuer, serial: serial.into() }).collect())
    }
}
