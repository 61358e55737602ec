//! Certificates for development: five separate authorities (client plane, peer plane, admin plane, public log, record
//! signers), and what they issue. A production cluster takes its certificates from a real authority; the
//! names that Kho reads in them are the same:
//!
//! | SAN URI | where | meaning |
//! | --- | --- | --- |
//! | `urn:kho:node:CLUSTER:ID` | peer plane | this node of this cluster |
//! | `urn:kho:role:ROLE` | client and admin plane | `submitter`, `reader`, `operator`, `auditor` |
//! | `urn:kho:unit:CODE` | client plane, signers | a unit that may be submitted for; the signer's unit |
//! | `urn:kho:units:all` | client plane | a platform that submits for every unit |

mod authority;
mod profile;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use authority::{Authority, Validity};
pub use profile::{Profile, Role};

/// The kind of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256.
    P256,
    /// RSA of 2048 bits; signs PKCS#1 or PSS.
    Rsa2048,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [KeyKind; 3] = [KeyKind::Ed25519, KeyKind::P256, KeyKind::Rsa2048];

    /// As the command line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ed25519",
            KeyKind::P256 => "p256",
            KeyKind::Rsa2048 => "rsa2048",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        KeyKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("expected ed25519, p256 or rsa2048, found {text:?}"))
    }
}

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate could not be built: usually a name that X.509 does not allow.
    #[error("certificate for {subject:?}: {source}")]
    Build {
        /// Common name asked for.
        subject: String,
        /// The builder's words.
        source: rcgen::Error,
    },
    /// A file of an authority does not parse.
    #[error("{}: not a certificate authority's {what}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// `certificate` or `key`.
        what: &'static str,
        /// The parser's words.
        source: rcgen::Error,
    },
    /// An authority stands there already.
    #[error("{}: exists already; a new key would cut off all that this authority has issued", path.display())]
    Exists {
        /// Its certificate or key.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A certificate and its private key, PEM.
pub struct Issued {
    /// Certificate, PEM.
    pub certificate: String,
    /// Private key, PKCS#8 PEM.
    pub key: String,
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key.pem` (mode 0600) and returns both paths.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(PathBuf, PathBuf), Error> {
        let certificate = dir.join(format!("{name}.pem"));
        let key = dir.join(format!("{name}.key.pem"));
        crate::files::write(&certificate, self.certificate.as_bytes())
            .map_err(|source| Error::File { path: certificate.clone(), source })?;
        crate::files::write_private(&key, self.key.as_bytes())
            .map_err(|source| Error::File { path: key.clone(), source })?;
        Ok((certificate, key))
    }
}

#[cfg(test)]
mod tests;
