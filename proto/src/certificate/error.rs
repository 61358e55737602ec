//! Why a certificate or chain is refused.

use std::fmt::Display;

use super::{CERTIFICATE_LENGTH_MAX, CHAIN_LENGTH_MAX, ROOTS_MAX};
use crate::error::{Code, Refusal};
use crate::header::SubmittedAt;
use crate::id::UnixMs;
use crate::signature;

/// Why a certificate or chain is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No certificate, or too many.
    #[error("certificates: expected 1 to {CHAIN_LENGTH_MAX}, found {found}")]
    ChainLength {
        /// How many.
        found: usize,
    },
    /// A certificate is too large.
    #[error("certificate {position}: expected at most {CERTIFICATE_LENGTH_MAX} bytes, found {found}")]
    TooLong {
        /// In the chain; the signer's is 0.
        position: usize,
        /// Bytes.
        found: usize,
    },
    /// A certificate does not parse, or holds what it must not.
    #[error("certificate {position}: expected a der x.509 certificate, version 3: {reason}")]
    Malformed {
        /// In the chain; the signer's is 0.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file of roots is no PEM, or holds none or too many.
    #[error("trusted roots: expected 1 to {ROOTS_MAX} pem certificates: {reason}")]
    Roots {
        /// What is wrong.
        reason: String,
    },
    /// No path to a trusted root.
    #[error("certificate chain: expected a path to a trusted root, found none: {reason}")]
    Untrusted {
        /// The best of the reasons.
        reason: String,
    },
    /// The validity of a certificate in the path has ended.
    #[error("certificate chain: expected validity at {}, found one that ended at {}", text(.at), text(.not_after))]
    Expired {
        /// Time of verification.
        at: UnixMs,
        /// notAfter.
        not_after: UnixMs,
    },
    /// The validity of a certificate in the path has not begun.
    #[error("certificate chain: expected validity at {}, found one that begins at {}", text(.at), text(.not_before))]
    NotYetValid {
        /// Time of verification.
        at: UnixMs,
        /// notBefore.
        not_before: UnixMs,
    },
    /// Key usage, extended key usage or basic constraints forbid it.
    #[error("certificate usage: expected {expected}, found {found}")]
    WrongUsage {
        /// What is needed.
        expected: &'static str,
        /// What the certificate says.
        found: String,
    },
    /// A key or a certificate's signature is of a kind or size that is not accepted.
    #[error(
        "certificate key: expected ed25519, p-256 or rsa of 2048 to 8192 bits with sha-256 or better, found {found}"
    )]
    KeyWeak {
        /// Kind and size.
        found: String,
    },
    /// A certificate in the path was taken back by its authority.
    #[error("certificate {position}: expected one that is not revoked, found one revoked since {} ({reason})", text(.since))]
    Revoked {
        /// In the chain; the signer's is 0.
        position: usize,
        /// Revocation date of the list's entry.
        since: UnixMs,
        /// RFC 5280, 5.3.1, for people.
        reason: &'static str,
    },
    /// No list of revoked certificates speaks of a certificate in the path, and the policy wants one.
    #[error(
        "certificate status: expected a list of revoked certificates of each authority in the path, found none of one"
    )]
    StatusUnknown,
    /// The list that speaks of a certificate is past its nextUpdate, and the policy wants a current one.
    #[error("list of revoked certificates: expected one that is current at {}, found one until {}", text(.at), text(.next_update))]
    CrlExpired {
        /// Time of verification.
        at: UnixMs,
        /// nextUpdate.
        next_update: UnixMs,
    },
    /// A list of revoked certificates does not parse, or is of a kind that is not taken.
    #[error("list of revoked certificates: expected a complete der x.509 crl, version 2: {reason}")]
    CrlMalformed {
        /// What is wrong.
        reason: String,
    },
    /// A list of revoked certificates is signed by nobody who may.
    #[error("list of revoked certificates: expected one that a trusted authority signed: {reason}")]
    CrlUntrusted {
        /// What is wrong.
        reason: String,
    },
    /// The certificate names no unit, or several.
    #[error("certificate unit: expected exactly one san uri urn:kho:unit:CODE, found {found}")]
    UnitMissing {
        /// How many, or what else.
        found: String,
    },
}

fn text(at: &UnixMs) -> SubmittedAt {
    SubmittedAt::from_unix_ms(*at)
}

impl Error {
    pub(super) fn malformed(position: usize, reason: impl Display) -> Self {
        Error::Malformed { position, reason: reason.to_string() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::ChainLength { .. } => Code::CertificateMissing,
            Error::TooLong { .. } | Error::Malformed { .. } | Error::Roots { .. } => Code::CertificateMalformed,
            Error::Untrusted { .. } => Code::CertificateUntrusted,
            Error::Expired { .. } => Code::CertificateExpired,
            Error::NotYetValid { .. } => Code::CertificateNotYetValid,
            Error::WrongUsage { .. } => Code::CertificateWrongUsage,
            Error::KeyWeak { .. } => Code::CertificateKeyWeak,
            Error::UnitMissing { .. } => Code::CertificateUnitMissing,
            Error::Revoked { .. } => Code::CertificateRevoked,
            Error::StatusUnknown => Code::CertificateStatusUnknown,
            Error::CrlExpired { .. } => Code::CrlExpired,
            Error::CrlMalformed { .. } => Code::CrlMalformed,
            Error::CrlUntrusted { .. } => Code::CrlUntrusted,
        }
    }

    /// From a key of the certificate at `position`.
    pub(super) fn of_key(position: usize, error: signature::Error) -> Self {
        match error {
            signature::Error::KeyUnsupported { found } => Error::KeyWeak { found },
            other => Error::malformed(position, other),
        }
    }

    /// From path building.
    pub(super) fn of_path(at: UnixMs, error: webpki::Error) -> Self {
        use webpki::Error as Path;
        let ms = |time: rustls_pki_types::UnixTime| UnixMs(time.as_secs().saturating_mul(1000));
        match error {
            Path::CertExpired { not_after, .. } => Error::Expired { at, not_after: ms(not_after) },
            Path::CertNotValidYet { not_before, .. } => Error::NotYetValid { at, not_before: ms(not_before) },
            Path::UnknownRevocationStatus => Error::StatusUnknown,
            Path::CrlExpired { next_update, .. } => Error::CrlExpired { at, next_update: ms(next_update) },
            Path::RequiredEkuNotFoundContext(context) => {
                let present =
                    context.present.iter().map(|oid| oid.iter().map(usize::to_string).collect::<Vec<_>>().join("."));
                Error::WrongUsage { expected: super::usage::EXTENDED, found: present.collect::<Vec<_>>().join(", ") }
            }
            Path::EmptyEkuExtension => {
                Error::WrongUsage { expected: super::usage::EXTENDED, found: "an empty extension".to_owned() }
            }
            Path::CaUsedAsEndEntity => {
                Error::WrongUsage { expected: "a signer's certificate", found: "a certificate authority's".to_owned() }
            }
            Path::EndEntityUsedAsCa => Error::WrongUsage {
                expected: "certificate authorities as issuers",
                found: "an issuer that is none".to_owned(),
            },
            error @ (Path::UnsupportedSignatureAlgorithmContext(_)
            | Path::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {
                Error::KeyWeak { found: format!("a certificate signed otherwise ({error})") }
            }
            error @ (Path::BadDer
            | Path::BadDerTime
            | Path::ExtensionValueInvalid
            | Path::InvalidCertValidity
            | Path::InvalidSerialNumber
            | Path::MalformedExtensions
            | Path::TrailingData(_)
            | Path::UnsupportedCertVersion
            | Path::UnsupportedCriticalExtension
            | Path::SignatureAlgorithmMismatch) => Error::malformed(0, error),
            error => Error::Untrusted { reason: error.to_string() },
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Refusal::new(error.code(), error.to_string());
        match error {
            Error::ChainLength { found } => {
                refusal.expected_found(format!("1 to {CHAIN_LENGTH_MAX}"), found.to_string())
            }
            Error::TooLong { found, .. } => {
                refusal.expected_found(format!("at most {CERTIFICATE_LENGTH_MAX} bytes"), format!("{found} bytes"))
            }
            Error::Malformed { reason, .. } => refusal.expected_found("a der x.509 certificate, version 3", reason),
            Error::Roots { reason } => refusal.expected_found(format!("1 to {ROOTS_MAX} pem certificates"), reason),
            Error::Untrusted { reason } => refusal.expected_found("a path to a trusted root", reason),
            Error::Expired { at, not_after } => {
                refusal.expected_found(format!("valid at {}", text(&at)), format!("ended at {}", text(&not_after)))
            }
            Error::NotYetValid { at, not_before } => {
                refusal.expected_found(format!("valid at {}", text(&at)), format!("begins at {}", text(&not_before)))
            }
            Error::WrongUsage { expected, found } => refusal.expected_found(expected, found),
            Error::KeyWeak { found } => refusal.expected_found("ed25519, p-256 or rsa of 2048 to 8192 bits", found),
            Error::UnitMissing { found } => refusal.expected_found("one san uri urn:kho:unit:CODE", found),
            Error::Revoked { since, reason, .. } => refusal.expected_found(
                "a certificate that is not revoked",
                format!("revoked since {}, {reason}", text(&since)),
            ),
            Error::StatusUnknown => refusal.expected_found("a crl of each authority in the path", "none of one"),
            Error::CrlExpired { at, next_update } => {
                refusal.expected_found(format!("current at {}", text(&at)), format!("until {}", text(&next_update)))
            }
            Error::CrlMalformed { reason } => refusal.expected_found("a complete der x.509 crl, version 2", reason),
            Error::CrlUntrusted { reason } => refusal.expected_found("the signature of a trusted authority", reason),
        }
    }
}
