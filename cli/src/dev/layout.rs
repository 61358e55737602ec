//! Where everything lies in a development cluster's directory.

use std::path::{Path, PathBuf};

use kho_proto::id::{NodeId, UnitCode};

use crate::client_file::TlsFiles;

/// A plane with an authority of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Towards clients.
    Client,
    /// Between nodes.
    Peer,
    /// Towards operators.
    Admin,
    /// Towards anybody: the public log.
    Log,
    /// No plane of the network: signers of records.
    Signers,
}

impl Plane {
    /// All five.
    pub const ALL: [Plane; 5] = [Plane::Client, Plane::Peer, Plane::Admin, Plane::Log, Plane::Signers];

    /// As files are named.
    pub fn as_str(self) -> &'static str {
        match self {
            Plane::Client => "client",
            Plane::Peer => "peer",
            Plane::Admin => "admin",
            Plane::Log => "log",
            Plane::Signers => "signers",
        }
    }

    /// File name of its authority, without `.pem`.
    pub fn authority(self) -> String {
        format!("{}-ca", self.as_str())
    }
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The exchange platform: submits and reads for every unit.
    Platform,
    /// An operator: the admin plane.
    Operator,
    /// One unit's own system: submits and reads for itself.
    Unit(UnitCode),
}

impl Identity {
    /// File name, without `.pem`.
    pub fn name(&self) -> String {
        match self {
            Identity::Platform => "platform".to_owned(),
            Identity::Operator => "operator".to_owned(),
            Identity::Unit(unit) => format!("unit-{unit}"),
        }
    }

    /// Where it connects to.
    pub fn plane(&self) -> Plane {
        match self {
            Identity::Operator => Plane::Admin,
            Identity::Platform | Identity::Unit(_) => Plane::Client,
        }
    }
}

/// Paths below one directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Below `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Authorities: `client-ca.pem`, `client-ca.key.pem` and so on.
    pub fn authorities(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// Certificate of a plane's authority.
    pub fn trust(&self, plane: Plane) -> PathBuf {
        self.authorities().join(format!("{}.pem", plane.authority()))
    }

    /// Certificates of connections.
    pub fn identities(&self) -> PathBuf {
        self.dir.join("identities")
    }

    /// A connection's files.
    pub fn identity(&self, identity: &Identity) -> TlsFiles {
        let name = identity.name();
        TlsFiles {
            certificate: self.identities().join(format!("{name}.pem")),
            key: self.identities().join(format!("{name}.key.pem")),
            trust: self.trust(identity.plane()),
        }
    }

    /// Certificates of record signers.
    pub fn signers(&self) -> PathBuf {
        self.dir.join("signers")
    }

    /// A unit's signer: certificate and key.
    pub fn signer(&self, unit: &UnitCode) -> (PathBuf, PathBuf) {
        (self.signers().join(format!("{unit}.pem")), self.signers().join(format!("{unit}.key.pem")))
    }

    /// The keyring that all nodes share.
    pub fn keyring(&self) -> PathBuf {
        self.dir.join("keyring")
    }

    /// Addresses and ids: what makes a directory a cluster.
    pub fn cluster_file(&self) -> PathBuf {
        self.dir.join("cluster.toml")
    }

    /// Clients' configuration.
    pub fn client_file(&self) -> PathBuf {
        self.dir.join("client.toml")
    }

    /// Configuration of `kho drill`: a system and a signer of the reserved unit.
    pub fn drill_file(&self) -> PathBuf {
        self.dir.join("drill.toml")
    }

    /// A node's configuration.
    pub fn node_file(&self, node: NodeId) -> PathBuf {
        self.dir.join(format!("node{node}.toml"))
    }

    /// A node's certificates.
    pub fn node_certificates(&self, node: NodeId) -> PathBuf {
        self.dir.join("nodes").join(format!("node{node}"))
    }

    /// A node's files on one plane.
    pub fn node_tls(&self, node: NodeId, plane: Plane) -> TlsFiles {
        let dir = self.node_certificates(node);
        TlsFiles {
            certificate: dir.join(format!("{}.pem", plane.as_str())),
            key: dir.join(format!("{}.key.pem", plane.as_str())),
            trust: self.trust(plane),
        }
    }

    /// A node's data directory.
    pub fn data_dir(&self, node: NodeId) -> PathBuf {
        self.dir.join("data").join(format!("node{node}"))
    }

    /// What a node's process printed.
    pub fn log_file(&self, node: NodeId) -> PathBuf {
        self.dir.join("logs").join(format!("node{node}.log"))
    }

    /// `path` as a file in the directory names it: relative, so that the directory can be moved.
    pub fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dir).unwrap_or(path).to_owned()
    }
}
