//! Why a data directory is refused.

use std::ffi::OsString;
use std::path::PathBuf;

use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};

/// Why a data directory is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process holds it.
    #[error("data directory {} is held by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The identity file is not one.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        why: String,
    },
    /// It is not there, or nothing is in it: never made, not mounted, or lost.
    #[error(
        "{} holds no data of a node: a new node's directory is made by `kho data create`; if this node ran before, its disk \
         is not mounted, or lost (then `kho cluster replace` puts a node with a new id in its place)",
        path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// There is something in the place of a new directory.
    #[error("data directory {}: expected an empty directory, found {found:?}", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        found: OsString,
    },
    /// Of another cluster.
    #[error("data directory {}: expected cluster {expected}, found cluster {found}", path.display())]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The configured cluster.
        expected: ClusterId,
        /// The directory's.
        found: ClusterId,
    },
    /// Of another node.
    #[error("data directory {}: expected node {expected}, found node {found}", path.display())]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The configured node.
        expected: NodeId,
        /// The directory's.
        found: NodeId,
    },
    /// Sealed with another keyring.
    #[error("data directory {} was sealed with keyring {expected}, the configured keyring is {found}", path.display())]
    OtherKeyring {
        /// The directory.
        path: PathBuf,
        /// Fingerprint of the keyring that first sealed.
        expected: Digest,
        /// Fingerprint of the configured keyring.
        found: Digest,
    },
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::Io { .. } | Error::Damaged { .. } => Code::DataDirDamaged,
            Error::Missing { .. } => Code::DataDirMissing,
            Error::NotEmpty { .. } => Code::DataDirNotEmpty,
            Error::Locked { .. } => Code::DataDirLocked,
            Error::OtherCluster { .. } => Code::DataDirOtherCluster,
            Error::OtherNode { .. } => Code::DataDirOtherNode,
            Error::OtherKeyring { .. } => Code::KeyringFingerprintMismatch,
        }
    }
}
