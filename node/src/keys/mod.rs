//! Keys: who wraps data keys, makes tokens and signs the log, and a cache of unwrapped data keys.
//!
//! [`KeyProvider`] is the seam: a file keyring now, PKCS#11 tokens and Vault-style services later. A provider never
//! gives out a key-encryption key.

mod cache;
mod error;
mod guard;
pub mod keyring;
mod notary;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use kho_proto::checkpoint::LogKey;
use kho_proto::digest::Digest;
use kho_proto::id::Epoch;
use kho_proto::sealed::{DataKey, WrapContext};
use kho_proto::tokens::TokenKey;

pub use cache::DataKeys;
pub use error::Error;
pub use guard::{GuardError, Verdict, check_state};
pub use notary::Notary;

/// Wraps data keys, makes tokens, signs the log.
pub trait KeyProvider: Send + Sync + 'static {
    /// Tells this provider's set of keys from any other.
    fn fingerprint(&self) -> Digest;

    /// Tells the key-encryption key from any other; stands beside each wrapped key.
    fn wrapped_by(&self) -> Digest;

    /// Wraps a data key. `nonce`: 96 fresh random bits.
    fn wrap(&self, context: &WrapContext, nonce: [u8; 12], key: &DataKey) -> Result<Bytes, Error>;

    /// Unwraps what `wrap` made for the same context; `wrapped_by` says by which key.
    fn unwrap(&self, context: &WrapContext, wrapped_by: Digest, wrapped: &[u8]) -> Result<DataKey, Error>;

    /// Makes the tokens of index rows.
    fn token_key(&self) -> &TokenKey;

    /// The log's signing key in an epoch.
    fn log_key(&self, epoch: Epoch) -> Result<&LogKey, Error>;
}
