//! A node's process on its machine.

use std::path::Path;
use std::sync::Arc;

use kho_node::Config;
use kho_node::consensus::{Consensus, StateStore};
use kho_node::data_dir::DataDir;
use kho_node::keys::keyring;
use kho_node::serve::{Machine as NodeMachine, Node};
use kho_node::storage::sim::SimStorage;
use kho_proto::error::Code;
use kho_proto::id::{ClusterId, NodeId};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::cards::Authority;
use crate::machine::Machine;
use crate::plan::{NODES, Plan};
use crate::transport::Shown;

/// The cluster's id.
pub const CLUSTER: ClusterId = ClusterId(*b"kho simulated 01");
/// Listens for clients; then peers, then operators.
const PORTS: [u16; 3] = [7101, 7102, 7103];

/// What a running process lets be seen.
#[derive(Clone)]
pub struct Running {
    /// Its log.
    pub consensus: Consensus,
    /// Its state.
    pub state: StateStore,
}

/// What it may be told.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// End in good order.
    Stop,
    /// Make a snapshot and purge the log.
    Snapshot,
    /// Hand leadership over.
    Transfer,
}

/// A machine, the node's files on it, and its process.
pub struct Host {
    /// Its node.
    pub node: NodeId,
    /// The machine.
    pub machine: Machine,
    config: Config,
    running: Mutex<Option<Running>>,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    ended: Mutex<Option<Code>>,
    lives: Mutex<u64>,
}

/// Its name in the network.
pub fn name(node: NodeId) -> String {
    format!("node{node}")
}

/// Where its clients go; then peers, then operators.
pub fn addresses(node: NodeId) -> [String; 3] {
    PORTS.map(|port| format!("{}:{port}", name(node)))
}

fn toml(node: NodeId, plan: &Plan) -> String {
    let planes = ["client", "peer", "admin"];
    let lines = |values: [String; 3]| planes.iter().zip(values).map(|(plane, at)| format!("{plane} = \"{at}\"\n"));
    let listen: String = lines(PORTS.map(|port| format!("0.0.0.0:{port}"))).collect();
    let mut text = format!(
        "cluster_id = \"{CLUSTER}\"\nnode_id = {node}\ndata_dir = \"data{node}\"\nkeyring = \"keyring\"\n[listen]\n{listen}"
    );
    for plane in planes {
        let files = format!("certificate = \"node{node}.pem\"\nkey = \"none\"\ntrust = \"none\"\n");
        text.push_str(&format!("[tls.{plane}]\n{files}"));
    }
    let Plan { heartbeat_ms, snapshot_kib, .. } = plan;
    let (shortest, longest) = (heartbeat_ms * 2 + 10, heartbeat_ms * 4 + 20);
    text.push_str(&format!(
        "[signers]\ntrust = \"signers.pem\"\n[raft]\nheartbeat_ms = {heartbeat_ms}\nelection_timeout_min_ms = {shortest}\n\
        election_timeout_max_ms = {longest}\nsnapshot_bytes = {}\n\
        [disk]\nreserve_mib = 0\nreserve_percent = 0\nballast_mib = 0\n",
        snapshot_kib << 10
    ));
    for member in NODES {
        text.push_str(&format!("[[members]]\nid = {member}\n{}", lines(addresses(member)).collect::<String>()));
    }
    text
}

/// Writes what all nodes share into `dir`.
pub fn write_shared(dir: &Path, authority: &mut Authority, machine: &Machine) -> anyhow::Result<()> {
    std::fs::write(dir.join("signers.pem"), authority.pem())?;
    for node in NODES {
        std::fs::write(dir.join(format!("node{node}.pem")), authority.node(CLUSTER, node).pem)?;
    }
    keyring::create(&dir.join("keyring"), CLUSTER, &*machine.seams().entropy)?;
    Ok(())
}

impl Host {
    /// A new node with its files below `dir`.
    pub fn create(node: NodeId, dir: &Path, plan: &Plan, machine: Machine) -> anyhow::Result<Arc<Self>> {
        let config = Config::parse(&toml(node, plan), dir)?;
        DataDir::create(&config.data_dir, CLUSTER, node)?;
        Ok(Arc::new(Self {
            node,
            machine,
            config,
            running: Mutex::default(),
            orders: Mutex::default(),
            ended: Mutex::default(),
            lives: Mutex::default(),
        }))
    }

    /// The process, from its start to its end.
    pub async fn run(self: Arc<Self>) -> turmoil::Result {
        let (orders, mut received) = mpsc::channel(16);
        *self.orders.lock() = Some(orders);
        *self.lives.lock() += 1;
        let machine = NodeMachine {
            seams: self.machine.seams(),
            storage: Arc::new(SimStorage(self.machine.disk.clone())),
            transport: Arc::new(Shown),
            recorder: None,
        };
        let mut node = match Node::start_on(machine, self.config.clone()).await {
            Ok(node) => node,
            Err(error) => {
                tracing::info!(%error, "refused to start");
                *self.ended.lock() = Some(error.code());
                return Ok(());
            }
        };
        let running = Running { consensus: node.consensus().clone(), state: node.state().clone() };
        *self.running.lock() = Some(running.clone());
        loop {
            let order = tokio::select! {
                biased;
                error = node.failed() => {
                    tracing::info!(%error, "ended");
                    *self.ended.lock() = Some(error.code());
                    break;
                }
                order = received.recv() => order,
            };
            match order {
                Some(Order::Stop) => {
                    node.stop().await;
                    break;
                }
                Some(Order::Snapshot) => {
                    let consensus = running.consensus.clone();
                    tokio::spawn(async move { consensus.snapshot_now().await });
                }
                Some(Order::Transfer) => {
                    let consensus = running.consensus.clone();
                    tokio::spawn(async move { consensus.transfer_leader(None).await });
                }
                None => break,
            }
        }
        *self.running.lock() = None;
        Ok(())
    }

    /// Removes its state, as a damaged disk would; log and vote stay.
    pub fn lose_state(&self) -> std::io::Result<()> {
        let log = self.config.data_dir.join("logs/1");
        for entry in std::fs::read_dir(&log)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state-")) {
                std::fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    /// What its process lets be seen; none: it does not run, or has not begun.
    pub fn running(&self) -> Option<Running> {
        self.running.lock().clone()
    }

    /// Tells it something; nobody may be there.
    pub fn order(&self, order: Order) {
        if let Some(orders) = &*self.orders.lock()
            && let Err(error) = orders.try_send(order)
        {
            tracing::info!(node = %self.node, %error, "an order was not taken");
        }
    }

    /// Why its process ended by itself, since this was last asked.
    pub fn take_ended(&self) -> Option<Code> {
        self.ended.lock().take()
    }

    /// Which of its processes this is.
    pub fn life(&self) -> u64 {
        *self.lives.lock()
    }

    /// Its process is gone: lets go of what it let be seen, and the disk keeps what it keeps.
    pub fn gone(&self, power: bool) {
        *self.running.lock() = None;
        *self.orders.lock() = None;
        self.machine.disk.crash(power);
    }
}
