//! What can go wrong with a development cluster.

use std::path::PathBuf;

use kho_proto::error::Code;
use kho_proto::id::NodeId;

/// Why the cluster did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// There is something already.
    #[error("{} holds a cluster already (cluster.toml): choose another directory, or remove it", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// `cluster.toml` is not of its form.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Names the field.
        source: Box<toml::de::Error>,
    },
    /// A configuration could not be written down.
    #[error("configuration: {0}")]
    Serialize(#[from] toml::ser::Error),
    /// Too few or too many nodes.
    #[error("expected 1 to {max} nodes, found {found}", max = super::create::NODES_MAX)]
    Nodes {
        /// How many.
        found: u64,
    },
    /// No free ports.
    #[error("no {wanted} free ports between {from} and {to}")]
    Ports {
        /// How many are needed.
        wanted: usize,
        /// First that was tried.
        from: u16,
        /// Last that was tried.
        to: u16,
    },
    /// No such node.
    #[error("no node {0} in this cluster")]
    NoNode(NodeId),
    /// The node is in another state.
    #[error("node {node} is {found}, expected {expected}")]
    State {
        /// Which node.
        node: NodeId,
        /// `running` or `stopped`.
        expected: &'static str,
        /// The other.
        found: &'static str,
    },
    /// The executable `kho` was not found.
    #[error("executable kho not found beside {}: build it, or set KHO_BIN", beside.display())]
    NoExecutable {
        /// The running executable.
        beside: PathBuf,
    },
    /// A process did not start, or did not take a signal.
    #[error("node {node}: {source}; its log is {}", log.display())]
    Process {
        /// Which node.
        node: NodeId,
        /// The system's words.
        source: std::io::Error,
        /// Its log.
        log: PathBuf,
    },
    /// A node ended by itself.
    #[error("node {node} ended: {status}; its log is {}: {tail}", log.display())]
    Ended {
        /// Which node.
        node: NodeId,
        /// Exit code or signal.
        status: std::process::ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Waited too long.
    #[error("waited {waited_ms} ms for {what}: {last}")]
    Timeout {
        /// How long.
        waited_ms: u128,
        /// For what.
        what: &'static str,
        /// What was there instead.
        last: String,
    },
    /// Certificates.
    #[error(transparent)]
    Certificates(#[from] crate::certs::Error),
    /// Keyring.
    #[error(transparent)]
    Keyring(#[from] kho_node::keys::Error),
    /// A data directory.
    #[error(transparent)]
    DataDir(#[from] kho_node::data_dir::Error),
    /// An operator's call.
    #[error(transparent)]
    Admin(#[from] crate::admin::Error),
    /// `client.toml`.
    #[error(transparent)]
    ClientFile(#[from] crate::client_file::Error),
    /// The client.
    #[error(transparent)]
    Client(#[from] kho_client::ConfigError),
    /// A certificate file of a connection.
    #[error(transparent)]
    Channel(#[from] kho_client::channel::Error),
    /// A signer's files.
    #[error(transparent)]
    Signer(#[from] kho_client::PemError),
}

impl Error {
    /// Stable code of what was wrong underneath, if that has one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Keyring(error) => Some(error.code()),
            Error::DataDir(error) => Some(error.code()),
            Error::Admin(error) => Some(error.code()),
            Error::ClientFile(error) => Some(error.code()),
            Error::Client(error) => Some(error.code()),
            Error::Channel(error) => Some(error.code()),
            Error::Signer(error) => Some(error.code()),
            _ => None,
        }
    }
}
