//! Kho under load: a cluster of its own, or one that runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use kho_client::{Client, Config, Preference, ReceiptCheck, Signed, System as RealWorld, Timing, Tls};
use kho_client::{SubmitError, Surroundings};
use kho_proto::header::SubmittedAt;
use kho_proto::id::RecordId;
use kho_proto::signature::Algorithm;

use super::process::Group;
use super::records::{Maker, Prepared};
use super::round::{Loaded, To, Work};
use super::store::Store;
use crate::admin::Admin;
use crate::client_file::ClientFile;
use crate::dev::{DevCluster, Identity, NodeId, Options};

/// Records that are there for whoever reads, at least.
const KNOWN: usize = 2_000;

/// How tokio is told of a node's worker threads. A node with a machine to itself has one for each core; nodes that share one
/// have their share here, since threads beyond the cores wake each other for nothing.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// A cluster, and what connects to it.
pub struct Target {
    nodes: Vec<String>,
    admins: Vec<Admin>,
    tls: Tls,
    receipts: ReceiptCheck,
    timing: Timing,
    maker: Arc<Maker>,
    prepared: Prepared,
    known: Arc<Vec<RecordId>>,
    /// Its processes, where it is our own.
    pub own: Option<DevCluster>,
}

impl Target {
    /// Three processes with their files in `dir`, which must not hold a cluster. Records are signed with `algorithm`.
    pub async fn local(dir: &Path, algorithm: Algorithm, verify: bool) -> Result<Self> {
        let mut cluster = DevCluster::create_with(dir, &Options::default())?;
        if std::env::var_os(WORKER_THREADS).is_none() {
            let share = std::thread::available_parallelism()?.get() / cluster.nodes().count();
            cluster.set_env(WORKER_THREADS, &share.max(1).to_string());
        }
        cluster.launch().await?;
        let maker = Maker::local(&cluster, algorithm)?;
        let config = cluster.client_config(&Identity::Platform)?;
        let receipts = if verify { ReceiptCheck::Pinned(cluster.verifier_key()?) } else { ReceiptCheck::Unchecked };
        let admins = cluster.nodes().map(|node| cluster.admin(node)).collect::<Result<_, _>>()?;
        Ok(Self {
            nodes: config.nodes,
            admins,
            tls: config.tls.context("a development cluster speaks TLS")?,
            receipts,
            timing: config.timing,
            maker: Arc::new(maker),
            prepared: Prepared::default(),
            known: Arc::default(),
            own: Some(cluster),
        })
    }

    /// Signs what is prepared from now on with another algorithm; a cluster of its own only.
    pub fn sign_with(&mut self, algorithm: Algorithm) -> Result<()> {
        let own = self.own.as_ref().context("signers are made for a cluster of one's own")?;
        self.maker = Arc::new(Maker::local(own, algorithm)?);
        Ok(())
    }

    /// The cluster of a client file whose signer is of the reserved unit of test data.
    pub fn remote(file: &ClientFile, verify: bool) -> Result<Self> {
        let now = SubmittedAt::from_unix_ms(RealWorld.now()).to_string();
        let period = format!("{}+07:00", now.get(..19).context("a time")?).parse()?;
        let receipts = if verify { ReceiptCheck::Pinned(file.verifier_key()?) } else { ReceiptCheck::Unchecked };
        Ok(Self {
            nodes: file.nodes.clone(),
            admins: file.admins().unwrap_or_default(),
            tls: file.tls.load()?,
            receipts,
            timing: file.timing()?,
            maker: Arc::new(Maker::drill(file, period)?),
            prepared: Prepared::default(),
            known: Arc::default(),
            own: None,
        })
    }

    /// A client of one node, or of all of them.
    pub fn client(&self, node: Option<usize>) -> Result<Client> {
        let nodes = node.map_or_else(|| self.nodes.clone(), |node| vec![self.nodes[node].clone()]);
        let mut config = Config::new(nodes, self.tls.clone(), self.receipts.clone());
        config.timing = self.timing;
        config.preference = Preference::Spread;
        Ok(Client::new(config)?)
    }

    /// Place of the leader among the nodes, as the nodes say.
    pub async fn leader(&self) -> Result<usize> {
        ensure!(
            !self.admins.is_empty(),
            "who leads is known to operators only: admin_nodes and [admin_tls] are missing"
        );
        for (place, admin) in self.admins.iter().enumerate() {
            if admin.status().await.is_ok_and(|status| status.role == "leader") {
                return Ok(place);
            }
        }
        bail!("no node leads")
    }

    /// Places of the nodes that connections go to, in turn.
    async fn places(&self, to: To) -> Result<Vec<usize>> {
        let all = 0..self.nodes.len();
        if to == To::Spread {
            return Ok(all.collect());
        }
        let leader = self.leader().await?;
        Ok(all.filter(|place| (*place == leader) == (to == To::Leader)).collect())
    }

    /// Makes sure that there are records to read.
    async fn fill(&mut self, size: usize) -> Result<()> {
        if self.known.len() >= KNOWN {
            return Ok(());
        }
        let records = self.maker.make(KNOWN, size).await?;
        let client = self.client(None)?;
        let mut failed: Option<SubmitError> = None;
        for part in records.chunks(256) {
            failed = client.submit_many(part).await.into_iter().filter_map(Result::err).next().or(failed);
        }
        if let Some(error) = failed {
            return Err(error).context("records to be read");
        }
        self.known = Arc::new(records.iter().map(Signed::record_id).collect());
        Ok(())
    }

    /// One connection to the node at `place`, or a client of all nodes.
    pub fn store(&self, work: &Work, node: Option<usize>, place: usize) -> Result<Store> {
        let (prepared, known) = (self.prepared.clone(), self.known.clone());
        Ok(Store::new(self.client(node)?, work.operation, prepared, known, place))
    }

    /// Ends the processes, where they are our own.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(mut own) = self.own.take() {
            own.terminate_all().await?;
        }
        Ok(())
    }

    /// The place of a node of our own as its id.
    pub fn id(place: usize) -> NodeId {
        NodeId(place as u64 + 1)
    }
}

impl Loaded for Target {
    type Connection = Store;

    fn name(&self) -> &'static str {
        "kho"
    }

    async fn prepare(&mut self, work: &Work, records: usize) -> Result<()> {
        if work.operation.reads() {
            self.fill(work.size).await?;
        }
        let records = if work.operation.writes() { self.maker.make(records, work.size).await? } else { Vec::new() };
        *self.prepared.lock() = records;
        Ok(())
    }

    async fn connect(&mut self, work: &Work) -> Result<Vec<Store>> {
        let places = self.places(work.to).await?;
        (0..work.connections).map(|n| self.store(work, Some(places[n % places.len()]), n)).collect()
    }

    fn groups(&self) -> Vec<Group> {
        let Some(own) = &self.own else { return Vec::new() };
        let group = |node: NodeId| Some(Group { name: format!("node {node}"), pid: own.pid(node)?, alone: true });
        own.nodes().filter_map(group).collect()
    }
}
