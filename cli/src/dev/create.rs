//! Writes a development cluster's directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kho_node::data_dir::DataDir;
use kho_node::seams::Seams;
use kho_proto::id::{ClusterId, DRILL_UNIT, NodeId, UnitCode};
use serde::{Deserialize, Serialize};

use super::{Error, Identity, Layout, Plane, files, ports, signers};
use crate::certs::Validity;
use crate::client_file::{ClientFile, SignerFiles, TlsFiles};

/// Nodes of a development cluster, at most.
pub const NODES_MAX: u64 = 9;
/// Listeners of a node that members know of each other.
const LISTENERS: u64 = 3;
/// And the public log's.
const LISTENERS_ALL: u64 = LISTENERS + 1;
/// Room that development nodes keep on a disk which they share with everything else, where nothing else is asked for.
const DISK: &[(&str, i64)] = &[("reserve_mib", 64), ("reserve_percent", 0), ("ballast_mib", 16)];
/// The unit that `client.toml` signs for.
const FIRST_SIGNER: &str = "BYT";

/// What a new cluster is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many nodes.
    pub nodes: u64,
    /// Node 1 listens here and on the next two, node 2 on the three after; behind all of these one port of each node, in
    /// order, for the public log. Random free ports if absent.
    pub base_port: Option<u16>,
    /// Address of each node, in order: machines, or network namespaces, of their own. All on loopback if empty.
    pub hosts: Vec<Ipv4Addr>,
    /// Tables that go into every node's configuration as they are: `raft`, `storage`, `telemetry`, `limits`,
    /// `disk`, `quotas`, `catalogue`.
    pub settings: toml::Table,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 3, base_port: None, hosts: Vec::new(), settings: toml::Table::new() }
    }
}

impl Options {
    /// With a catalogue that VPCP keeps; nothing is in it until `kho catalogue load`. A build from before catalogues does not
    /// take such a configuration.
    pub fn with_catalogue(mut self) -> Self {
        let keeper = toml::Table::from_iter([("unit".to_owned(), "VPCP".into())]);
        self.settings.insert("catalogue".to_owned(), keeper.into());
        self
    }
}

/// One node's addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// Node id.
    pub id: u64,
    /// `host:port` for clients.
    pub client: String,
    /// `host:port` for the other nodes.
    pub peer: String,
    /// `host:port` for operators.
    pub admin: String,
    /// `host:port` for readers of the public log; none in clusters made before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl Member {
    fn at(id: u64, host: Ipv4Addr, ports: &[u16], log: u16) -> Self {
        let [client, peer, admin] = [0, 1, 2].map(|listener| format!("{host}:{}", ports[listener]));
        Self { id, client, peer, admin, log: Some(format!("{host}:{log}")) }
    }

    /// Where it stands; loopback if its addresses are names.
    pub(super) fn host(&self) -> Ipv4Addr {
        match self.peer.parse() {
            Ok(SocketAddr::V4(address)) => *address.ip(),
            _ => Ipv4Addr::LOCALHOST,
        }
    }
}

/// `cluster.toml`: what the directory is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterFile {
    /// UUID.
    pub cluster_id: String,
    /// All nodes.
    pub members: Vec<Member>,
}

#[derive(Serialize)]
struct NodeFile<'a> {
    cluster_id: &'a str,
    node_id: u64,
    data_dir: PathBuf,
    keyring: PathBuf,
    listen: Listen<'a>,
    tls: NodeTls,
    signers: Trust,
    members: Vec<MemberEntry<'a>>,
    #[serde(flatten)]
    settings: &'a toml::Table,
}

#[derive(Serialize)]
struct Listen<'a> {
    client: &'a str,
    peer: &'a str,
    admin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

/// What nodes know of each other.
#[derive(Serialize)]
struct MemberEntry<'a> {
    id: u64,
    client: &'a str,
    peer: &'a str,
    admin: &'a str,
}

impl<'a> MemberEntry<'a> {
    fn of(member: &'a Member) -> Self {
        Self { id: member.id, client: &member.client, peer: &member.peer, admin: &member.admin }
    }
}

/// Of a listener that asks nobody for a certificate.
#[derive(Serialize)]
struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct NodeTls {
    client: TlsFiles,
    peer: TlsFiles,
    admin: TlsFiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<CertificateFiles>,
}

#[derive(Serialize)]
struct Trust {
    trust: PathBuf,
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    crate::files::write(path, text.as_bytes()).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn relative(layout: &Layout, files: &TlsFiles) -> TlsFiles {
    TlsFiles {
        certificate: layout.relative(&files.certificate),
        key: layout.relative(&files.key),
        trust: layout.relative(&files.trust),
    }
}

fn addresses(options: &Options) -> Result<Vec<Member>, Error> {
    if !(1..=NODES_MAX).contains(&options.nodes) {
        return Err(Error::Nodes { found: options.nodes });
    }
    let count = options.nodes * LISTENERS_ALL;
    let ports: Vec<u16> = match options.base_port {
        Some(base) => {
            let last = u64::from(base) + count - 1;
            let last =
                u16::try_from(last).map_err(|_| Error::Ports { wanted: count as usize, from: base, to: u16::MAX })?;
            (base..=last).collect()
        }
        None => ports::free_ports(count as usize)?,
    };
    let hosts = options.hosts.iter().copied().chain(std::iter::repeat(Ipv4Addr::LOCALHOST));
    let (ports, logs) = ports.split_at((options.nodes * LISTENERS) as usize);
    let members = ports.chunks_exact(LISTENERS as usize).zip(logs).zip(hosts).zip(1..);
    Ok(members.map(|(((ports, log), host), id)| Member::at(id, host, ports, *log)).collect())
}

/// Writes certificates, keyring and configurations.
pub(super) fn create(layout: &Layout, options: &Options) -> Result<ClusterFile, Error> {
    let members = addresses(options)?;
    let cluster_file = layout.cluster_file();
    if cluster_file.exists() {
        return Err(Error::Exists { path: layout.dir().to_owned() });
    }
    std::fs::create_dir_all(layout.dir()).map_err(|source| Error::File { path: layout.dir().to_owned(), source })?;
    let seams = Seams::system();
    let mut random = [0; 10];
    seams.entropy.fill(&mut random);
    let now = seams.clock.now();
    let cluster = ClusterId(uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().into_bytes());

    files::write_authorities(layout, now)?;
    for member in &members {
        files::write_node_certificates(layout, cluster, NodeId(member.id), member.host(), now)?;
    }
    kho_node::keys::keyring::create(&layout.keyring(), cluster, seams.entropy.as_ref())?;
    let unit: UnitCode = FIRST_SIGNER.parse().expect("a unit code");
    signers::load_or_issue(layout, &unit, now)?;

    let cluster = ClusterFile { cluster_id: cluster.to_string(), members };
    for member in &cluster.members {
        write_node_file(layout, &cluster, member, &options.settings)?;
        create_data(layout, &cluster, NodeId(member.id))?;
    }
    let drill: UnitCode = DRILL_UNIT.parse().expect("a unit code");
    signers::load_or_issue(layout, &drill, now)?;
    let validity = Validity::days(now, files::DEV_VALIDITY_DAYS);
    files::write_identity(layout, &Identity::Unit(drill.clone()), validity)?;
    let client = client_file(layout, &cluster, &Identity::Platform, &unit);
    write(&layout.client_file(), &toml::to_string(&client)?)?;
    let client = client_file(layout, &cluster, &Identity::Unit(drill.clone()), &drill);
    write(&layout.drill_file(), &toml::to_string(&client)?)?;
    // last: it is what makes the directory a cluster
    write(&cluster_file, &toml::to_string(&cluster)?)?;
    Ok(cluster)
}

/// What connects as `identity` and signs for `unit`.
fn client_file(layout: &Layout, cluster: &ClusterFile, identity: &Identity, unit: &UnitCode) -> ClientFile {
    let (certificate, key) = layout.signer(unit);
    ClientFile {
        nodes: cluster.members.iter().map(|member| member.client.clone()).collect(),
        admin_nodes: cluster.members.iter().map(|member| member.admin.clone()).collect(),
        verifier_key: None,
        deadline_ms: None,
        signers_trust: Some(layout.relative(&layout.trust(Plane::Signers))),
        tls: relative(layout, &layout.identity(identity)),
        admin_tls: Some(relative(layout, &layout.identity(&Identity::Operator))),
        signer: Some(SignerFiles {
            certificate: layout.relative(&certificate),
            key: layout.relative(&key),
            algorithm: Some(signers::algorithm_of(unit).to_string()),
        }),
    }
}

/// Writes what a further node needs, which then stands in the place of `gone`.
pub(super) fn add(
    layout: &Layout,
    file: &mut ClusterFile,
    gone: NodeId,
    settings: &toml::Table,
) -> Result<NodeId, Error> {
    let cluster = cluster_id(layout, file)?;
    let old = file.members.iter().position(|member| member.id == gone.0).ok_or(Error::NoNode(gone))?;
    let id = file.members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
    let ports = ports::free_ports(LISTENERS_ALL as usize)?;
    let old = file.members.remove(old);
    // on the machine of the old one
    let member = Member::at(id, old.host(), &ports, ports[LISTENERS as usize]);
    files::write_node_certificates(layout, cluster, NodeId(id), member.host(), Seams::system().clock.now())?;
    file.members.push(member.clone());
    for member in &file.members {
        write_node_file(layout, file, member, settings)?;
    }
    create_data(layout, file, NodeId(id))?;
    for path in [layout.client_file(), layout.drill_file()] {
        ClientFile::replace_node(&path, (&old.client, &old.admin), (&member.client, &member.admin))?;
    }
    write(&layout.cluster_file(), &toml::to_string(file)?)?;
    Ok(NodeId(id))
}

fn cluster_id(layout: &Layout, file: &ClusterFile) -> Result<ClusterId, Error> {
    file.cluster_id.parse().map_err(|error| Error::Malformed {
        path: layout.cluster_file(),
        source: Box::new(serde::de::Error::custom(format!("cluster_id: {error}"))),
    })
}

/// Makes a node's data directory, as `kho data create` does.
pub(super) fn create_data(layout: &Layout, file: &ClusterFile, node: NodeId) -> Result<(), Error> {
    Ok(DataDir::create(&layout.data_dir(node), cluster_id(layout, file)?, node)?)
}

fn write_node_file(
    layout: &Layout,
    cluster: &ClusterFile,
    member: &Member,
    settings: &toml::Table,
) -> Result<(), Error> {
    let node = NodeId(member.id);
    let tls = |plane| relative(layout, &layout.node_tls(node, plane));
    let log = member.log.as_ref().map(|_| {
        let TlsFiles { certificate, key, .. } = tls(Plane::Log);
        CertificateFiles { certificate, key }
    });
    let mut settings = settings.clone();
    // many nodes on one disk, for a short time
    let disk = settings.entry("disk").or_insert_with(|| toml::Table::new().into()).as_table_mut();
    if let Some(disk) = disk {
        for (field, value) in DISK {
            disk.entry(*field).or_insert((*value).into());
        }
    }
    let settings = &settings;
    let file = NodeFile {
        cluster_id: &cluster.cluster_id,
        node_id: member.id,
        data_dir: layout.relative(&layout.data_dir(node)),
        keyring: layout.relative(&layout.keyring()),
        listen: Listen { client: &member.client, peer: &member.peer, admin: &member.admin, log: member.log.as_deref() },
        tls: NodeTls { client: tls(Plane::Client), peer: tls(Plane::Peer), admin: tls(Plane::Admin), log },
        signers: Trust { trust: layout.relative(&layout.trust(Plane::Signers)) },
        members: cluster.members.iter().map(MemberEntry::of).collect(),
        settings,
    };
    write(&layout.node_file(node), &toml::to_string(&file)?)
}

/// Reads `cluster.toml`.
pub(super) fn open(layout: &Layout) -> Result<ClusterFile, Error> {
    let path = layout.cluster_file();
    let text = std::fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    toml::from_str(&text).map_err(|source| Error::Malformed { path, source: Box::new(source) })
}

#[cfg(test)]
mod tests;
