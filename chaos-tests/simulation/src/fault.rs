//! What goes wrong.

use kho_node::storage::sim::{Cut, Point, Side};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::Serialize;

/// A cluster has so many places for voters, from 1. Who stands in a place changes: a plan names places, and what is under
/// way names nodes.
pub const PLACES: u64 = 3;

/// What is lost of a machine's disk before its node is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// Nothing: the change is planned.
    Nothing,
    /// The whole data directory.
    Directory,
    /// The directory of all logs.
    Logs,
    /// All in the directory of the one log.
    OneLog,
    /// Log and vote; the state is there.
    Raft,
}

/// What goes wrong. Numbers of nodes are places in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// A process is killed, or its machine loses power; it comes back at the end.
    Kill { node: u64, power: bool },
    /// All but one.
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
    /// Killed, or without power, right before or right after a named operation on its disk; or all at that moment.
    Cut { node: u64, cut: Cut, all: bool },
    /// An operator has the node in a place replaced by one with a new id, as `kho cluster replace` does; `patient`: also when
    /// it is refused at first. `returns`: by a node that was replaced before, with the data that it had, if there is one.
    Replace { place: u64, lost: Lost, patient: bool, returns: bool },
}

/// Draws a fault of a kind.
pub type Kind = fn(&mut SmallRng) -> Fault;

fn node(chance: &mut SmallRng) -> u64 {
    chance.random_range(1..=PLACES)
}

fn pair(chance: &mut SmallRng) -> (u64, u64) {
    let mut places: Vec<_> = (1..=PLACES).collect();
    let (two, _) = places.partial_shuffle(chance, 2);
    (two[0], two[1])
}

/// Points, and how many of a kind go by in some seconds.
const POINTS: [(Point, u64); 7] = [
    (Point::LogSync, 20),
    (Point::Apply, 12),
    (Point::Flush, 2),
    (Point::Checkpoint, 2),
    (Point::Install, 1),
    (Point::OpenState, 1),
    (Point::Mark, 3),
];

fn cut(chance: &mut SmallRng) -> Cut {
    let (point, often) = *POINTS.choose(chance).expect("not empty");
    let side = if chance.random() { Side::Before } else { Side::After };
    Cut { point, nth: chance.random_range(1..=often), side, power: chance.random_bool(0.7) }
}

fn replace(chance: &mut SmallRng) -> Fault {
    let losses = [Lost::Nothing, Lost::Nothing, Lost::Directory, Lost::Logs, Lost::OneLog, Lost::Raft];
    let lost = *losses.choose(chance).expect("not empty");
    Fault::Replace { place: node(chance), lost, patient: chance.random(), returns: chance.random_bool(0.4) }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
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
    |chance| Fault::Cut { node: node(chance), cut: cut(chance), all: chance.random_bool(0.3) },
    replace,
];

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
            Fault::Cut { cut, .. } => match cut.point {
                Point::LogSync => "cut at a log's sync",
                Point::Apply => "cut at an apply",
                Point::Flush => "cut at a flush",
                Point::Checkpoint => "cut at a snapshot",
                Point::Install => "cut at an install",
                Point::OpenState => "cut at a state's open",
                Point::Mark => "cut at the mark",
            },
            Fault::Replace { lost: Lost::Nothing, returns: false, .. } => "replace",
            Fault::Replace { lost: Lost::Nothing, .. } => "replace by a return",
            Fault::Replace { returns: false, .. } => "replace, disk lost",
            Fault::Replace { .. } => "replace by a return, disk lost",
        }
    }

    /// The same with what `who` makes of each number.
    pub fn struck(mut self, mut who: impl FnMut(u64) -> u64) -> Self {
        match &mut self {
            Fault::Kill { node, .. }
            | Fault::KillTwo { spared: node, .. }
            | Fault::KillTwice { node }
            | Fault::LoseState { node }
            | Fault::Restart { node }
            | Fault::Isolate { node }
            | Fault::Eio { node, .. }
            | Fault::Snapshot { node }
            | Fault::Clock { node, .. }
            | Fault::Cut { node, .. } => *node = who(*node),
            Fault::OneWay { from: a, to: b }
            | Fault::Ring { a, b }
            | Fault::Loss { a, b, .. }
            | Fault::Slow { a, b, .. }
            | Fault::Hold { a, b } => (*a, *b) = (who(*a), who(*b)),
            // who stands there is found out when it begins
            Fault::Replace { .. } | Fault::KillAll { .. } | Fault::IsolateLeader | Fault::Transfer => {}
        }
        self
    }
}
