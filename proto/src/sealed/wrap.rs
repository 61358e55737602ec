//! Data keys wrapped by the key-encryption key.
//!
//! ```text
//! version (1) = 1 | nonce (12) | wrapped key (32) and tag (16)
//! key = HKDF-SHA-256(ikm = key-encryption key, no salt, info = "kho wrapped key v1" | data-key id)
//! aad = version | cluster id | data-key id | unit token | generation (4, big endian)
//! ```

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{DataKey, Error, KeyEncryptionKey, NONCE_LENGTH, VERSION, aead};
use crate::id::{ClusterId, KeyId, Token};

/// Bytes of a wrapped key.
pub const WRAPPED_KEY_LENGTH: usize = 1 + NONCE_LENGTH + 32 + aead::TAG_LENGTH;

const INFO: &[u8] = b"kho wrapped key v1";
const WHAT: &str = "data key";

/// What a wrapped key is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapContext {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Id of the data key.
    pub key_id: KeyId,
    /// The unit that it belongs to.
    pub unit_token: Token,
    /// Generation among the unit's keys.
    pub generation: u32,
}

impl WrapContext {
    fn additional_data(&self) -> Vec<u8> {
        [
            &[VERSION][..],
            self.cluster_id.as_ref(),
            self.key_id.as_ref(),
            self.unit_token.as_ref(),
            &self.generation.to_be_bytes(),
        ]
        .concat()
    }

    fn info(&self) -> Vec<u8> {
        [INFO, self.key_id.as_ref()].concat()
    }
}

/// Wraps a data key. `nonce` must be fresh: 96 random bits.
pub fn wrap_key(context: &WrapContext, kek: &KeyEncryptionKey, nonce: [u8; NONCE_LENGTH], key: &DataKey) -> Bytes {
    let mut out = Vec::with_capacity(WRAPPED_KEY_LENGTH);
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    let wrapping = aead::derive(kek.as_bytes(), &context.info());
    aead::seal(&wrapping, nonce, &context.additional_data(), key.as_bytes(), &mut out);
    out.into()
}

/// Unwraps what [`wrap_key`] made for the same context.
pub fn unwrap_key(context: &WrapContext, kek: &KeyEncryptionKey, wrapped: &[u8]) -> Result<DataKey, Error> {
    if wrapped.len() < WRAPPED_KEY_LENGTH {
        return Err(Error::TooShort { what: WHAT, expected: WRAPPED_KEY_LENGTH, found: wrapped.len() });
    }
    if wrapped[0] != VERSION {
        return Err(Error::Version { what: WHAT, found: wrapped[0] });
    }
    let (nonce, ciphertext) = wrapped[1..].split_at(NONCE_LENGTH);
    let wrapping = aead::derive(kek.as_bytes(), &context.info());
    let opened = aead::open(&wrapping, nonce, &context.additional_data(), ciphertext);
    let opened = Zeroizing::new(opened.ok_or(Error::NotAuthentic { what: WHAT })?);
    // A longer plaintext can't come from here, though its tag holds: somebody else has the key.
    opened.as_slice().try_into().map(DataKey::new).map_err(|_| Error::NotAuthentic { what: WHAT })
}
