//! What will be done, when, to whom: drawn from a seed, and nothing else, so that the seed says it all.
//!
//! Three lanes run beside each other: processes, links, clients. Within a lane one fault follows the other. Which kinds
//! are drawn at all, and how hard they are, differs from seed to seed (swarm testing: a mix of everything hides what only
//! a few faults together bring out).

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use super::later;
use crate::kill_points::Call;
use crate::links::proxy::Mood;

/// Whom it hits; who that is shows when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// Who leads then.
    Leader,
    /// One that does not lead.
    Follower,
    /// The machine of this number, from 0.
    Machine(usize),
}

/// Which way nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Neither.
    Both,
    /// Nothing reaches it.
    In,
    /// Nothing leaves it.
    Out,
}

/// A fault of processes.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProcessFault {
    /// SIGKILL, and a start at the end. Before a system call, or at any time.
    Kill {
        victim: Victim,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Call>,
    },
    /// SIGKILL to all at once.
    KillAll,
    /// SIGSTOP, SIGCONT at the end: longer than an election.
    Pause { victim: Victim },
    /// No more memory than it has; the kernel may kill it.
    Memory { victim: Victim },
    /// Its wall clock jumps, and back at the end.
    Clock { victim: Victim, offset_s: i64 },
    /// Killed, its disk wiped, replaced by a node with a new id.
    Replace { victim: Victim },
    /// A snapshot, and the log purged behind it.
    Snapshot { victim: Victim },
    /// Leadership handed over.
    Transfer,
    /// All nodes, one after the other, stopped in good order and started.
    RollingRestart,
    /// New certificates for all its planes, and SIGHUP; expired ones before, or not.
    Certificates { victim: Victim, expired: bool },
}

/// A fault of links.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LinkFault {
    /// Cut from all other nodes; from clients too, or not.
    Isolate { victim: Victim, way: Way, clients: bool },
    /// The same, again and again.
    Flapping { victim: Victim, period_ms: u64 },
    /// Each node reaches its neighbours in a ring only: all see majorities, no two the same. Of three: one link is cut.
    Ring,
    /// Each node hears only the one before it.
    OneWayRing,
    /// Of a hundred packets that arrive, so many are lost.
    Loss { victim: Victim, percent: u32 },
    /// So many thousand bits a second leave it.
    Slow { victim: Victim, kbit: u32 },
    /// Connections to its listener for peers, or for clients, pass a proxy in this mood.
    Proxy { victim: Victim, clients: bool, mood: Mood },
}

/// What a hostile or broken client does.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClientFault {
    /// A record whose signature is of other bytes.
    BadSignature,
    /// An id that is taken, with another body.
    OtherBody,
    /// More than a record may have.
    Oversize,
    /// Bytes that are no protobuf, inside TLS and instead of it.
    Malformed,
    /// Asks for much and reads slowly.
    SlowReader,
    /// So many connections that never say anything.
    HalfOpen { count: usize },
    /// Comes with a certificate that has expired.
    Expired,
}

/// A fault and its time.
#[derive(Debug, Clone, Serialize)]
pub struct Step<F> {
    /// After the end of the one before.
    pub after_ms: u64,
    /// From begin to end.
    pub lasts_ms: u64,
    /// What.
    #[serde(flatten)]
    pub fault: F,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Schedule {
    /// Draws all the rest.
    pub seed: u64,
    /// How long faults go on.
    pub seconds: u64,
    /// Nodes: three or five.
    pub nodes: u8,
    /// Nodes make snapshots after so many bytes of log.
    pub snapshot_bytes: u64,
    /// Their wall clocks can be changed.
    pub clocks: bool,
    /// Lanes.
    pub processes: Vec<Step<ProcessFault>>,
    /// Lanes.
    pub links: Vec<Step<LinkFault>>,
    /// Lanes.
    pub clients: Vec<Step<ClientFault>>,
}

/// Kinds of process faults that this machine can do.
#[derive(Debug, Clone, Copy)]
pub struct Able {
    /// Control groups for memory.
    pub memory: bool,
    /// A library for wall clocks.
    pub clocks: bool,
    /// Death before a system call.
    pub strace: bool,
}

impl Schedule {
    /// Draws it. The same seed, seconds and abilities give the same schedule.
    pub fn draw(seed: u64, seconds: u64, able: Able) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let nodes: u8 = if random.random_ratio(1, 4) { 5 } else { 3 };
        let snapshot_bytes = *[128 << 10, 1 << 20, 1 << 30].choose(&mut random).expect("some");
        let pace = random.random_range(1.0..3.0);
        let mut processes = processes(&mut random, seconds, pace, usize::from(nodes), able);
        let links = links(&mut random, seconds, pace, usize::from(nodes));
        let mut clients = clients(&mut random, seconds, pace);
        later::add(seed, usize::from(nodes), able, &mut processes, &mut clients);
        let clocks = processes.iter().any(|step| matches!(step.fault, ProcessFault::Clock { .. }));
        Self { seed, seconds, nodes, snapshot_bytes, clocks, processes, links, clients }
    }
}

/// Some of `kinds`, at least two.
fn swarm(random: &mut StdRng, kinds: usize) -> Vec<usize> {
    loop {
        let drawn: Vec<usize> = (0..kinds).filter(|_| random.random_bool(0.6)).collect();
        if drawn.len() >= 2 {
            return drawn;
        }
    }
}

/// Fills the time with what `draw` makes of the kinds that the swarm drew.
fn lane<F>(
    random: &mut StdRng,
    seconds: u64,
    pace: f64,
    kinds: usize,
    mut draw: impl FnMut(&mut StdRng, usize) -> Option<(u64, F)>,
) -> Vec<Step<F>> {
    let drawn = swarm(random, kinds);
    let (mut steps, mut time_ms) = (Vec::new(), 0);
    loop {
        let after_ms = (random.random_range(500..2500) as f64 * pace) as u64;
        let kind = *drawn.choose(random).expect("at least two");
        let Some((lasts_ms, fault)) = draw(random, kind) else { continue };
        time_ms += after_ms + lasts_ms;
        if time_ms > seconds * 1000 {
            return steps;
        }
        steps.push(Step { after_ms, lasts_ms, fault });
    }
}

pub(super) fn victim(random: &mut StdRng, nodes: usize) -> Victim {
    match random.random_range(0..4) {
        0 | 1 => Victim::Leader,
        2 => Victim::Follower,
        _ => Victim::Machine(random.random_range(0..nodes)),
    }
}

fn processes(random: &mut StdRng, seconds: u64, pace: f64, nodes: usize, able: Able) -> Vec<Step<ProcessFault>> {
    let mut replaced = false;
    lane(random, seconds, pace, 9, |random, kind| {
        let victim = victim(random, nodes);
        let lasts = random.random_range(300..4000);
        Some(match kind {
            0 => (lasts, ProcessFault::Kill { victim, at: None }),
            1 => (lasts / 4, ProcessFault::KillAll),
            2 => (lasts.max(800), ProcessFault::Pause { victim }),
            3 if able.memory => (lasts + 2000, ProcessFault::Memory { victim }),
            4 if able.clocks => {
                let offset_s = *[-86_400, -600, -30, 30, 600, 86_400].choose(random)?;
                (lasts + 1500, ProcessFault::Clock { victim, offset_s })
            }
            // clients keep the addresses that they began with: one of them may go stale
            5 if !replaced => {
                replaced = true;
                (8000, ProcessFault::Replace { victim })
            }
            6 => (500, ProcessFault::Snapshot { victim }),
            7 => (500, ProcessFault::Transfer),
            8 => (5000, ProcessFault::RollingRestart),
            // drawn, and not possible: again; some kind always is
            _ => (lasts, ProcessFault::Kill { victim, at: None }),
        })
    })
}

fn links(random: &mut StdRng, seconds: u64, pace: f64, nodes: usize) -> Vec<Step<LinkFault>> {
    lane(random, seconds, pace, 10, |random, kind| {
        let victim = victim(random, nodes);
        let lasts = random.random_range(500..6000);
        let clients = random.random_bool(0.4);
        let proxy = |mood| LinkFault::Proxy { victim, clients, mood };
        Some(match kind {
            0 => {
                let way = *[Way::Both, Way::In, Way::Out].choose(random)?;
                (lasts, LinkFault::Isolate { victim, way, clients })
            }
            1 => (lasts, LinkFault::Isolate { victim: Victim::Leader, way: Way::Both, clients }),
            2 => (lasts + 1000, LinkFault::Flapping { victim, period_ms: random.random_range(100..900) }),
            3 => (lasts, LinkFault::Ring),
            4 => (lasts, LinkFault::OneWayRing),
            5 => (lasts, LinkFault::Loss { victim, percent: random.random_range(5..60) }),
            6 => (lasts + 1000, LinkFault::Slow { victim, kbit: random.random_range(100..4000) }),
            7 => {
                let (delay_ms, jitter_ms) = (random.random_range(5..120), random.random_range(0..200));
                (lasts + 1000, proxy(Mood { delay_ms, jitter_ms, ..Mood::default() }))
            }
            8 => (lasts + 2000, proxy(Mood { reset_per_mille: random.random_range(5..80), ..Mood::default() })),
            _ => (lasts + 2000, proxy(Mood { corrupt_per_mille: random.random_range(10..150), ..Mood::default() })),
        })
    })
}

fn clients(random: &mut StdRng, seconds: u64, pace: f64) -> Vec<Step<ClientFault>> {
    lane(random, seconds, pace, 6, |random, kind| {
        Some(match kind {
            0 => (200, ClientFault::BadSignature),
            1 => (200, ClientFault::OtherBody),
            2 => (500, ClientFault::Oversize),
            3 => (500, ClientFault::Malformed),
            4 => (4000, ClientFault::SlowReader),
            _ => (4000, ClientFault::HalfOpen { count: random.random_range(500..2500) }),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ABLE: Able = Able { memory: true, clocks: true, strace: true };

    #[test]
    fn a_seed_says_it_all() {
        let text = |seed| serde_json::to_string(&Schedule::draw(seed, 90, ABLE)).unwrap();
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn every_kind_is_drawn_by_some_seed_and_none_by_all() {
        let kinds = |seed| {
            let json = serde_json::to_value(Schedule::draw(seed, 90, ABLE)).unwrap();
            let lanes = ["processes", "links", "clients"].map(|lane| json[lane].as_array().unwrap().clone());
            lanes.concat().iter().map(|step| step["kind"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        let all: Vec<_> = (0..60).map(kinds).collect();
        let union: BTreeSet<_> = all.iter().flatten().collect();
        assert_eq!(union.len(), 10 + 7 + 7, "{union:?}");
        assert!(union.iter().all(|kind| all.iter().any(|drawn| !drawn.contains(*kind))));
    }

    #[test]
    fn a_schedule_keeps_to_its_time() {
        for seed in 0..60 {
            let schedule = Schedule::draw(seed, 20, ABLE);
            let time: u64 = schedule.links.iter().map(|step| step.after_ms + step.lasts_ms).sum();
            assert!(time <= 20_000);
            assert!(schedule.processes.len() + schedule.links.len() + schedule.clients.len() > 2);
        }
    }
}
