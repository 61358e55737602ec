//! Where a child dies.

use std::time::Duration;

use kho_client::Step;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// A child's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// At the nth time that it comes to a step.
    At(Step, u64),
    /// So long after it was started, wherever it is.
    After(Duration),
}

/// Random moments, of all faults: one in so many.
const RANDOM_SHARE: u32 = 4;
/// A life is at most so long; the shortest lives end before the first sync.
const LIFE_MS_MAX: u64 = 500;

impl Fault {
    /// Draws one; `fresh`: the outbox is not made yet, and half of the lives end while it is.
    pub fn draw(random: &mut StdRng, fresh: bool) -> Self {
        if fresh && random.random_bool(0.5) {
            let making = [Step::Locked, Step::Made, Step::Named, Step::Writing, Step::Syncing, Step::Synced];
            let step = *making.choose(random).expect("some");
            let most = if matches!(step, Step::Writing | Step::Syncing | Step::Synced) { 6 } else { 1 };
            return Fault::At(step, random.random_range(1..=most));
        }
        if random.random_ratio(1, RANDOM_SHARE) {
            return Fault::After(Duration::from_millis(random.random_range(0..LIFE_MS_MAX)));
        }
        let steps: Vec<Step> =
            Step::ALL.into_iter().filter(|step| !matches!(step, Step::Locked | Step::Made | Step::Named)).collect();
        let step = *steps.choose(random).expect("some");
        let most = match step {
            Step::Writing => 90,
            Step::Syncing | Step::Synced => 14,
            Step::Retrying => 1,
            _ => 4,
        };
        Fault::At(step, random.random_range(1..=most))
    }

    /// Its name in a tally.
    pub fn name(&self) -> String {
        match self {
            Fault::At(step, _) => step.as_str().to_owned(),
            Fault::After(_) => "any moment".to_owned(),
        }
    }
}
