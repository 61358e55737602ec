//! The cluster as tests and the demo drive it.

mod processes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kho_client::{Client, Config, PemSigner, ReceiptCheck};
use kho_node::seams::Seams;
use kho_proto::checkpoint::VerifierKey;
use kho_proto::id::{NodeId, UnitCode};
use kho_proto::pb::admin::v1::{InitClusterResponse, NodeStatusResponse};

use super::create::{self, ClusterFile, Member};
use super::executable::executable;
use super::process::Process;
use super::{Error, Identity, Layout, Options, files, signers};
use crate::admin::Admin;
use crate::certs::Validity;
use crate::client_file::ClientFile;

/// A cluster that starts, elects or catches up has this long.
pub const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between looks at the cluster's state.
const POLL: Duration = Duration::from_millis(20);

/// A cluster of processes on loopback. They end when this value does, unless [`DevCluster::keep`] is called.
#[derive(Debug)]
pub struct DevCluster {
    layout: Layout,
    cluster: ClusterFile,
    executable: PathBuf,
    environment: Vec<(String, String)>,
    launchers: BTreeMap<NodeId, Vec<String>>,
    detached: bool,
    running: BTreeMap<NodeId, Process>,
    /// Connections that were opened before; they live in the runtime that opened them.
    admins: Mutex<BTreeMap<NodeId, Admin>>,
}

impl DevCluster {
    /// A new cluster in `dir`, nothing running: certificates, keyring, `node1.toml`..., `client.toml`.
    pub fn create(dir: &Path, nodes: u64) -> Result<Self, Error> {
        Self::create_with(dir, &Options { nodes, ..Options::default() })
    }

    /// The same with ports and settings of one's own.
    pub fn create_with(dir: &Path, options: &Options) -> Result<Self, Error> {
        let layout = Layout::new(dir);
        let cluster = create::create(&layout, options)?;
        Self::of(layout, cluster)
    }

    /// A cluster made earlier; its nodes are not running, as far as this value is concerned.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let layout = Layout::new(dir);
        let cluster = create::open(&layout)?;
        Self::of(layout, cluster)
    }

    fn of(layout: Layout, cluster: ClusterFile) -> Result<Self, Error> {
        let executable = executable()?;
        Ok(Self {
            layout,
            cluster,
            executable,
            environment: Vec::new(),
            launchers: BTreeMap::new(),
            detached: false,
            running: BTreeMap::new(),
            admins: Mutex::default(),
        })
    }

    /// Runs another executable than the one found: another build, another version.
    pub fn set_executable(&mut self, path: &Path) {
        path.clone_into(&mut self.executable);
    }

    /// Sets an environment variable for nodes started from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A node started from now on is started by this command, with the node's own command behind it: for a network
    /// namespace, a control group. It must end in an `exec`: the process is signalled by its id.
    pub fn set_launcher(&mut self, node: NodeId, command: Vec<String>) {
        self.launchers.insert(node, command);
    }

    /// Nodes started from now on are not tied to the life of this process, so that [`DevCluster::keep`] can let them
    /// live. Without `keep` they end with this value all the same.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    /// Lets the running nodes outlive this value, and returns their process ids.
    pub fn keep(mut self) -> Vec<(NodeId, u32)> {
        self.running.iter_mut().for_each(|(_, process)| process.keep());
        self.running.iter().map(|(node, process)| (*node, process.pid())).collect()
    }

    /// Makes the files of a further node that shall stand in the place of `gone`, and writes it into all configurations;
    /// nothing is started, and the cluster knows nothing of it yet. `settings` as in [`Options::settings`].
    pub fn add_node(&mut self, gone: NodeId, settings: &toml::Table) -> Result<NodeId, Error> {
        create::add(&self.layout, &mut self.cluster, gone, settings)
    }

    /// Makes a node's data directory again: where another disk was mounted in its place.
    pub fn create_data(&self, node: NodeId) -> Result<(), Error> {
        self.member(node)?;
        create::create_data(&self.layout, &self.cluster, node)
    }

    /// The binary that its nodes run.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Where its files are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All nodes, running or not.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.cluster.members.iter().map(|member| NodeId(member.id)).collect::<Vec<_>>().into_iter()
    }

    /// A node's addresses.
    pub fn member(&self, node: NodeId) -> Result<&Member, Error> {
        self.cluster.members.iter().find(|member| member.id == node.0).ok_or(Error::NoNode(node))
    }

    /// Where a node publishes the log: `https://host:port`; none if it does not.
    pub fn log_url(&self, node: NodeId) -> Result<Option<String>, Error> {
        Ok(self.member(node)?.log.as_ref().map(|address| format!("https://{address}")))
    }

    /// An operator's connection to a node; within one tokio runtime.
    pub fn admin(&self, node: NodeId) -> Result<Admin, Error> {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(admin) = admins.get(&node) {
            return Ok(admin.clone());
        }
        let tls = self.layout.identity(&Identity::Operator).load()?;
        let admin = Admin::new(&self.member(node)?.admin, &tls)?;
        admins.insert(node, admin.clone());
        Ok(admin)
    }

    /// Operators' connections are made anew from now on: with the certificate that they have then.
    pub fn forget_connections(&self) {
        self.admins.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forms the cluster, once, as soon as all nodes answer; pins the log's key in `client.toml`.
    pub async fn init(&mut self) -> Result<InitClusterResponse, Error> {
        self.wait_until("all nodes to answer", READY_TIMEOUT, |statuses, expected| statuses.len() == expected).await?;
        let first = self.nodes().next().ok_or(Error::Nodes { found: 0 })?;
        let response = self.admin(first)?.init_cluster().await?;
        for file in [self.layout.client_file(), self.layout.drill_file()] {
            ClientFile::pin(&file, &response.verifier_key)?;
        }
        Ok(response)
    }

    /// Starts all nodes, forms the cluster, waits for a leader: the usual beginning.
    pub async fn launch(&mut self) -> Result<NodeId, Error> {
        self.start_all()?;
        self.init().await?;
        self.wait_ready().await
    }

    /// States of the running nodes that answer.
    pub async fn statuses(&self) -> Result<BTreeMap<NodeId, NodeStatusResponse>, Error> {
        let mut statuses = BTreeMap::new();
        for node in self.running.keys() {
            if let Ok(status) = self.admin(*node)?.status().await {
                statuses.insert(*node, status);
            }
        }
        Ok(statuses)
    }

    /// The leader that every running node agrees on, or `None`.
    pub async fn leader(&self) -> Result<Option<NodeId>, Error> {
        Ok(agreed(&self.statuses().await?, self.running.len()))
    }

    /// Waits until all running nodes answer and agree on a leader among them; returns it.
    pub async fn wait_ready(&mut self) -> Result<NodeId, Error> {
        let statuses = self
            .wait_until("a leader", READY_TIMEOUT, |statuses, expected| agreed(statuses, expected).is_some())
            .await?;
        agreed(&statuses, statuses.len()).ok_or(Error::Nodes { found: 0 })
    }

    /// Waits until all running nodes have the same tree as the leader; returns its size and root.
    pub async fn wait_equal(&mut self) -> Result<(u64, Vec<u8>), Error> {
        let equal = |statuses: &BTreeMap<NodeId, NodeStatusResponse>, expected: usize| {
            let mut trees = statuses.values().map(|status| (status.tree_size, &status.tree_root, status.applied));
            let first = trees.next();
            agreed(statuses, expected).is_some() && trees.all(|tree| Some(tree) == first)
        };
        let statuses = self.wait_until("equal trees", READY_TIMEOUT, equal).await?;
        let status = statuses.into_values().next().ok_or(Error::Nodes { found: 0 })?;
        Ok((status.tree_size, status.tree_root.to_vec()))
    }

    /// Asks all running nodes again and again until `good(statuses, number of running nodes)`.
    pub async fn wait_until(
        &mut self,
        what: &'static str,
        limit: Duration,
        good: impl Fn(&BTreeMap<NodeId, NodeStatusResponse>, usize) -> bool,
    ) -> Result<BTreeMap<NodeId, NodeStatusResponse>, Error> {
        let start = Instant::now();
        loop {
            self.check_alive()?;
            let statuses = self.statuses().await?;
            if good(&statuses, self.running.len()) {
                return Ok(statuses);
            }
            if start.elapsed() > limit {
                let line = |(node, status): (&NodeId, &NodeStatusResponse)| {
                    format!("node {node}: {} of term {}, {} leaves", status.role, status.term, status.tree_size)
                };
                let last = statuses.iter().map(line).collect::<Vec<_>>().join("; ");
                return Err(Error::Timeout { waited_ms: start.elapsed().as_millis(), what, last });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The log's key; known once the cluster is formed.
    pub fn verifier_key(&self) -> Result<VerifierKey, Error> {
        Ok(ClientFile::load(&self.layout.client_file())?.verifier_key()?)
    }

    /// The platform's client: all nodes, every receipt checked.
    pub fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(self.client_config(&Identity::Platform)?)?)
    }

    /// The platform's client to one node only.
    pub fn client_of(&self, node: NodeId) -> Result<Client, Error> {
        let mut config = self.client_config(&Identity::Platform)?;
        config.nodes = vec![self.member(node)?.client.clone()];
        Ok(Client::new(config)?)
    }

    /// A client's configuration, to be changed before it is used.
    pub fn client_config(&self, identity: &Identity) -> Result<Config, Error> {
        let files = self.layout.identity(identity);
        if !files.certificate.exists() {
            let validity = Validity::days(Seams::system().clock.now(), files::DEV_VALIDITY_DAYS);
            files::write_identity(&self.layout, identity, validity)?;
        }
        let nodes = self.cluster.members.iter().map(|member| member.client.clone()).collect();
        Ok(Config::new(nodes, files.load()?, ReceiptCheck::Pinned(self.verifier_key()?)))
    }

    /// A unit's signer; made when first asked for. Algorithms differ from unit to unit.
    pub fn signer(&self, unit: &UnitCode) -> Result<PemSigner, Error> {
        signers::load_or_issue(&self.layout, unit, Seams::system().clock.now())
    }
}

/// The leader that all `expected` nodes name, if it is one of them.
fn agreed(statuses: &BTreeMap<NodeId, NodeStatusResponse>, expected: usize) -> Option<NodeId> {
    let leader = NodeId(statuses.values().next()?.leader_id);
    let all = statuses.len() == expected && statuses.values().all(|status| status.leader_id == leader.0);
    let leads = statuses.get(&leader).is_some_and(|status| status.role == "leader");
    (all && leads).then_some(leader)
}
