//! Configuration: one struct per component, defaults in one place, one `validate` per struct.
//!
//! Unknown fields are refused. Relative paths are relative to the file that names them.

mod attachments;
mod catalogue;
mod defaults;
mod disk;
mod error;
mod limits;
mod quotas;
mod raft;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kho_proto::certificate::RevocationPolicy;
use kho_proto::id::{ClusterId, NodeId};
use serde::Deserialize;

pub use attachments::AttachmentsConfig;
pub use catalogue::CatalogueConfig;
pub use disk::DiskConfig;
pub use error::Error;
pub use limits::LimitsConfig;
pub use quotas::{QuotasConfig, Rates, UnitQuotaConfig};
pub use raft::RaftConfig;
pub use storage::StorageConfig;

/// Members of a cluster, at most: beyond that a majority costs more than it protects.
pub const MEMBERS_MAX: usize = 9;

/// Everything a node is told at start (`node.toml`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The cluster this node belongs to.
    #[serde(deserialize_with = "parsed")]
    pub cluster_id: ClusterId,
    /// This node's id; never reused in a cluster.
    pub node_id: u64,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// File keyring; without one the node replicates and refuses to write.
    pub keyring: Option<PathBuf>,
    /// Addresses to listen on.
    pub listen: ListenConfig,
    /// Certificates of the listeners.
    pub tls: TlsConfig,
    /// Who may sign records.
    pub signers: SignersConfig,
    /// All nodes of the cluster, this one too.
    pub members: Vec<MemberConfig>,
    /// Timing of the consensus.
    #[serde(default)]
    pub raft: RaftConfig,
    /// Logs.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Memory and compression of the databases.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Bounds on connections and queues.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Room that is kept on the disk.
    #[serde(default)]
    pub disk: DiskConfig,
    /// How much each unit may send.
    #[serde(default)]
    pub quotas: QuotasConfig,
    /// Who keeps the catalogue of units and regimes.
    #[serde(default)]
    pub catalogue: CatalogueConfig,
    /// Attachments: how large, and how long one waits for its record.
    #[serde(default)]
    pub attachments: AttachmentsConfig,
}

/// `host:port` of each listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// For clients.
    pub client: String,
    /// For the other nodes.
    pub peer: String,
    /// For operators, and metrics.
    pub admin: String,
    /// The public log; none: it is not published here.
    pub log: Option<String>,
}

/// Certificates of each listener; each plane has its own trust roots.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// For clients.
    pub client: TlsFiles,
    /// For the other nodes, in both directions.
    pub peer: TlsFiles,
    /// For operators.
    pub admin: TlsFiles,
    /// The public log: everybody may read it.
    pub log: Option<CertificateFiles>,
}

/// PEM files of a listener that asks nobody for a certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The node's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// PEM files of one plane.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The node's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Roots that the other side's certificate must chain to.
    pub trust: PathBuf,
    /// Lists of revoked certificates of these roots: who is listed is not talked to.
    pub crl: Option<PathBuf>,
}

/// Who may sign records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignersConfig {
    /// PEM file of trusted roots.
    pub trust: PathBuf,
    /// What a list of revoked certificates past its nextUpdate counts for.
    #[serde(default)]
    pub expired_crl: Silence,
    /// What a certificate counts for whose authority has no list.
    #[serde(default)]
    pub missing_crl: Silence,
}

/// What is made of an authority that says nothing, or nothing new, of what it revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Silence {
    /// What it said last counts: an authority that is late must not stop the reports of a country.
    #[default]
    Accept,
    /// Records that it would have to speak of are refused.
    Refuse,
}

impl SignersConfig {
    /// The same for verdicts.
    pub fn revocation_policy(&self) -> RevocationPolicy {
        let accept = |silence| silence == Silence::Accept;
        RevocationPolicy { accept_expired: accept(self.expired_crl), accept_unknown: accept(self.missing_crl) }
    }
}

/// One node of the cluster, as the others and clients reach it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Node id.
    pub id: u64,
    /// `host:port` for clients.
    pub client: String,
    /// `host:port` for the other nodes.
    pub peer: String,
    /// `host:port` for operators.
    pub admin: String,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Filter in the form of `tracing_subscriber::EnvFilter`, e.g. `info,kho_node=debug`.
    pub log: String,
    /// Form of the lines.
    pub format: LogFormat,
}

impl Config {
    /// Reads, resolves and validates a file.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, base).map_err(|error| error.in_file(path))
    }

    /// Parses and validates a text whose relative paths are relative to `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Config, Error> {
        let mut config: Config = toml::from_str(text).map_err(|error| Error::malformed(&error))?;
        for path in config.paths_mut() {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        }
        config.validate()?;
        Ok(config)
    }

    /// Node ids and their addresses.
    pub fn members(&self) -> BTreeMap<NodeId, &MemberConfig> {
        self.members.iter().map(|member| (NodeId(member.id), member)).collect()
    }

    /// This node's id.
    pub fn node(&self) -> NodeId {
        NodeId(self.node_id)
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let TlsConfig { client, peer, admin, log } = &mut self.tls;
        [client, peer, admin]
            .into_iter()
            .flat_map(|files| {
                [&mut files.certificate, &mut files.key, &mut files.trust].into_iter().chain(&mut files.crl)
            })
            .chain(log.iter_mut().flat_map(|files| [&mut files.certificate, &mut files.key]))
            .chain([&mut self.data_dir, &mut self.signers.trust])
            .chain(self.keyring.as_mut())
    }

    /// Checks every value against its range and the values against each other.
    pub fn validate(&self) -> Result<(), Error> {
        error::within("node_id", self.node_id, 1, u64::from(u32::MAX))?;
        for (field, address) in [
            ("listen.client", &self.listen.client),
            ("listen.peer", &self.listen.peer),
            ("listen.admin", &self.listen.admin),
        ] {
            error::address(field, address)?;
        }
        match (&self.listen.log, &self.tls.log) {
            (Some(address), Some(_)) => error::address("listen.log", address)?,
            (None, None) => {}
            (Some(_), None) => {
                return Err(Error::range("tls.log", "none", "certificate and key, as listen.log is set"));
            }
            (None, Some(_)) => return Err(Error::range("listen.log", "none", "host:port, as tls.log is set")),
        }
        error::within("members (their number)", self.members.len() as u64, 1, MEMBERS_MAX as u64)?;
        for (n, member) in self.members.iter().enumerate() {
            error::within(&format!("members[{n}].id"), member.id, 1, u64::from(u32::MAX))?;
            error::address(&format!("members[{n}].client"), &member.client)?;
            error::address(&format!("members[{n}].peer"), &member.peer)?;
            error::address(&format!("members[{n}].admin"), &member.admin)?;
            if self.members[..n].iter().any(|other| other.id == member.id) {
                return Err(Error::range(&format!("members[{n}].id"), member.id, "an id that no other member has"));
            }
            if self.members[..n].iter().any(|other| other.peer == member.peer) {
                return Err(Error::range(
                    &format!("members[{n}].peer"),
                    &member.peer,
                    "an address that no other member has",
                ));
            }
        }
        if !self.members.iter().any(|member| member.id == self.node_id) {
            let ids: Vec<String> = self.members.iter().map(|member| member.id.to_string()).collect();
            return Err(Error::range(
                "node_id",
                self.node_id,
                &format!("one of the members' ids ({})", ids.join(", ")),
            ));
        }
        if self.telemetry.log.is_empty() {
            return Err(Error::range("telemetry.log", "", "a log filter such as \"info\""));
        }
        self.raft.validate()?;
        self.storage.validate()?;
        self.limits.validate()?;
        self.disk.validate()?;
        self.quotas.validate()?;
        self.catalogue.validate()?;
        self.attachments.validate()
    }
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("expected a UUID, found {text:?}: {error}")))
}
