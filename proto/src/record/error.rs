//! Why a record is refused.

use super::RECORD_LENGTH_MAX;
use crate::certificate;
use crate::digest::Digest;
use crate::error::{Code, Refusal};
use crate::header;
use crate::id::UnitCode;
use crate::signature;

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than any record.
    #[error("record: expected at most {RECORD_LENGTH_MAX} bytes, found {found}")]
    TooLong {
        /// Bytes.
        found: usize,
    },
    /// No protobuf of the schema.
    #[error("record: expected protobuf kho.v1.SignedRecord: {0}")]
    Malformed(prost::DecodeError),
    /// The header or the payload.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The signature block or the signature.
    #[error(transparent)]
    Signature(#[from] signature::Error),
    /// Fewer or more certificates than the block names.
    #[error("certificates: expected the {expected} that the signature block names, found {found}")]
    CertificateCount {
        /// Named.
        expected: usize,
        /// Sent.
        found: usize,
    },
    /// Another certificate than the block names.
    #[error("certificate {position}: expected digest {expected} as the signature block says, found {found}")]
    CertificateOther {
        /// In the chain; the signer's is 0.
        position: usize,
        /// Named.
        expected: Digest,
        /// Sent.
        found: Digest,
    },
    /// The chain.
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    /// The signer signs for another unit.
    #[error("signer: expected unit {expected} as the header says, found {found} in the certificate")]
    SignerUnit {
        /// The header's.
        expected: UnitCode,
        /// The certificate's.
        found: UnitCode,
    },
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::TooLong { .. } | Error::Malformed(_) => Code::RequestMalformed,
            Error::Header(error) => error.code(),
            Error::Signature(error) => error.code(),
            Error::CertificateCount { .. } | Error::CertificateOther { .. } => Code::CertificateMissing,
            Error::Certificate(error) => error.code(),
            Error::SignerUnit { .. } => Code::SignerUnitMismatch,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Refusal::new(error.code(), error.to_string());
        match error {
            Error::Header(error) => error.into(),
            Error::Signature(error) => error.into(),
            Error::Certificate(error) => error.into(),
            Error::TooLong { found } => {
                refusal.expected_found(format!("at most {RECORD_LENGTH_MAX} bytes"), format!("{found} bytes"))
            }
            Error::Malformed(_) => refusal,
            Error::CertificateCount { expected, found } => {
                refusal.expected_found(format!("{expected} certificates"), format!("{found} certificates"))
            }
            Error::CertificateOther { expected, found, .. } => {
                refusal.expected_found(expected.to_string(), found.to_string())
            }
            Error::SignerUnit { expected, found } => refusal.expected_found(expected.to_string(), found.to_string()),
        }
    }
}
