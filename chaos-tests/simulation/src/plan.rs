//! Everything that a seed decides before the simulation begins. Swarm testing: each seed has some kinds of faults and not
//! others, so that rare combinations get their turn.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::fault::{Fault, KINDS, Kind};

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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn drawn(seed: u64) -> BTreeSet<&'static str> {
        Plan::draw(seed, Duration::from_secs(60)).events.iter().map(|event| event.fault.name()).collect()
    }

    #[test]
    fn every_kind_is_drawn_by_some_seed_and_none_by_all() {
        let all: Vec<_> = (0..300).map(drawn).collect();
        let mut seeds: BTreeMap<&str, usize> = BTreeMap::new();
        all.iter().flatten().for_each(|kind| *seeds.entry(kind).or_default() += 1);
        // 17 kinds of which one has two names, seven points, four ways to replace
        assert_eq!(seeds.len(), 18 + 7 + 4, "{seeds:?}");
        assert!(seeds.values().all(|seeds| *seeds >= 3 && *seeds < all.len()), "{seeds:?}");
    }

    #[test]
    fn a_seed_says_it_all() {
        let text = |seed| serde_json::to_string(&Plan::draw(seed, Duration::from_secs(60))).expect("JSON");
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn faults_end_when_the_plan_says_and_name_places() {
        for seed in 0..300 {
            let plan = Plan::draw(seed, Duration::from_secs(20));
            for Event { from_ms, to_ms, fault } in &plan.events {
                assert!(from_ms < to_ms && *to_ms <= plan.safety_ms, "seed {seed}: {fault:?}");
                let place = |number| {
                    assert!((1..=crate::fault::PLACES).contains(&number), "seed {seed}: {fault:?}");
                    number
                };
                assert_eq!(fault.struck(place), *fault);
            }
        }
    }
}
