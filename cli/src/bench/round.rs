//! One round: records made ready, connections opened, load, what it came to.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};

use super::load::{self, Pace, Plan};
use super::process::Group;
use super::report::Round;
use super::store::Operation;
use super::{BACKLOG_MAX, Connection};

/// Before each load: preparing lets one system rest and another not; then all do.
const REST: Duration = Duration::from_secs(1);
/// Records made ready per second of load and call under way, at most...
const RECORDS_PER_LANE_S: usize = 400;
/// ...per second in all, at least...
const RECORDS_S_MIN: usize = 1_000;
/// ...and at most, where it is not known how many will be sent.
pub(super) const RECORDS_S_MAX: usize = 15_000;
/// Times as many as were sent before.
const MARGIN: f64 = 1.6;
/// Loads that come to nothing, at most: their records ran out long before their time, or no record was acknowledged.
pub(super) const ATTEMPTS: usize = 3;

/// Which nodes are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// All, in turn.
    Spread,
    /// The leader.
    Leader,
    /// The others.
    Followers,
}

/// What is done to a system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// What each call does.
    pub operation: Operation,
    /// Bytes of a payload.
    pub size: usize,
    /// Connections.
    pub connections: usize,
    /// Calls under way at once on each.
    pub lanes: usize,
    /// When calls are made.
    pub pace: Pace,
    /// Where they go.
    pub to: To,
}

/// A system under load.
pub trait Loaded {
    /// Its connections.
    type Connection: Connection;

    /// As reports name it.
    fn name(&self) -> &'static str;
    /// Makes what is sent ready beforehand: `records` at most are sent until the next call.
    fn prepare(&mut self, work: &Work, records: usize) -> impl Future<Output = Result<()>>;
    /// Opens the connections.
    fn connect(&mut self, work: &Work) -> impl Future<Output = Result<Vec<Self::Connection>>>;
    /// Its processes, a group a node; none where they are not on this machine.
    fn groups(&self) -> Vec<Group>;
}

/// How long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Before the measurement.
    pub warm_up: Duration,
    /// Of the measurement.
    pub duration: Duration,
}

/// Records that `work` may send in this time; `before`: per second, when it was done the last time. None of a time without any.
fn records_for(work: &Work, times: &Times, before: Option<f64>) -> usize {
    let lanes = work.connections * work.lanes;
    let together = if let Operation::Many(batch) = work.operation { batch } else { 1 };
    let per_s = match (work.pace, before.filter(|before| *before > 0.0)) {
        (Pace::Open { per_s }, _) => (per_s * together as f64).ceil() as usize,
        (Pace::Closed, Some(before)) => (before * MARGIN) as usize,
        (Pace::Closed, None) => (lanes * together * RECORDS_PER_LANE_S).clamp(RECORDS_S_MIN, RECORDS_S_MAX),
    };
    let seconds = (times.warm_up + times.duration).as_secs_f64();
    // what is under way at the end, and a second's worth where nothing is known
    (per_s as f64 * seconds) as usize + lanes * together + RECORDS_S_MIN
}

/// Puts on disk what anybody has written, so that the next measurement does not pay for it.
pub async fn settle() -> Result<()> {
    tokio::task::spawn_blocking(rustix::fs::sync).await?;
    Ok(())
}

/// Makes ready, loads, measures. `before`: records per second of an earlier round of the same.
pub async fn measure<L: Loaded>(system: &mut L, work: &Work, times: &Times, before: Option<f64>) -> Result<Round> {
    let Times { warm_up, duration } = *times;
    let mut before = before;
    for attempt in 0..ATTEMPTS {
        system.prepare(work, records_for(work, times, before) << attempt).await?;
        let connections = system.connect(work).await?;
        tokio::time::sleep(REST).await;
        let plan = Plan { pace: work.pace, lanes: work.lanes, warm_up, duration, backlog_max: BACKLOG_MAX };
        let measured = load::run(connections, &plan, &system.groups()).await?;
        // shorter than half of it is another measurement than was asked for
        if measured.elapsed * 2 >= duration {
            return Ok(Round::of(measured, work.pace));
        }
        // the round before this one may have stood still: what this one did while it could says more
        let seconds = measured.elapsed.as_secs_f64();
        eprintln!("{}: the records made ready lasted for {seconds:.1} s: more are made", system.name());
        before = (seconds > 0.0).then(|| measured.tally.records as f64 / seconds);
    }
    bail!(
        "{}: the records made ready lasted for less than half of {:.1} s, {ATTEMPTS} times",
        system.name(),
        duration.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::bench::Done;

    /// Takes what is given to it a hundred at a time, ten times the records that a rate of 10 a second asks for.
    struct Quick(Arc<AtomicUsize>);

    impl Connection for Quick {
        async fn call(&self) -> Result<Done, String> {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(100));
            Ok(left.map_or(Done::Exhausted, |_| Done::Records(100)))
        }
    }

    #[derive(Default)]
    struct Made {
        left: Arc<AtomicUsize>,
        prepared: Vec<usize>,
    }

    impl Loaded for Made {
        type Connection = Quick;

        fn name(&self) -> &'static str {
            "made"
        }

        async fn prepare(&mut self, _: &Work, records: usize) -> Result<()> {
            self.prepared.push(records);
            self.left.store(records, Ordering::Relaxed);
            Ok(())
        }

        async fn connect(&mut self, _: &Work) -> Result<Vec<Quick>> {
            Ok(vec![Quick(self.left.clone())])
        }

        fn groups(&self) -> Vec<Group> {
            Vec::new()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_rate_of_a_round_that_stalled_does_not_spoil_the_next() {
        let times = Times { warm_up: Duration::ZERO, duration: Duration::from_secs(1) };
        let (operation, pace) = (Operation::Single, Pace::Closed);
        let work = Work { operation, size: 1024, connections: 1, lanes: 1, pace, to: To::Spread };
        let mut made = Made::default();
        let round = measure(&mut made, &work, &times, Some(10.0)).await.unwrap();
        assert!(round.seconds >= 0.5, "{}", round.seconds);
        assert!(made.prepared.len() > 1 && made.prepared.is_sorted(), "{:?}", made.prepared);
    }

    #[test]
    fn enough_records_are_made_ready() {
        let times = Times { warm_up: Duration::from_secs(1), duration: Duration::from_secs(4) };
        let work = Work {
            operation: Operation::Single,
            size: 1024,
            connections: 16,
            lanes: 1,
            pace: Pace::Closed,
            to: To::Spread,
        };
        assert_eq!(records_for(&work, &times, None), 6_400 * 5 + 16 + 1_000);
        assert_eq!(records_for(&work, &times, Some(100.0)), 160 * 5 + 16 + 1_000);
        assert_eq!(records_for(&work, &times, Some(0.0)), records_for(&work, &times, None), "a round that stood still");
        let open = Work { pace: Pace::Open { per_s: 50.0 }, operation: Operation::Many(10), ..work };
        assert_eq!(records_for(&open, &times, Some(9_999.0)), 500 * 5 + 160 + 1_000);
    }
}
