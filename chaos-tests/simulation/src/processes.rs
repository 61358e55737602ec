//! Which nodes run, which are down, and when they come back.

use std::collections::{BTreeMap, BTreeSet};

use kho_chaos_tests::invariants::Breach;
use kho_node::storage::sim::Point;
use kho_proto::id::NodeId;
use turmoil::Sim;

use crate::cluster::Cluster;
use crate::host::{Order, name};
use crate::members::retire;
use crate::record::Record;

/// A machine that ended by itself is started again after so long.
pub const OPERATOR_MS: u64 = 700;
/// How a node without its log may end when it is started under its old id.
const REFUSALS: [&str; 2] = ["data-dir-missing", "data-dir-damaged"];

/// The processes of all nodes.
#[derive(Default)]
pub struct Processes {
    /// Those that are down, and when they come back.
    down: BTreeMap<u64, u64>,
    /// Nodes that ended by themselves, by code.
    pub ended: BTreeMap<String, u64>,
    /// Nodes without their log that refused to start under their old id.
    pub refused: u64,
    /// Broken promises.
    pub breaches: Vec<Breach>,
}

impl Processes {
    /// Whether a node is not down.
    pub fn is_up(&self, node: u64) -> bool {
        !self.down.contains_key(&node)
    }

    /// All that are not down.
    pub fn up(&self, cluster: &Cluster<'_>) -> Vec<u64> {
        cluster.nodes().into_iter().filter(|node| self.is_up(*node)).collect()
    }

    /// Kills processes; they come back at `back`.
    pub fn kill(&mut self, nodes: &[u64], power: bool, back: u64, sim: &mut Sim<'_>, cluster: &Cluster<'_>) {
        for node in nodes {
            // what it let be seen must not outlive it
            cluster.host(*node).crashed(power);
            sim.crash(name(NodeId(*node)));
            self.down.insert(*node, back);
        }
    }

    /// All that are down come back now.
    pub fn all_back(&mut self, now: u64) {
        self.down.values_mut().for_each(|back| *back = now);
    }

    /// Takes note of what ended by itself, and starts what is due.
    pub fn look_after(&mut self, now: u64, sim: &mut Sim<'_>, cluster: &Cluster<'_>, record: &Record) {
        self.note_ends(now, sim, cluster, record);
        let due: BTreeSet<u64> = self.down.iter().filter(|(_, back)| **back <= now).map(|(node, _)| *node).collect();
        for node in due {
            self.down.remove(&node);
            let host = cluster.host(node);
            if host.is_gone() {
                continue;
            }
            // a process that ended by itself left the kernel alive; one that was killed has crashed already
            host.crashed(false);
            sim.bounce(name(host.node));
            record.note(&format!("node {node} starts"));
            // what it missed is purged elsewhere, so that it needs a copy
            if host.machine.disk.armed().is_some_and(|cut| cut.point == Point::Install) {
                cluster.hosts().filter(|other| other.node != host.node).for_each(|other| other.order(Order::Snapshot));
            }
        }
    }

    fn note_ends(&mut self, now: u64, sim: &mut Sim<'_>, cluster: &Cluster<'_>, record: &Record) {
        for host in cluster.hosts() {
            let node = host.node.0;
            if host.has_lost_its_log() && host.running().is_some() {
                let what = format!("node {node} lost its log and serves again under its id");
                self.breaches.push(Breach { invariant: "I7", what });
            }
            if !self.is_up(node) || sim.is_host_running(name(host.node)) {
                continue;
            }
            let code = host.take_ended().map_or_else(|| "stopped".to_owned(), |code| code.as_str().to_owned());
            record.note(&format!("node {node} ended: {code}"));
            if host.has_lost_its_log() && REFUSALS.contains(&code.as_str()) {
                self.refused += 1;
                retire(host, sim);
                continue;
            }
            *self.ended.entry(code).or_default() += 1;
            self.down.insert(node, now + OPERATOR_MS);
        }
    }
}
