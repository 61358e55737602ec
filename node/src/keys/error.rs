//! Why a key can't be used, or a keyring is refused.

use std::path::PathBuf;

use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, Epoch};

/// Why a key can't be used, or a keyring is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing the keyring failed.
    #[error("keyring {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is a file already where a new keyring was to be.
    #[error("keyring {}: expected no file, found one: a keyring is never written over", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Not a keyring, or changed.
    #[error("keyring {}: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was expected and found; never key material.
        why: String,
    },
    /// Group or others may touch it.
    #[error("keyring {}: expected permissions 600 or less, found {mode:o}", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Of another cluster.
    #[error("keyring {}: expected cluster {expected}, found cluster {found}", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The configured cluster.
        expected: ClusterId,
        /// The keyring's.
        found: ClusterId,
    },
    /// The state was made with other keys.
    #[error("expected {what} {expected}, as the cluster's state says, found {found} in the keyring")]
    Mismatch {
        /// Which key.
        what: &'static str,
        /// Public part or fingerprint in the state.
        expected: Digest,
        /// Of the keyring.
        found: Digest,
    },
    /// No log key for the epoch.
    #[error("expected a log key for epoch {epoch}, found none in the keyring")]
    NoLogKey {
        /// The epoch.
        epoch: Epoch,
    },
    /// A wrapped key does not open.
    #[error("data key: {0}")]
    Unwrap(kho_proto::sealed::Error),
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::Io { .. } => Code::KeyringUnreadable,
            Error::Exists { .. } => Code::KeyringExists,
            Error::Corrupt { .. } => Code::KeyringCorrupt,
            Error::Permissions { .. } => Code::KeyringPermissions,
            Error::OtherCluster { .. } => Code::KeyringOtherCluster,
            Error::Mismatch { .. } => Code::KeyringFingerprintMismatch,
            Error::NoLogKey { .. } => Code::KeysMissing,
            Error::Unwrap(_) => Code::RecordDamaged,
        }
    }
}
