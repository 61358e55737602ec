//! What all lanes know while a run goes on: which node stands on which machine, who leads, what was acknowledged last.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use kho::admin::Admin;
use kho::dev::{DevCluster, Identity, NodeId};
use kho_client::{Client, Config, Tls};
use kho_proto::pb::admin::v1::NodeStatusResponse;

use super::schedule::Victim;
use crate::attack::Progress;
use crate::invariants::Acknowledged;
use crate::links::Machine;
use crate::rig::Rig;

/// Acknowledgements that readers and hostile clients choose from.
const RECENT: usize = 256;
/// What a node said longer ago says nothing of now.
const FRESH: Duration = Duration::from_millis(1500);

/// A node and where it stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its machine.
    pub machine: Machine,
    /// Who stands there.
    pub node: NodeId,
    /// Its listener for clients.
    pub client: SocketAddrV4,
    /// Its listener for peers.
    pub peer: SocketAddrV4,
}

/// What all lanes know.
pub struct Board {
    /// Acknowledgements.
    pub progress: Progress,
    places: Mutex<Vec<Place>>,
    admins: Mutex<BTreeMap<NodeId, Admin>>,
    statuses: Mutex<BTreeMap<NodeId, (Instant, NodeStatusResponse)>>,
    recent: Mutex<VecDeque<Acknowledged>>,
    client: Config,
    operator: Tls,
}

const WHOLE: &str = "no thread panics while it holds the board";

impl Board {
    /// Nodes of the cluster, in order, on these machines.
    pub fn new(Rig { cluster, senders, .. }: &Rig, machines: &[Machine]) -> Result<Self> {
        let board = Self {
            progress: Progress::new(&senders.history),
            places: Mutex::default(),
            admins: Mutex::default(),
            statuses: Mutex::default(),
            recent: Mutex::default(),
            client: cluster.client_config(&Identity::Platform)?,
            operator: cluster.layout().identity(&Identity::Operator).load()?,
        };
        for (node, machine) in cluster.nodes().zip(machines) {
            let place = board.place_of(cluster, node, machine)?;
            board.places.lock().expect(WHOLE).push(place);
        }
        Ok(board)
    }

    fn place_of(&self, cluster: &DevCluster, node: NodeId, machine: &Machine) -> Result<Place> {
        let member = cluster.member(node)?;
        self.admins.lock().expect(WHOLE).insert(node, Admin::new(&member.admin, &self.operator)?);
        Ok(Place { machine: machine.clone(), node, client: member.client.parse()?, peer: member.peer.parse()? })
    }

    /// `new` stands where `gone` stood.
    pub fn replaced(&self, cluster: &DevCluster, gone: NodeId, new: NodeId) -> Result<()> {
        let machine = self.at(gone).machine;
        let place = self.place_of(cluster, new, &machine)?;
        let mut places = self.places.lock().expect(WHOLE);
        places.iter_mut().filter(|place| place.node == gone).for_each(|old| *old = place.clone());
        Ok(())
    }

    /// All places, in order of the machines.
    pub fn places(&self) -> Vec<Place> {
        self.places.lock().expect(WHOLE).clone()
    }

    /// Where a node stands.
    pub fn at(&self, node: NodeId) -> Place {
        self.places().into_iter().find(|place| place.node == node).expect("a node that stands somewhere")
    }

    /// An operator's connection.
    pub fn admin(&self, node: NodeId) -> Admin {
        self.admins.lock().expect(WHOLE)[&node].clone()
    }

    /// A node said this.
    pub fn said(&self, node: NodeId, status: NodeStatusResponse) {
        self.statuses.lock().expect(WHOLE).insert(node, (Instant::now(), status));
    }

    /// Who says that it leads the highest term.
    pub fn leader(&self) -> Option<NodeId> {
        let statuses = self.statuses.lock().expect(WHOLE);
        let fresh = statuses.iter().filter(|(_, (at, status))| at.elapsed() < FRESH && status.role == "leader");
        fresh.max_by_key(|(_, (_, status))| status.term).map(|(node, _)| *node)
    }

    /// The highest term that anybody named.
    pub fn term(&self) -> u64 {
        self.statuses.lock().expect(WHOLE).values().map(|(_, status)| status.term).max().unwrap_or(0)
    }

    /// Who that is now; nobody leads: the first machine's.
    pub fn resolve(&self, victim: Victim) -> Place {
        let places = self.places();
        let leader = self.leader();
        let found = match victim {
            Victim::Leader => places.iter().find(|place| Some(place.node) == leader),
            Victim::Follower => places.iter().find(|place| Some(place.node) != leader),
            Victim::Machine(number) => places.get(number % places.len()),
        };
        found.unwrap_or(&places[0]).clone()
    }

    /// A record was acknowledged.
    pub fn acknowledged(&self, one: &Acknowledged) {
        self.progress.one_more();
        let mut recent = self.recent.lock().expect(WHOLE);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(one.clone());
    }

    /// One of the last acknowledged: the newest, or any of them.
    pub fn recent(&self, back: usize) -> Option<Acknowledged> {
        let recent = self.recent.lock().expect(WHOLE);
        recent.iter().rev().nth(back % recent.len().max(1)).cloned()
    }

    /// The platform's client to these addresses.
    pub fn client(&self, nodes: Vec<String>, change: impl FnOnce(&mut Config)) -> Result<Client> {
        let mut config = Config { nodes, ..self.client.clone() };
        change(&mut config);
        Ok(Client::new(config)?)
    }

    /// The same to where all nodes stand now.
    pub fn client_of_all(&self) -> Result<Client> {
        self.client(self.places().iter().map(|place| place.client.to_string()).collect(), |_| {})
    }
}
