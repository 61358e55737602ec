//! How fast the log takes commands: what a full queue's hint is made of.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::write::metric_definitions::DRAIN_RATE;

/// The rate is looked at anew after so long.
const WINDOW: Duration = Duration::from_millis(250);
/// A rate older than this says nothing of now.
const STALE: Duration = Duration::from_secs(5);
/// Hints: shorter ones are not worth a timer, longer ones would outlast most overloads.
const WAIT_MIN: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Where nothing was measured.
const WAIT_DEFAULT: Duration = Duration::from_millis(100);

/// Commands that were answered, over time.
#[derive(Default)]
pub(super) struct Drain(Mutex<Option<Measure>>);

struct Measure {
    since: Instant,
    answered: usize,
    /// A second; none before the first window has ended.
    rate: Option<f64>,
}

impl Drain {
    /// So many commands are answered.
    pub fn answered(&self, now: Instant, commands: usize) {
        let mut measure = self.0.lock();
        let measure = measure.get_or_insert_with(|| Measure { since: now, answered: 0, rate: None });
        measure.answered += commands;
        let took = now - measure.since;
        if took < WINDOW {
            return;
        }
        let new = measure.answered as f64 / took.as_secs_f64();
        // half of it is memory: one slow sync is not a trend
        let rate = if took > STALE { new } else { measure.rate.map_or(new, |rate| (rate + new) / 2.0) };
        metrics::gauge!(DRAIN_RATE).set(rate);
        *measure = Measure { since: now, answered: 0, rate: Some(rate) };
    }

    /// How long it takes until so many more are answered.
    pub fn wait(&self, now: Instant, commands: usize) -> Duration {
        match &*self.0.lock() {
            Some(Measure { rate: Some(rate), since, .. }) if now.saturating_duration_since(*since) <= STALE => {
                let seconds = commands as f64 / rate.max(1.0);
                Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64())).max(WAIT_MIN)
            }
            _ => WAIT_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        drain: Drain,
        now: Instant,
    }

    impl Scene {
        fn new() -> Scene {
            Scene { drain: Drain::default(), now: Instant::now() }
        }

        /// So many commands in each of so many steps of 10 ms.
        fn run(&mut self, steps: usize, each: usize) {
            for _ in 0..steps {
                self.now += Duration::from_millis(10);
                self.drain.answered(self.now, each);
            }
        }

        fn wait(&self, commands: usize) -> Duration {
            self.drain.wait(self.now, commands)
        }
    }

    #[test]
    fn the_wait_is_what_the_log_needs_for_what_waits() {
        let mut scene = Scene::new();
        assert_eq!(scene.wait(1000), WAIT_DEFAULT, "nothing was measured");
        // 1,000 a second
        scene.run(100, 10);
        let wait = scene.wait(500);
        assert!((450..=550).contains(&wait.as_millis()), "{wait:?}");
        assert_eq!(scene.wait(1), WAIT_MIN);
        assert_eq!(scene.wait(1_000_000), WAIT_MAX);
        scene.now += STALE * 2;
        assert_eq!(scene.wait(500), WAIT_DEFAULT, "long ago");
    }

    #[test]
    fn a_log_that_slows_down_lengthens_the_wait() {
        let mut scene = Scene::new();
        scene.run(200, 10);
        assert!(scene.wait(500) < Duration::from_millis(600));
        scene.run(200, 1);
        assert_eq!(scene.wait(500), WAIT_MAX);
    }
}
