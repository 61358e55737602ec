//! Kinds of faults that came later. They are drawn by a generator of their own and put between the others, so that a seed
//! with which something was found once still draws all the rest as it did then.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::schedule::{Able, ClientFault, ProcessFault, Step, victim};
use crate::kill_points::{Call, On};

/// Tells this generator from the one of the schedule.
const SALT: u64 = 0x6c61_7465_7273;

/// Adds them to both lanes.
pub fn add(
    seed: u64,
    nodes: usize,
    able: Able,
    processes: &mut Vec<Step<ProcessFault>>,
    clients: &mut Vec<Step<ClientFault>>,
) {
    let mut random = StdRng::seed_from_u64(seed ^ SALT);
    for step in processes.iter_mut() {
        if let ProcessFault::Kill { at, .. } = &mut step.fault
            && random.random_bool(0.5)
        {
            *at = Some(point(&mut random)).filter(|_| able.strace);
        }
    }
    if random.random_bool(0.6) {
        for _ in 0..random.random_range(1..=3) {
            let fault =
                ProcessFault::Certificates { victim: victim(&mut random, nodes), expired: random.random_bool(0.4) };
            let (after_ms, lasts_ms) = (random.random_range(300..1500), random.random_range(300..3000));
            insert(&mut random, processes, Step { after_ms, lasts_ms, fault });
        }
    }
    if random.random_bool(0.6) {
        for _ in 0..random.random_range(1..=3) {
            let after_ms = random.random_range(300..1500);
            insert(&mut random, clients, Step { after_ms, lasts_ms: 200, fault: ClientFault::Expired });
        }
    }
}

fn insert<F>(random: &mut StdRng, steps: &mut Vec<Step<F>>, step: Step<F>) {
    let place = random.random_range(0..=steps.len());
    steps.insert(place, step);
}

/// What a node comes to by itself, under load.
fn point(random: &mut StdRng) -> Call {
    let log = Call { name: "fdatasync", on: On::Log, nth: random.random_range(1..60) };
    let mark = Call { name: "rename", on: On::HighMark, nth: 1 };
    let directory = Call { name: "fsync", on: On::Directory, nth: 1 };
    *[log, log, mark, directory].choose(random).expect("some")
}
