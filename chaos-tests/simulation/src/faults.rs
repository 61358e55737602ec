//! Makes faults happen, and end. Each says what it did; whether it had an effect shows in the trace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use kho_node::consensus::Role;
use kho_node::storage::sim::{Point, SimFaults};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use turmoil::Sim;

use crate::cluster::Cluster;
use crate::fault::{Fault, Lost};
use crate::host::{Host, Order, name};
use crate::members::Members;
use crate::plan::Event;
use crate::processes::{OPERATOR_MS, Processes};
use crate::record::Record;

/// Where a node comes into a place, it is struck instead of who stands there this often.
const NEWCOMER: f64 = 0.5;
/// A cut at a point is waited for so long.
const CUT_WITHIN_MS: u64 = 6_000;

/// The faults of a plan, and which of them are under way.
pub struct Faults {
    next: usize,
    chance: SmallRng,
    /// Ends at, which fault with the nodes that it struck, and the leader that it struck.
    under_way: Vec<(u64, Fault, Option<u64>)>,
    /// Which of them run.
    pub processes: Processes,
    /// Replacements.
    pub members: Members,
    /// How many of each took effect.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Nothing has happened yet.
    pub fn new(seed: u64, members: Members) -> Self {
        Self {
            next: 0,
            chance: SmallRng::seed_from_u64(seed ^ 0xfa17),
            under_way: Vec::new(),
            processes: Processes::default(),
            members,
            counts: BTreeMap::new(),
        }
    }

    /// Right after a step: machines that were cut at a point in it crash for good.
    pub fn strike(&mut self, now: u64, sim: &mut Sim<'_>, cluster: &Cluster<'_>, record: &Record) {
        let cut: Vec<u64> = cluster.hosts().filter(|host| host.machine.disk.is_cut()).map(|host| host.node.0).collect();
        for node in cut {
            let of_it = |fault: &Fault| matches!(fault, Fault::Cut { node: struck, .. } if *struck == node);
            let Some(at) = self.under_way.iter().position(|(_, fault, _)| of_it(fault)) else {
                // its fault is over already
                self.processes.kill(&[node], true, now + OPERATOR_MS, sim, cluster);
                continue;
            };
            let (_, fault, _) = self.under_way.remove(at);
            let Fault::Cut { cut, all, .. } = fault else { continue };
            let struck = if all { self.processes.up(cluster) } else { vec![node] };
            let back = now + self.chance.random_range(1..3 * OPERATOR_MS);
            self.processes.kill(&struck, cut.power, back, sim, cluster);
            // that it met an error was its end, and nobody hears of it
            cluster.host(node).take_ended();
            record.note(&format!("{fault:?}: {struck:?}"));
            self.count(&fault);
        }
    }

    /// Does what is due at `now`, milliseconds.
    pub fn step(&mut self, now: u64, sim: &mut Sim<'_>, cluster: &mut Cluster<'_>, record: &Record) -> Result<()> {
        while let Some(event) = cluster.plan.events.get(self.next).copied().filter(|event| event.from_ms <= now) {
            self.next += 1;
            self.begin(now, event, sim, cluster, record)?;
        }
        let (over, still) = std::mem::take(&mut self.under_way).into_iter().partition(|(to, ..)| *to <= now);
        self.under_way = still;
        for (_, fault, leader) in over {
            self.end(fault, leader, sim, cluster, record);
        }
        if let Some(done) = self.members.step(now, &mut self.chance, cluster, sim)? {
            record.note(&format!("done: {done:?}; members are {:?}", cluster.directory.members()));
            self.count(&done);
        }
        self.processes.look_after(now, sim, cluster, record);
        Ok(())
    }

    /// Ends everything.
    pub fn heal(&mut self, now: u64, sim: &mut Sim<'_>, cluster: &mut Cluster<'_>, record: &Record) {
        for (_, fault, leader) in std::mem::take(&mut self.under_way) {
            self.end(fault, leader, sim, cluster, record);
        }
        self.members.heal(cluster, sim);
        self.processes.all_back(now);
        self.processes.look_after(now, sim, cluster, record);
        record.note("healed");
    }

    fn count(&mut self, fault: &Fault) {
        *self.counts.entry(fault.name()).or_default() += 1;
    }

    /// Who is meant by a place: who stands there, or comes there.
    fn who(&mut self, place: u64, cluster: &Cluster<'_>) -> u64 {
        let newcomer = self.members.newcomer(place, cluster);
        newcomer.filter(|_| self.chance.random_bool(NEWCOMER)).unwrap_or(cluster.directory.at(place).0)
    }

    fn begin(
        &mut self,
        now: u64,
        event: Event,
        sim: &mut Sim<'_>,
        cluster: &mut Cluster<'_>,
        record: &Record,
    ) -> Result<()> {
        let fault = event.fault.struck(|place| self.who(place, &*cluster));
        let mut to_ms = event.to_ms;
        let up = |node: u64| self.processes.is_up(node);
        let mut struck = None;
        match fault {
            Fault::Kill { node, power } if up(node) => self.processes.kill(&[node], power, event.to_ms, sim, cluster),
            Fault::KillTwice { node } if up(node) => self.processes.kill(&[node], true, now + 1, sim, cluster),
            // a minority's damage heals; a state that nobody has any more does not
            Fault::LoseState { node } if cluster.hosts().all(|host| host.running().is_some()) => {
                self.processes.kill(&[node], true, event.to_ms, sim, cluster);
                if let Err(error) = cluster.host(node).lose_state() {
                    record.note(&format!("the state of node {node} is still there: {error}"));
                    return Ok(());
                }
            }
            Fault::KillTwo { spared, power } => {
                let others: Vec<_> = self.processes.up(cluster).into_iter().filter(|node| *node != spared).collect();
                self.processes.kill(&others, power, event.to_ms, sim, cluster);
            }
            Fault::KillAll { power } => {
                let all = self.processes.up(cluster);
                self.processes.kill(&all, power, event.to_ms, sim, cluster);
            }
            Fault::Restart { node } if up(node) => cluster.host(node).order(Order::Stop),
            Fault::Isolate { node } => apart(sim, node, cluster),
            Fault::IsolateLeader => {
                let leads = |host: &&Arc<Host>| {
                    host.running().is_some_and(|running| running.consensus.status().role == Role::Leader)
                };
                let Some(leader) = cluster.hosts().find(leads).map(|host| host.node.0) else {
                    record.note("no leader to isolate");
                    return Ok(());
                };
                apart(sim, leader, cluster);
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
                let faults = SimFaults { write_fails: rate, flush_by_itself: cluster.plan.flush_by_itself };
                cluster.host(node).machine.disk.set_faults(faults);
            }
            Fault::Snapshot { node } if up(node) => cluster.host(node).order(Order::Snapshot),
            Fault::Transfer => cluster.hosts().for_each(|host| host.order(Order::Transfer)),
            Fault::Clock { node, ms } => cluster.host(node).machine.skew_ms.store(ms, Ordering::Relaxed),
            Fault::Cut { node, cut, .. } => {
                let host = cluster.host(node).clone();
                host.machine.disk.arm(Some(cut));
                to_ms = now + CUT_WITHIN_MS;
                // what would seldom happen by itself
                match cut.point {
                    Point::OpenState | Point::Install if up(node) => {
                        self.processes.kill(&[node], cut.power, event.to_ms, sim, cluster);
                    }
                    Point::Flush | Point::Checkpoint => host.order(Order::Snapshot),
                    _ => {}
                }
            }
            Fault::Replace { lost, .. } => {
                if let Some(why) = self.members.obstacle(lost, cluster) {
                    record.note(&format!("{fault:?}: {why}"));
                    return Ok(());
                }
                let Some(old) = self.members.begin(fault, cluster, sim)? else { return Ok(()) };
                if lost != Lost::Nothing {
                    self.processes.kill(&[old.0], true, now + OPERATOR_MS, sim, cluster);
                    cluster.host(old.0).lose_log(lost)?;
                }
                struck = Some(old.0);
            }
            Fault::Kill { .. }
            | Fault::KillTwice { .. }
            | Fault::LoseState { .. }
            | Fault::Restart { .. }
            | Fault::Snapshot { .. } => {
                record.note(&format!("{fault:?}: somebody is down already"));
                return Ok(());
            }
        }
        record.note(&format!("{fault:?}, {struck:?}"));
        // these count when they are done
        if !matches!(fault, Fault::Cut { .. } | Fault::Replace { .. }) {
            self.count(&fault);
        }
        self.under_way.push((to_ms, fault, struck));
        Ok(())
    }

    fn end(
        &mut self,
        fault: Fault,
        leader: Option<u64>,
        sim: &mut Sim<'_>,
        cluster: &mut Cluster<'_>,
        record: &Record,
    ) {
        match fault {
            Fault::KillTwice { node } if self.processes.is_up(node) => {
                self.processes.kill(&[node], true, 0, sim, cluster);
            }
            Fault::Isolate { node } => together(sim, node, cluster),
            Fault::IsolateLeader => leader.into_iter().for_each(|leader| together(sim, leader, cluster)),
            Fault::OneWay { from, to } => sim.repair_oneway(of(from), of(to)),
            Fault::Ring { a, b } => sim.repair(of(a), of(b)),
            Fault::Loss { a, b, .. } => {
                sim.set_link_fail_rate(of(a), of(b), 0.0);
                sim.repair(of(a), of(b));
            }
            Fault::Slow { a, b, .. } => {
                let latency = Duration::from_millis(cluster.plan.latency_max_ms);
                sim.set_link_max_message_latency(of(a), of(b), latency);
            }
            Fault::Hold { a, b } => sim.release(of(a), of(b)),
            Fault::Eio { node, .. } => {
                let faults = SimFaults { flush_by_itself: cluster.plan.flush_by_itself, ..SimFaults::default() };
                cluster.host(node).machine.disk.set_faults(faults);
            }
            Fault::Clock { node, .. } => cluster.host(node).machine.skew_ms.store(0, Ordering::Relaxed),
            // it never came to that point
            Fault::Cut { node, .. } => cluster.host(node).machine.disk.arm(None),
            Fault::Replace { .. } => self.members.stop(),
            _ => return,
        }
        record.note(&format!("over: {fault:?}"));
    }
}

fn of(node: u64) -> String {
    name(kho_proto::id::NodeId(node))
}

fn apart(sim: &Sim<'_>, node: u64, cluster: &Cluster<'_>) {
    let others = cluster.nodes().into_iter().filter(|other| *other != node);
    others.for_each(|other| sim.partition(of(node), of(other)));
}

/// Also with machines that are out of service: they may come back.
fn together(sim: &Sim<'_>, node: u64, cluster: &Cluster<'_>) {
    let others = cluster.ever().iter().map(|host| host.node.0).filter(|other| *other != node);
    others.for_each(|other| sim.repair(of(node), of(other)));
}
