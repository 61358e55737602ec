//! X.509: who signed a record, and what a connection's certificate says. `docs/formats/signature.md`.

mod connection;
mod crl;
mod error;
mod roots;
mod san;
#[cfg(test)]
mod tests;
mod usage;

use bytes::Bytes;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub use connection::Issued;
pub use crl::{CRL_LENGTH_MAX, Crl, Crls, IssuerId, RevocationPolicy};
pub use error::Error;
pub use roots::{ROOTS_MAX, TrustRoots};
pub use san::{Sans, sans};

pub use crate::signature::CHAIN_LENGTH_MAX;

use crate::digest::Digest;
use crate::id::{UnitCode, UnixMs};

/// Bytes of a DER certificate, at most.
pub const CERTIFICATE_LENGTH_MAX: usize = 16 << 10;

/// Whose signature a chain proves. Comes from [`TrustRoots::verify_chain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The one unit in the certificate's SAN.
    pub unit: UnitCode,
    /// DER SubjectPublicKeyInfo.
    pub public_key_info: Bytes,
    /// SHA-256 of the signer's DER certificate.
    pub certificate_digest: Digest,
    /// From when the whole chain is valid: the latest notBefore of its certificates.
    pub not_before: UnixMs,
    /// Until when the whole chain is valid, inclusive: the earliest notAfter of its certificates.
    pub not_after: UnixMs,
    /// Distinguished name, for people.
    pub subject: String,
}

/// `position`: 0 for the signer's certificate, then towards the root.
fn parse(position: usize, der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(Error::malformed(position, format_args!("{} bytes after its end", rest.len()))),
        Err(error) => Err(Error::malformed(position, error)),
    }
}
