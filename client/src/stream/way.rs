//! A stream's way over the nodes: who is tried next, and not before when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use kho_proto::error::Code;

use crate::attempt::Failed;
use crate::client::Client;
use crate::nodes::Node;

/// Rounds over all nodes, with pauses between them.
pub(super) struct Way {
    /// Nodes of this round that are still to be tried, the next one last.
    round: Vec<Arc<Node>>,
    pauses: ExponentialBackoff,
    /// No node is tried before.
    pub resting: Instant,
}

impl Way {
    pub fn new(client: &Client) -> Self {
        Self { round: Vec::new(), pauses: client.timing().pauses(client.seed()), resting: Instant::now() }
    }

    /// The node to try now.
    pub fn next(&mut self, client: &Client, now: Instant) -> Option<Arc<Node>> {
        if self.round.is_empty() {
            self.round = client.nodes().round_owned(now);
            self.round.reverse();
        }
        self.round.pop()
    }

    /// Another node is next; after a round over all of them, or if the node asks for it, not at once.
    pub fn leave(&mut self, client: &Client, node: &Node, retry_after: Option<Duration>) {
        node.unwell(Instant::now());
        self.turn(client, retry_after);
    }

    /// The same, and nothing is wrong with the node.
    pub fn turn(&mut self, client: &Client, retry_after: Option<Duration>) {
        let now = Instant::now();
        client.nodes().move_on();
        let pause = if self.round.is_empty() { self.pauses.next().unwrap_or_default() } else { Duration::ZERO };
        self.resting = self.resting.max(now + pause.max(retry_after.unwrap_or_default()));
    }

    /// A record was taken: pauses are short again.
    pub fn well(&mut self, client: &Client) {
        self.pauses = client.timing().pauses(client.seed());
    }
}

/// Whether another node may do better with a record.
pub(super) fn leaves(failed: &Failed) -> bool {
    match failed {
        Failed::Admitted(_) | Failed::Foreign(_) => true,
        Failed::Refused(refusal) => {
            let elsewhere = [Code::NoLeader, Code::NotLeader, Code::NodeStopping, Code::KeysMissing, Code::DiskReserve];
            elsewhere.contains(&refusal.code)
        }
        Failed::Unreached(_) | Failed::Unknown(_) => false,
    }
}
