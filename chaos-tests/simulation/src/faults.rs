//! Makes faults happen, and end. Each says what it did; whether it had an effect shows in the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kho_node::consensus::Role;
use kho_node::storage::sim::SimFaults;
use turmoil::Sim;

use crate::host::{Host, Order, name};
use crate::plan::{Event, Fault, Plan};
use crate::record::Record;

/// A machine that ended by itself is started again after so long.
const OPERATOR_MS: u64 = 700;

/// The faults of a plan, and which of them are under way.
pub struct Faults<'a> {
    plan: &'a Plan,
    next: usize,
    /// Ends at, which of the plan's events, and what it struck where that was decided only then.
    under_way: Vec<(u64, Event, Option<u64>)>,
    /// Processes that are down, and when they come back.
    down: BTreeMap<u64, u64>,
    /// How many of each took effect.
    pub counts: BTreeMap<&'static str, u64>,
    /// Nodes that ended by themselves, by code.
    pub ended: BTreeMap<String, u64>,
}

impl<'a> Faults<'a> {
    /// Nothing has happened yet.
    pub fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            next: 0,
            under_way: Vec::new(),
            down: BTreeMap::new(),
            counts: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Does what is due at `now`, milliseconds.
    pub fn step(&mut self, now: u64, sim: &mut Sim<'_>, hosts: &[Arc<Host>], record: &Record) {
        while let Some(event) = self.plan.events.get(self.next).filter(|event| event.from_ms <= now) {
            self.next += 1;
            self.begin(now, *event, sim, hosts, record);
        }
        let (over, still) = std::mem::take(&mut self.under_way).into_iter().partition(|(to, ..)| *to <= now);
        self.under_way = still;
        for (_, event, struck) in over {
            self.end(event, struck, sim, hosts, record);
        }
        self.look_after(now, sim, hosts, record);
    }

    /// Ends everything.
    pub fn heal(&mut self, now: u64, sim: &mut Sim<'_>, hosts: &[Arc<Host>], record: &Record) {
        for (_, event, struck) in std::mem::take(&mut self.under_way) {
            self.end(event, struck, sim, hosts, record);
        }
        for back in self.down.values_mut() {
            *back = now;
        }
        self.look_after(now, sim, hosts, record);
        record.note("healed");
    }

    fn count(&mut self, fault: &Fault) {
        *self.counts.entry(fault.name()).or_default() += 1;
    }

    fn begin(&mut self, now: u64, event: Event, sim: &mut Sim<'_>, hosts: &[Arc<Host>], record: &Record) {
        let all: Vec<u64> = hosts.iter().map(|host| host.node.0).collect();
        let up = |node: u64| !self.down.contains_key(&node);
        let mut struck = None;
        match event.fault {
            Fault::Kill { node, power } if up(node) => self.kill(&[node], power, event.to_ms, sim, hosts),
            Fault::KillTwice { node } if up(node) => self.kill(&[node], true, now + 1, sim, hosts),
            // a minority's damage heals; a state that nobody has any more does not
            Fault::LoseState { node } if hosts.iter().all(|host| host.running().is_some()) => {
                self.kill(&[node], true, event.to_ms, sim, hosts);
                if let Err(error) = find(hosts, node).lose_state() {
                    record.note(&format!("the state of node {node} is still there: {error}"));
                    return;
                }
            }
            Fault::KillTwo { spared, power } => {
                let two: Vec<_> = all.into_iter().filter(|node| *node != spared && up(*node)).collect();
                self.kill(&two, power, event.to_ms, sim, hosts);
            }
            Fault::KillAll { power } => {
                let all: Vec<_> = all.into_iter().filter(|node| up(*node)).collect();
                self.kill(&all, power, event.to_ms, sim, hosts);
            }
            Fault::Restart { node } if up(node) => find(hosts, node).order(Order::Stop),
            Fault::Isolate { node } => apart(sim, node, hosts),
            Fault::IsolateLeader => {
                let leads = |host: &&Arc<Host>| {
                    host.running().is_some_and(|running| running.consensus.status().role == Role::Leader)
                };
                let Some(leader) = hosts.iter().find(leads).map(|host| host.node.0) else {
                    record.note("no leader to isolate");
                    return;
                };
                apart(sim, leader, hosts);
                struck = Some(leader);
            }
            Fault::OneWay { from, to } => sim.partition_oneway(of(from), of(to)),
            Fault::Ring { a, b } => sim.partition(of(a), of(b)),
            Fault::Loss { a, b, rate } => sim.set_link_fail_rate(of(a), of(b), rate),
            Fault::Slow { a, b, latency_ms } => {
                sim.set_link_max_message_latency(of(a), of(b), Duration::from_millis(latency_ms));
            }
            Fault::Hold { a, b } => sim.hold(of(a), of(b)),
            Fault::Eio { node, rate } => {
                let faults = SimFaults { write_fails: rate, flush_by_itself: self.plan.flush_by_itself };
                find(hosts, node).machine.disk.set_faults(faults);
            }
            Fault::Snapshot { node } if up(node) => find(hosts, node).order(Order::Snapshot),
            Fault::Transfer => hosts.iter().for_each(|host| host.order(Order::Transfer)),
            Fault::Clock { node, ms } => find(hosts, node).machine.skew_ms.store(ms, Ordering::Relaxed),
            Fault::Kill { .. }
            | Fault::KillTwice { .. }
            | Fault::LoseState { .. }
            | Fault::Restart { .. }
            | Fault::Snapshot { .. } => {
                record.note(&format!("{:?}: somebody is down already", event.fault));
                return;
            }
        }
        record.note(&format!("{:?}, {struck:?}", event.fault));
        self.count(&event.fault);
        self.under_way.push((event.to_ms, event, struck));
    }

    fn end(&mut self, event: Event, struck: Option<u64>, sim: &mut Sim<'_>, hosts: &[Arc<Host>], record: &Record) {
        match event.fault {
            Fault::KillTwice { node } if !self.down.contains_key(&node) => {
                self.kill(&[node], true, event.to_ms, sim, hosts);
            }
            Fault::Isolate { node } => together(sim, node, hosts),
            Fault::IsolateLeader => struck.into_iter().for_each(|leader| together(sim, leader, hosts)),
            Fault::OneWay { from, to } => sim.repair_oneway(of(from), of(to)),
            Fault::Ring { a, b } => sim.repair(of(a), of(b)),
            Fault::Loss { a, b, .. } => {
                sim.set_link_fail_rate(of(a), of(b), 0.0);
                sim.repair(of(a), of(b));
            }
            Fault::Slow { a, b, .. } => {
                sim.set_link_max_message_latency(of(a), of(b), Duration::from_millis(self.plan.latency_max_ms));
            }
            Fault::Hold { a, b } => sim.release(of(a), of(b)),
            Fault::Eio { node, .. } => {
                let faults = SimFaults { flush_by_itself: self.plan.flush_by_itself, ..SimFaults::default() };
                find(hosts, node).machine.disk.set_faults(faults);
            }
            Fault::Clock { node, .. } => find(hosts, node).machine.skew_ms.store(0, Ordering::Relaxed),
            _ => return,
        }
        record.note(&format!("over: {:?}", event.fault));
    }

    /// Kills processes; they come back at `back`.
    fn kill(&mut self, nodes: &[u64], power: bool, back: u64, sim: &mut Sim<'_>, hosts: &[Arc<Host>]) {
        for node in nodes {
            // what it let be seen must not outlive it
            let host = find(hosts, *node);
            host.gone(power);
            sim.crash(of(*node));
            self.down.insert(*node, back);
        }
    }

    /// Starts what is due, and what ended by itself.
    fn look_after(&mut self, now: u64, sim: &mut Sim<'_>, hosts: &[Arc<Host>], record: &Record) {
        for host in hosts {
            let node = host.node.0;
            if !self.down.contains_key(&node) && !sim.is_host_running(of(node)) {
                let code = host.take_ended().map_or_else(|| "stopped".to_owned(), |code| code.as_str().to_owned());
                record.note(&format!("node {node} ended: {code}"));
                *self.ended.entry(code).or_default() += 1;
                self.down.insert(node, now + OPERATOR_MS);
            }
        }
        let due: BTreeSet<u64> = self.down.iter().filter(|(_, back)| **back <= now).map(|(node, _)| *node).collect();
        for node in due {
            self.down.remove(&node);
            // a process that ended by itself left the kernel alive; one that was killed has crashed already
            find(hosts, node).gone(false);
            sim.bounce(of(node));
            record.note(&format!("node {node} starts"));
        }
    }
}

fn of(node: u64) -> String {
    name(kho_proto::id::NodeId(node))
}

fn find(hosts: &[Arc<Host>], node: u64) -> &Arc<Host> {
    hosts.iter().find(|host| host.node.0 == node).expect("plans name nodes that are there")
}

fn others(node: u64, hosts: &[Arc<Host>]) -> impl Iterator<Item = u64> {
    hosts.iter().map(|host| host.node.0).filter(move |other| *other != node)
}

fn apart(sim: &Sim<'_>, node: u64, hosts: &[Arc<Host>]) {
    others(node, hosts).for_each(|other| sim.partition(of(node), of(other)));
}

fn together(sim: &Sim<'_>, node: u64, hosts: &[Arc<Host>]) {
    others(node, hosts).for_each(|other| sim.repair(of(node), of(other)));
}
