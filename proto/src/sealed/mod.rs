//! Sealed parts: what a record is outside memory. `docs/formats/sealed.md`.
//!
//! ```text
//! version (1) = 1 | part (1) | nonce (12) | ciphertext and tag (16)
//! key = HKDF-SHA-256(ikm = data key, no salt, info = "kho sealed v1" | record id | part)
//! aad = version | cluster id | data-key id | record id | part | SHA-256(header) | SHA-256(signature block)
//! ```
//!
//! The caller brings the nonce: 96 random bits for every call.

mod aead;
mod chunk;
mod head;
mod key;
#[cfg(test)]
mod tests;
mod wrap;

use std::fmt;

use bytes::Bytes;

pub use chunk::ChunkContext;
pub use head::Head;
pub(crate) use key::secret;
pub use key::{DataKey, KeyEncryptionKey};
pub use wrap::{WRAPPED_KEY_LENGTH, WrapContext, unwrap_key, wrap_key};

use crate::digest::Digest;
use crate::error::Code;
use crate::id::{ClusterId, KeyId, RecordId};

/// Version of the layout.
pub const VERSION: u8 = 1;
/// Bytes of a nonce.
pub const NONCE_LENGTH: usize = 12;
/// Bytes that sealing adds: version, part, nonce and tag.
pub const OVERHEAD: usize = 1 + 1 + NONCE_LENGTH + aead::TAG_LENGTH;

const INFO: &[u8] = b"kho sealed v1";

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Header and signature block, see [`Head`].
    Head,
    /// The payload.
    Payload,
    /// A DER certificate.
    Certificate,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 3] = [Part::Head, Part::Payload, Part::Certificate];

    /// Its byte in layout, key derivation and additional data.
    pub fn byte(self) -> u8 {
        match self {
            Part::Head => 1,
            Part::Payload => 2,
            Part::Certificate => 3,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Head => "head",
            Part::Payload => "payload",
            Part::Certificate => "certificate",
        })
    }
}

/// What a sealed part is bound to: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Id of the data key.
    pub key_id: KeyId,
    /// The record; zero for a certificate.
    pub record_id: RecordId,
    /// SHA-256 of the header; of the certificate for a certificate.
    pub header_digest: Digest,
    /// SHA-256 of the signature block; zero for a certificate.
    pub signature_block_digest: Digest,
}

impl SealContext {
    /// The context of a certificate, which belongs to no single record.
    pub fn certificate(cluster_id: ClusterId, key_id: KeyId, certificate_digest: Digest) -> Self {
        SealContext {
            cluster_id,
            key_id,
            record_id: RecordId([0; 16]),
            header_digest: certificate_digest,
            signature_block_digest: Digest::ZERO,
        }
    }

    fn additional_data(&self, part: Part) -> Vec<u8> {
        [
            &[VERSION][..],
            self.cluster_id.as_ref(),
            self.key_id.as_ref(),
            self.record_id.as_ref(),
            &[part.byte()],
            self.header_digest.as_ref(),
            self.signature_block_digest.as_ref(),
        ]
        .concat()
    }

    fn info(&self, part: Part) -> Vec<u8> {
        [INFO, self.record_id.as_ref(), &[part.byte()]].concat()
    }
}

/// Why a sealed part or a wrapped key does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than any sealed part.
    #[error("sealed {what}: expected at least {expected} bytes, found {found}")]
    TooShort {
        /// Part, or key.
        what: &'static str,
        /// Bytes.
        expected: usize,
        /// Bytes.
        found: usize,
    },
    /// Of another version.
    #[error("sealed {what}: expected version {expected}, found {found}", expected = VERSION)]
    Version {
        /// Part, or key.
        what: &'static str,
        /// First byte.
        found: u8,
    },
    /// Another part than asked for.
    #[error("sealed part: expected {expected}, found part byte {found}")]
    Part {
        /// Asked for.
        expected: Part,
        /// Second byte.
        found: u8,
    },
    /// Damaged, or sealed for another place or with another key.
    #[error("sealed {what}: expected a valid authentication tag, found damage, another key or another context")]
    NotAuthentic {
        /// Part, or key.
        what: &'static str,
    },
    /// The opened head does not decode.
    #[error("sealed head: expected header and signature block: {0}")]
    HeadMalformed(prost::DecodeError),
}

impl Error {
    /// `record-damaged`: whatever the reason, the bytes cannot be served.
    pub fn code(&self) -> Code {
        Code::RecordDamaged
    }
}

impl Part {
    fn what(self) -> &'static str {
        match self {
            Part::Head => "head",
            Part::Payload => "payload",
            Part::Certificate => "certificate",
        }
    }
}

/// Seals `plaintext`. `nonce` must be fresh: 96 random bits.
pub fn seal(context: &SealContext, part: Part, key: &DataKey, nonce: [u8; NONCE_LENGTH], plaintext: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(OVERHEAD + plaintext.len());
    out.extend_from_slice(&[VERSION, part.byte()]);
    out.extend_from_slice(&nonce);
    let key = aead::derive(key.as_bytes(), &context.info(part));
    aead::seal(&key, nonce, &context.additional_data(part), plaintext, &mut out);
    out.into()
}

/// Opens what [`seal`] made for the same context and part.
pub fn open(context: &SealContext, part: Part, key: &DataKey, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let what = part.what();
    if sealed.len() < OVERHEAD {
        return Err(Error::TooShort { what, expected: OVERHEAD, found: sealed.len() });
    }
    if sealed[0] != VERSION {
        return Err(Error::Version { what, found: sealed[0] });
    }
    if sealed[1] != part.byte() {
        return Err(Error::Part { expected: part, found: sealed[1] });
    }
    let (nonce, ciphertext) = sealed[2..].split_at(NONCE_LENGTH);
    let key = aead::derive(key.as_bytes(), &context.info(part));
    aead::open(&key, nonce, &context.additional_data(part), ciphertext).ok_or(Error::NotAuthentic { what })
}
