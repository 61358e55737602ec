//! Why a client file is of no use.

use std::path::PathBuf;

use kho_proto::error::Code;

use crate::admin;

/// Why a client file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is not of its form.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Names the field and the line.
        source: Box<toml::de::Error>,
    },
    /// There is none.
    #[error(
        "{}: no such file: name the client file with --config or KHO_CONFIG; kho config example --client prints one to fill \
         in, and kho cluster new makes one for a development cluster",
        path.display()
    )]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// It is a node's configuration.
    #[error(
        "{}: expected a client file (nodes, tls, verifier_key), found a node's configuration, which kho serve takes; kho \
         config example --client prints one",
        path.display()
    )]
    Node {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written down.
    #[error("client file: {0}")]
    Serialize(#[from] toml::ser::Error),
    /// Something is not configured that the command needs.
    #[error("{field} is not set in the client file: {needed_for}")]
    Missing {
        /// The field.
        field: &'static str,
        /// What needs it.
        needed_for: &'static str,
    },
    /// A field's value is wrong.
    #[error("{field}: expected {expected}, found {found:?}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Another key is pinned.
    #[error(
        "{}: verifier_key: expected {found} as the cluster says, found {pinned} pinned: another cluster, or another log; \
         remove the line if you mean to trust the new one",
        path.display()
    )]
    Pinned {
        /// The file.
        path: PathBuf,
        /// What it says.
        pinned: String,
        /// What was to be pinned.
        found: String,
    },
    /// Certificate files, addresses.
    #[error(transparent)]
    Client(#[from] kho_client::ConfigError),
    /// Certificate files of the admin plane.
    #[error(transparent)]
    Channel(#[from] kho_client::channel::Error),
    /// Signer's files.
    #[error("signer: {0}")]
    Signer(#[from] kho_client::PemError),
    /// Name of an algorithm.
    #[error("signer.algorithm: {0}")]
    Algorithm(#[from] kho_proto::signature::Error),
    /// Admin connection.
    #[error(transparent)]
    Admin(#[from] admin::Error),
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::File { .. }
            | Error::Absent { .. }
            | Error::Node { .. }
            | Error::Malformed { .. }
            | Error::Serialize(_)
            | Error::Missing { .. }
            | Error::Value { .. }
            | Error::Pinned { .. } => Code::ConfigInvalid,
            Error::Client(error) => error.code(),
            Error::Channel(error) => error.code(),
            Error::Signer(error) => error.code(),
            Error::Algorithm(error) => error.code(),
            Error::Admin(error) => error.code(),
        }
    }
}
