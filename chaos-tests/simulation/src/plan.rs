//! Everything that a seed decides before the simulation begins. Swarm testing: each seed has some kinds of faults and not
//! others, so that rare combinations get their turn.

use std::time::Duration;

use kho_proto::id::NodeId;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

/// Nodes of the cluster.
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// A process is killed, or its machine loses power; it comes back at the end.
    Kill { node: u64, power: bool },
    /// Two of three.
    KillTwo { spared: u64, power: bool },
    /// All at once.
    KillAll { power: bool },
    /// Killed when it has just begun again.
    KillTwice { node: u64 },
    /// Killed, and its state is gone when it comes back; log and vote are there.
    LoseState { node: u64 },
    /// Told to stop, as an operator would.
    Restart { node: u64 },
    /// Whoever leads is cut off from the others; clients still reach it.
    IsolateLeader,
    /// One is cut off from the others.
    Isolate { node: u64 },
    /// What one sends to the other is lost.
    OneWay { from: u64, to: u64 },
    /// Two can't talk, the third talks to both.
    Ring { a: u64, b: u64 },
    /// Segments are lost, so connections break.
    Loss { a: u64, b: u64, rate: f64 },
    /// Everything between two takes long.
    Slow { a: u64, b: u64, latency_ms: u64 },
    /// Messages wait, and then come all at once.
    Hold { a: u64, b: u64 },
    /// Writes fail.
    Eio { node: u64, rate: f64 },
    /// A snapshot is made and the log purged, so that whoever is behind needs a copy.
    Snapshot { node: u64 },
    /// The leader hands over.
    Transfer,
    /// A machine's wall clock jumps, and jumps back at the end.
    Clock { node: u64, ms: i64 },
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Event {
    /// Milliseconds since the beginning.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
    /// What.
    pub fault: Fault,
}

/// What a seed decides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Virtual milliseconds of a step.
    pub tick_ms: u64,
    /// Faults end here.
    pub safety_ms: u64,
    /// One way, at most.
    pub latency_max_ms: u64,
    /// Of anything that waits for a disk.
    pub slowest_disk_ms: u64,
    /// A full write buffer, per write of the state.
    pub flush_by_itself: f64,
    /// `raft.snapshot_bytes`.
    pub snapshot_kib: u64,
    /// `raft.heartbeat_ms`; elections are in proportion.
    pub heartbeat_ms: u64,
    /// Senders at work.
    pub workers: usize,
    /// Between two operations of one, at most.
    pub think_max_ms: u64,
    /// Bytes of a payload, at most.
    pub payload_max: usize,
    /// In order of their beginning.
    pub events: Vec<Event>,
}

type Kind = fn(&mut SmallRng) -> Fault;

fn node(chance: &mut SmallRng) -> u64 {
    NODES.choose(chance).expect("three nodes").0
}

fn pair(chance: &mut SmallRng) -> (u64, u64) {
    let two: Vec<_> = NODES.choose_multiple(chance, 2).map(|node| node.0).collect();
    (two[0], two[1])
}

const KINDS: &[Kind] = &[
    |chance| Fault::Kill { node: node(chance), power: chance.random() },
    |chance| Fault::Kill { node: node(chance), power: true },
    |chance| Fault::KillTwo { spared: node(chance), power: chance.random() },
    |chance| Fault::KillAll { power: chance.random_bool(0.8) },
    |chance| Fault::KillTwice { node: node(chance) },
    |chance| Fault::LoseState { node: node(chance) },
    |chance| Fault::Restart { node: node(chance) },
    |_| Fault::IsolateLeader,
    |chance| Fault::Isolate { node: node(chance) },
    |chance| {
        let (from, to) = pair(chance);
        Fault::OneWay { from, to }
    },
    |chance| {
        let (a, b) = pair(chance);
        Fault::Ring { a, b }
    },
    |chance| {
        let (a, b) = pair(chance);
        Fault::Loss { a, b, rate: chance.random_range(0.01..0.3) }
    },
    |chance| {
        let (a, b) = pair(chance);
        Fault::Slow { a, b, latency_ms: chance.random_range(20..400) }
    },
    |chance| {
        let (a, b) = pair(chance);
        Fault::Hold { a, b }
    },
    |chance| Fault::Eio { node: node(chance), rate: chance.random_range(0.001..0.2) },
    |chance| Fault::Snapshot { node: node(chance) },
    |_| Fault::Transfer,
    |chance| Fault::Clock { node: node(chance), ms: chance.random_range(-20_000..20_000) },
];

impl Plan {
    /// What `seed` decides for so many virtual seconds of faults.
    pub fn draw(seed: u64, safety: Duration) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let safety_ms = safety.as_millis() as u64;
        let mut kinds: Vec<(Kind, f64)> = KINDS
            .iter()
            .filter_map(|kind| chance.random_bool(0.4).then_some((*kind, chance.random_range(0.1..1.0))))
            .collect();
        if kinds.is_empty() {
            kinds.push((KINDS[0], 1.0));
        }
        let pause_max = chance.random_range(800..6_000);
        let length_max = chance.random_range(300..8_000);
        let mut events = Vec::new();
        // the cluster is formed first
        let mut at = 2_500;
        while at < safety_ms {
            let (kind, _) = kinds.choose_weighted(&mut chance, |(_, weight)| *weight).expect("weights above zero");
            let to_ms = (at + chance.random_range(50..length_max)).min(safety_ms);
            events.push(Event { from_ms: at, to_ms, fault: kind(&mut chance) });
            at += chance.random_range(100..pause_max);
        }
        Self {
            seed,
            tick_ms: *[1, 2, 5].choose(&mut chance).expect("not empty"),
            safety_ms,
            latency_max_ms: chance.random_range(1..30),
            slowest_disk_ms: *[1, 5, 20, 100, 400].choose(&mut chance).expect("not empty"),
            flush_by_itself: if chance.random() { chance.random_range(0.0..0.2) } else { 0.0 },
            snapshot_kib: *[64, 256, 1 << 20].choose(&mut chance).expect("not empty"),
            heartbeat_ms: *[50, 75, 150].choose(&mut chance).expect("not empty"),
            workers: chance.random_range(2..8),
            think_max_ms: *[300, 800, 2_000].choose(&mut chance).expect("not empty"),
            payload_max: *[64, 1_024, 16 << 10].choose(&mut chance).expect("not empty"),
            events,
        }
    }
}

impl Fault {
    /// Its kind, for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Kill { power: false, .. } => "kill one",
            Fault::Kill { .. } => "power of one",
            Fault::KillTwo { .. } => "kill two",
            Fault::KillAll { .. } => "kill all",
            Fault::KillTwice { .. } => "kill twice",
            Fault::LoseState { .. } => "state lost",
            Fault::Restart { .. } => "restart",
            Fault::IsolateLeader => "isolate the leader",
            Fault::Isolate { .. } => "isolate one",
            Fault::OneWay { .. } => "one way",
            Fault::Ring { .. } => "ring",
            Fault::Loss { .. } => "loss",
            Fault::Slow { .. } => "slow link",
            Fault::Hold { .. } => "hold",
            Fault::Eio { .. } => "EIO",
            Fault::Snapshot { .. } => "snapshot",
            Fault::Transfer => "transfer",
            Fault::Clock { .. } => "clock",
        }
    }
}
