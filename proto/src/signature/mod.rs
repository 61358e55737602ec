//! Sender signatures: the signature block and its verification. `docs/formats/signature.md`.

mod block;
mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{self as provider, UnparsedPublicKey, VerificationAlgorithm};

pub use block::SignatureBlock;
pub use key::{KeyKind, PublicKey, RSA_BITS};

use crate::error::{Code, Refusal};
use crate::pb::v1 as pb;

/// Version of the signature block.
pub const VERSION: u32 = 1;
/// Bytes of an encoded signature block, at most.
pub const SIGNATURE_BLOCK_LENGTH_MAX: usize = 2048;
/// Bytes of a signature, at most: RSA of 8192 bits.
pub const SIGNATURE_LENGTH_MAX: usize = 1024;
/// Certificates of a chain, at most, the root not counted.
pub const CHAIN_LENGTH_MAX: usize = 6;

const _: () = assert!(SIGNATURE_LENGTH_MAX + CHAIN_LENGTH_MAX * 34 + 16 <= SIGNATURE_BLOCK_LENGTH_MAX);

/// How a header is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 8032.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, ASN.1 DER.
    EcdsaP256Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, salt of 32 bytes.
    RsaPssSha256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 4] =
        [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256, Algorithm::RsaPkcs1Sha256, Algorithm::RsaPssSha256];

    /// Name as in messages and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Algorithm::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Algorithm::RsaPssSha256 => "rsa-pss-sha256",
        }
    }

    /// Whether a key of this kind can make such a signature.
    pub fn fits(self, key: KeyKind) -> bool {
        matches!(
            (self, key),
            (Algorithm::Ed25519, KeyKind::Ed25519)
                | (Algorithm::EcdsaP256Sha256, KeyKind::EcdsaP256)
                | (Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256, KeyKind::Rsa { .. })
        )
    }

    fn provider(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Algorithm::Ed25519 => &provider::ED25519,
            Algorithm::EcdsaP256Sha256 => &provider::ECDSA_P256_SHA256_ASN1,
            Algorithm::RsaPkcs1Sha256 => &provider::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RsaPssSha256 => &provider::RSA_PSS_2048_8192_SHA256,
        }
    }
}

impl TryFrom<i32> for Algorithm {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self, Error> {
        match pb::Algorithm::try_from(number) {
            Ok(pb::Algorithm::Ed25519) => Ok(Algorithm::Ed25519),
            Ok(pb::Algorithm::EcdsaP256Sha256) => Ok(Algorithm::EcdsaP256Sha256),
            Ok(pb::Algorithm::RsaPkcs1Sha256) => Ok(Algorithm::RsaPkcs1Sha256),
            Ok(pb::Algorithm::RsaPssSha256) => Ok(Algorithm::RsaPssSha256),
            Ok(pb::Algorithm::Unspecified) | Err(_) => Err(Error::AlgorithmUnknown { found: number.to_string() }),
        }
    }
}

impl From<Algorithm> for pb::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Ed25519 => pb::Algorithm::Ed25519,
            Algorithm::EcdsaP256Sha256 => pb::Algorithm::EcdsaP256Sha256,
            Algorithm::RsaPkcs1Sha256 => pb::Algorithm::RsaPkcs1Sha256,
            Algorithm::RsaPssSha256 => pb::Algorithm::RsaPssSha256,
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| Error::AlgorithmUnknown { found: crate::error::excerpt(text) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a signature block or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`SIGNATURE_BLOCK_LENGTH_MAX`].
    #[error("signature block: expected at most {SIGNATURE_BLOCK_LENGTH_MAX} bytes, found {found}")]
    BlockTooLong {
        /// Bytes.
        found: usize,
    },
    /// No protobuf of the schema.
    #[error("signature block: expected protobuf kho.v1.SignatureBlock: {0}")]
    BlockMalformed(prost::DecodeError),
    /// Re-encoding gives other bytes.
    #[error("signature block: expected the canonical encoding, found unknown, duplicate, default or unordered fields")]
    BlockNotCanonical,
    /// A field breaks its rule.
    #[error("signature block field {field}: expected {expected}, found {found}")]
    BlockField {
        /// Name in the schema.
        field: &'static str,
        /// Its rule.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// Not one of [`Algorithm::ALL`].
    #[error("expected algorithm ed25519, ecdsa-p256-sha256, rsa-pkcs1-sha256 or rsa-pss-sha256, found {found}")]
    AlgorithmUnknown {
        /// Number or name.
        found: String,
    },
    /// The key cannot make such a signature.
    #[error("expected a signature algorithm that fits the key ({key}), found {algorithm}")]
    AlgorithmKeyMismatch {
        /// The signature's.
        algorithm: Algorithm,
        /// The certificate's.
        key: KeyKind,
    },
    /// The public key is of a kind or size that is not accepted.
    #[error("expected a public key of ed25519, p-256 or rsa of 2048 to 8192 bits, found {found}")]
    KeyUnsupported {
        /// Kind and size.
        found: String,
    },
    /// The public key does not parse.
    #[error("expected a der subject public key info, found something else")]
    KeyMalformed,
    /// The signature does not verify.
    #[error("expected a valid {algorithm} signature of the header, found one that does not verify")]
    Invalid {
        /// The signature's.
        algorithm: Algorithm,
    },
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::BlockTooLong { .. }
            | Error::BlockMalformed(_)
            | Error::BlockNotCanonical
            | Error::BlockField { .. } => Code::SignatureBlockMalformed,
            Error::AlgorithmUnknown { .. } | Error::AlgorithmKeyMismatch { .. } => Code::AlgorithmUnsupported,
            Error::KeyUnsupported { .. } => Code::CertificateKeyWeak,
            Error::KeyMalformed => Code::CertificateMalformed,
            Error::Invalid { .. } => Code::SignatureInvalid,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Refusal::new(error.code(), error.to_string());
        match error {
            Error::BlockTooLong { found } => {
                refusal.expected_found(format!("at most {SIGNATURE_BLOCK_LENGTH_MAX} bytes"), found.to_string())
            }
            Error::BlockField { expected, found, .. } => refusal.expected_found(expected, found),
            Error::AlgorithmUnknown { found } => {
                refusal.expected_found(Algorithm::ALL.map(Algorithm::as_str).join(", "), found)
            }
            Error::AlgorithmKeyMismatch { algorithm, key } => {
                refusal.expected_found(format!("an algorithm for {key}"), algorithm.to_string())
            }
            Error::KeyUnsupported { found } => {
                refusal.expected_found("ed25519, p-256 or rsa of 2048 to 8192 bits", found)
            }
            Error::BlockMalformed(_) | Error::BlockNotCanonical | Error::KeyMalformed | Error::Invalid { .. } => {
                refusal
            }
        }
    }
}

/// Verifies `signature` over `message` with a public key given as DER SubjectPublicKeyInfo (RFC 5280, 4.1).
/// The algorithm must fit the key.
pub fn verify(
    algorithm: Algorithm,
    subject_public_key_info_der: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let key = PublicKey::from_der(subject_public_key_info_der)?;
    if !algorithm.fits(key.kind()) {
        return Err(Error::AlgorithmKeyMismatch { algorithm, key: key.kind() });
    }
    UnparsedPublicKey::new(algorithm.provider(), key.bits())
        .verify(message, signature)
        .map_err(|_| Error::Invalid { algorithm })
}
