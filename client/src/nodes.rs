//! The nodes a client knows, and which to ask next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kho_proto::id::NodeId;
use kho_proto::pb::v1::store_client::StoreClient;
use parking_lot::{Mutex, RwLock};
use tonic::transport::Channel;

use crate::passage::Tracked;
use crate::receipts::ReceiptError;
use crate::timing::{REST_MAX, REST_MIN};

/// Bytes of one response, at most: the largest record, its certificates, its receipt.
pub const MESSAGE_BYTES_MAX: usize = 6 << 20;

/// Whom to ask first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// The node that leads, as far as the last answer said: one hop less.
    #[default]
    Leader,
    /// All nodes in turn: signatures are checked and records sealed on each of them.
    Spread,
}

/// A node that failed waits here for its next chance.
#[derive(Default)]
struct Rest {
    strikes: u32,
    until: Option<Instant>,
}

/// The stub of a node.
pub(crate) type Store = StoreClient<Tracked>;

pub(crate) struct Node {
    pub(crate) address: String,
    /// Over the connection that new calls take; calls under way keep theirs.
    store: RwLock<Store>,
    /// Place of its site in the order of preference.
    pub(crate) site: usize,
    /// As its last answer said; 0: not known.
    id: AtomicU64,
    rest: Mutex<Rest>,
}

impl Node {
    /// For one call.
    pub(crate) fn store(&self) -> Store {
        self.store.read().clone()
    }

    /// As its last answer said; 0: not known.
    pub(crate) fn id(&self) -> NodeId {
        NodeId(self.id.load(Ordering::Relaxed))
    }

    fn rests(&self, now: Instant) -> bool {
        self.rest.lock().until.is_some_and(|until| now < until)
    }

    /// It answered.
    pub(crate) fn well(&self) {
        *self.rest.lock() = Rest::default();
    }

    /// It failed: others first, for a while. Calls that fail while it rests saw the same failure.
    pub(crate) fn unwell(&self, now: Instant) {
        let mut rest = self.rest.lock();
        if rest.until.is_some_and(|until| now < until) {
            return;
        }
        let time: Duration = REST_MIN.saturating_mul(1 << rest.strikes.min(16)).min(REST_MAX);
        rest.strikes += 1;
        rest.until = Some(now + time);
    }

    /// Its receipt is no proof: others first, for a while.
    pub(crate) fn distrust(&self, error: &ReceiptError) {
        if error.blames_node() {
            self.unwell(Instant::now());
        }
    }
}

/// One site's nodes, and its own hints: another site's leader is none here.
struct Site {
    nodes: Vec<Arc<Node>>,
    leader: AtomicU64,
    turn: AtomicUsize,
}

pub(crate) struct Nodes {
    sites: Vec<Site>,
    preference: Preference,
}

fn stub(channel: Channel) -> Store {
    let store = StoreClient::new(Tracked(channel));
    store.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl Nodes {
    /// Addresses and channels of each site, the preferred one first.
    pub(crate) fn new(sites: Vec<Vec<(String, Channel)>>, preference: Preference) -> Self {
        let node = |site, (address, channel)| {
            let store = RwLock::new(stub(channel));
            Arc::new(Node { address, store, site, id: AtomicU64::new(0), rest: Mutex::default() })
        };
        let sites = sites.into_iter().enumerate().map(|(place, channels)| Site {
            nodes: channels.into_iter().map(|channel| node(place, channel)).collect(),
            leader: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        });
        Self { sites: sites.collect(), preference }
    }

    /// Learns from an answer, whose receipts were verified if it has any, who a node is and who leads its site.
    pub(crate) fn learn(&self, node: &Node, id: NodeId, leader: NodeId) {
        node.well();
        node.id.store(id.0, Ordering::Relaxed);
        if leader.0 != 0
            && let Some(site) = self.sites.get(node.site)
        {
            site.leader.store(leader.0, Ordering::Relaxed);
        }
    }

    /// Of all sites.
    pub(crate) fn count(&self) -> usize {
        self.all().count()
    }

    pub(crate) fn sites(&self) -> usize {
        self.sites.len()
    }

    /// A round over all nodes: preferred first, resting last; another site's after all of a site's, but for a site of which
    /// every node rests.
    pub(crate) fn round(&self, now: Instant) -> Vec<&Node> {
        self.order(now).into_iter().map(|node| &**node).collect()
    }

    /// The same for who outlives the call.
    pub(crate) fn round_owned(&self, now: Instant) -> Vec<Arc<Node>> {
        self.order(now).into_iter().cloned().collect()
    }

    fn order(&self, now: Instant) -> Vec<&Arc<Node>> {
        let mut sites: Vec<_> = self.sites.iter().collect();
        sites.sort_by_key(|site| site.nodes.iter().all(|node| node.rests(now)));
        sites.into_iter().flat_map(|site| site.order(self.preference, now)).collect()
    }

    /// The first in line failed: who prefers the leader, but doesn't know it, starts elsewhere next time.
    pub(crate) fn move_on(&self) {
        for site in &self.sites {
            site.turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.all().map(|node| node.address.as_str())
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.sites.iter().flat_map(|site| &site.nodes)
    }

    /// New calls go over these channels, one for each node in the order of [`Nodes::addresses`].
    pub(crate) fn swap(&self, channels: Vec<Channel>) {
        self.all().zip(channels).for_each(|(node, channel)| *node.store.write() = stub(channel));
    }
}

impl Site {
    fn order(&self, preference: Preference, now: Instant) -> Vec<&Arc<Node>> {
        let (turn, leader) = match preference {
            Preference::Spread => (self.turn.fetch_add(1, Ordering::Relaxed), 0),
            Preference::Leader => (self.turn.load(Ordering::Relaxed), self.leader.load(Ordering::Relaxed)),
        };
        let id = |node: &Node| node.id.load(Ordering::Relaxed);
        // only its own answer says which node has the leader's id: until one has it, those not heard of may be it
        let wanted = if self.nodes.iter().any(|node| id(node) == leader) { leader } else { 0 };
        let mut round: Vec<&Arc<Node>> =
            (0..self.nodes.len()).map(|i| &self.nodes[(turn + i) % self.nodes.len()]).collect();
        round.sort_by_key(|node| (node.rests(now), leader != 0 && id(node) != wanted));
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(preference: Preference) -> Nodes {
        let channel =
            |address: &str| (address.to_owned(), crate::channel::open(address, None, REST_MIN).expect("address"));
        Nodes::new(vec![["a:1", "b:1", "c:1"].map(channel).to_vec()], preference)
    }

    fn two_sites(preference: Preference) -> Nodes {
        let channel =
            |address: &str| (address.to_owned(), crate::channel::open(address, None, REST_MIN).expect("address"));
        Nodes::new(vec![["a:1", "b:1"].map(channel).to_vec(), ["x:1", "y:1"].map(channel).to_vec()], preference)
    }

    fn order(nodes: &Nodes, now: Instant) -> Vec<&str> {
        nodes.round(now).iter().map(|node| node.address.as_str()).collect()
    }

    fn first(nodes: &Nodes, now: Instant) -> &str {
        &nodes.round(now)[0].address
    }

    #[tokio::test]
    async fn spread_takes_turns_and_leaves_resting_nodes_for_last() {
        let nodes = nodes(Preference::Spread);
        let now = Instant::now();
        let turns: Vec<_> = (0..4).map(|_| first(&nodes, now).to_owned()).collect();
        assert_eq!(turns, ["a:1", "b:1", "c:1", "a:1"]);
        nodes.sites[0].nodes[1].unwell(now);
        let order: Vec<_> = nodes.round(now).iter().map(|node| node.address.as_str()).collect();
        assert_eq!(order, ["c:1", "a:1", "b:1"]);
        assert_eq!(nodes.round(now + REST_MIN).len(), 3);
    }

    #[tokio::test]
    async fn the_leader_comes_first_until_it_fails() {
        let nodes = nodes(Preference::Leader);
        let now = Instant::now();
        nodes.learn(&nodes.sites[0].nodes[0], NodeId(1), NodeId(3));
        assert_eq!(first(&nodes, now), "b:1", "not the one that is known not to lead");
        nodes.learn(&nodes.sites[0].nodes[2], NodeId(3), NodeId(3));
        assert_eq!(first(&nodes, now), "c:1");
        nodes.sites[0].nodes[2].unwell(now);
        assert_eq!(first(&nodes, now), "a:1");
        assert_eq!(first(&nodes, now + REST_MIN), "c:1");
    }

    #[tokio::test]
    async fn rest_doubles_up_to_its_bound() {
        let nodes = nodes(Preference::Spread);
        let (node, mut now) = (&nodes.sites[0].nodes[0], Instant::now());
        for doubled in 0..10 {
            node.unwell(now);
            let rest = (REST_MIN * (1 << doubled)).min(REST_MAX);
            assert!(node.rests(now + rest - Duration::from_millis(1)));
            assert!(!node.rests(now + rest));
            now += rest;
        }
    }

    #[tokio::test]
    async fn failures_at_once_are_one_failure() {
        let nodes = nodes(Preference::Spread);
        let now = Instant::now();
        for _ in 0..16 {
            nodes.sites[0].nodes[0].unwell(now);
        }
        assert!(!nodes.sites[0].nodes[0].rests(now + REST_MIN));
    }

    #[tokio::test]
    async fn another_site_is_asked_after_the_first_and_before_it_only_while_all_of_it_rests() {
        let nodes = two_sites(Preference::Leader);
        let now = Instant::now();
        assert_eq!(order(&nodes, now), ["a:1", "b:1", "x:1", "y:1"]);
        nodes.sites[0].nodes[0].unwell(now);
        assert_eq!(order(&nodes, now), ["b:1", "a:1", "x:1", "y:1"], "a resting node of the first site all the same");
        nodes.sites[0].nodes[1].unwell(now);
        assert_eq!(order(&nodes, now), ["x:1", "y:1", "a:1", "b:1"]);
        assert_eq!(order(&nodes, now + REST_MIN), ["a:1", "b:1", "x:1", "y:1"], "back as soon as one may be asked");
    }

    #[tokio::test]
    async fn a_hint_holds_for_its_own_site() {
        let nodes = two_sites(Preference::Leader);
        let now = Instant::now();
        // both sites have a node 2
        for site in 0..2 {
            nodes.learn(&nodes.sites[site].nodes[1], NodeId(2), NodeId(1));
            nodes.learn(&nodes.sites[site].nodes[0], NodeId(1), NodeId(1));
        }
        nodes.learn(&nodes.sites[1].nodes[1], NodeId(2), NodeId(2));
        assert_eq!(order(&nodes, now), ["a:1", "b:1", "y:1", "x:1"]);
    }
}
