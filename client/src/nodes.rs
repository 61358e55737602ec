//! The nodes a client knows, and which to ask next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kho_proto::id::NodeId;
use kho_proto::pb::v1::store_client::StoreClient;
use parking_lot::Mutex;
use tonic::transport::Channel;

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

pub(crate) struct Node {
    pub(crate) address: String,
    pub(crate) store: StoreClient<Channel>,
    /// As its last answer said; 0: not known.
    id: AtomicU64,
    rest: Mutex<Rest>,
}

impl Node {
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
}

pub(crate) struct Nodes {
    nodes: Vec<Arc<Node>>,
    preference: Preference,
    leader: AtomicU64,
    turn: AtomicUsize,
}

impl Nodes {
    pub(crate) fn new(channels: Vec<(String, Channel)>, preference: Preference) -> Self {
        let nodes = channels
            .into_iter()
            .map(|(address, channel)| {
                let store = StoreClient::new(channel)
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX);
                Arc::new(Node { address, store, id: AtomicU64::new(0), rest: Mutex::default() })
            })
            .collect();
        Self { nodes, preference, leader: AtomicU64::new(0), turn: AtomicUsize::new(0) }
    }

    /// Learns from an answer who a node is and who leads.
    pub(crate) fn learn(&self, node: &Node, id: NodeId, leader: NodeId) {
        node.well();
        node.id.store(id.0, Ordering::Relaxed);
        if leader.0 != 0 {
            self.leader.store(leader.0, Ordering::Relaxed);
        }
    }

    /// A round over all nodes: preferred first, resting last.
    pub(crate) fn round(&self, now: Instant) -> Vec<&Node> {
        self.order(now).into_iter().map(|node| &**node).collect()
    }

    /// The same for who outlives the call.
    pub(crate) fn round_owned(&self, now: Instant) -> Vec<Arc<Node>> {
        self.order(now).into_iter().cloned().collect()
    }

    fn order(&self, now: Instant) -> Vec<&Arc<Node>> {
        let turn = match self.preference {
            Preference::Spread => self.turn.fetch_add(1, Ordering::Relaxed),
            Preference::Leader => self.turn.load(Ordering::Relaxed),
        };
        let leader = match self.preference {
            Preference::Leader => self.leader.load(Ordering::Relaxed),
            Preference::Spread => 0,
        };
        let id = |node: &Node| node.id.load(Ordering::Relaxed);
        // only its own answer says which node has the leader's id: until one has it, those not heard of may be it
        let wanted = if self.nodes.iter().any(|node| id(node) == leader) { leader } else { 0 };
        let mut round: Vec<&Arc<Node>> =
            (0..self.nodes.len()).map(|i| &self.nodes[(turn + i) % self.nodes.len()]).collect();
        round.sort_by_key(|node| (node.rests(now), leader != 0 && id(node) != wanted));
        round
    }

    /// The first in line failed: who prefers the leader, but doesn't know it, starts elsewhere next time.
    pub(crate) fn move_on(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(preference: Preference) -> Nodes {
        let channel =
            |address: &str| (address.to_owned(), crate::channel::open(address, None, REST_MIN).expect("address"));
        Nodes::new(["a:1", "b:1", "c:1"].map(channel).to_vec(), preference)
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
        nodes.nodes[1].unwell(now);
        let order: Vec<_> = nodes.round(now).iter().map(|node| node.address.as_str()).collect();
        assert_eq!(order, ["c:1", "a:1", "b:1"]);
        assert_eq!(nodes.round(now + REST_MIN).len(), 3);
    }

    #[tokio::test]
    async fn the_leader_comes_first_until_it_fails() {
        let nodes = nodes(Preference::Leader);
        let now = Instant::now();
        nodes.learn(&nodes.nodes[0], NodeId(1), NodeId(3));
        assert_eq!(first(&nodes, now), "b:1", "not the one that is known not to lead");
        nodes.learn(&nodes.nodes[2], NodeId(3), NodeId(3));
        assert_eq!(first(&nodes, now), "c:1");
        nodes.nodes[2].unwell(now);
        assert_eq!(first(&nodes, now), "a:1");
        assert_eq!(first(&nodes, now + REST_MIN), "c:1");
    }

    #[tokio::test]
    async fn rest_doubles_up_to_its_bound() {
        let nodes = nodes(Preference::Spread);
        let (node, mut now) = (&nodes.nodes[0], Instant::now());
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
            nodes.nodes[0].unwell(now);
        }
        assert!(!nodes.nodes[0].rests(now + REST_MIN));
    }
}
