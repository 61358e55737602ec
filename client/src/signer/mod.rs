//! Who signs a record. A PEM file now; a token or an HSM fits the same trait.

mod pem;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use kho_proto::signature::Algorithm;

pub use pem::{PemError, PemSigner};

/// Why a signature was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key refused to sign.
    #[error("the key did not sign with {algorithm:?}")]
    Key {
        /// What was asked of it.
        algorithm: Algorithm,
    },
    /// The device that holds the key did not answer, or refused.
    #[error("the signing device: {0}")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Signs the bytes of a header with a unit's key.
///
/// `sign` may take as long as a token needs; it is called once per record, whatever happens to the network.
#[async_trait]
pub trait Signer: Send + Sync {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;

    /// DER certificates: the signer's first, then intermediates towards the root, without the root.
    fn certificates(&self) -> &[Bytes];

    /// Signs `message` as it stands (hashing is part of the algorithm).
    async fn sign(&self, message: &[u8]) -> Result<Bytes, SignError>;
}
