//! One round: records made ready, connections opened, load, what it came to.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};

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

/// Records that `work` may send in this time; `before`: per second, when it was done the last time.
fn records_for(work: &Work, times: &Times, before: Option<f64>) -> usize {
    let lanes = work.connections * work.lanes;
    let together = if let Operation::Many(batch) = work.operation { batch } else { 1 };
    let per_s = match (work.pace, before) {
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
    system.prepare(work, records_for(work, times, before)).await?;
    let connections = system.connect(work).await?;
    tokio::time::sleep(REST).await;
    let Times { warm_up, duration } = *times;
    let plan = Plan { pace: work.pace, lanes: work.lanes, warm_up, duration, backlog_max: BACKLOG_MAX };
    let measured = load::run(connections, &plan, &system.groups()).await?;
    // shorter than half of it is another measurement than was asked for
    ensure!(
        measured.elapsed * 2 >= duration,
        "{}: the records made ready lasted for {:.1} s of {:.1} s",
        system.name(),
        measured.elapsed.as_secs_f64(),
        duration.as_secs_f64()
    );
    Ok(Round::of(measured, work.pace))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let open = Work { pace: Pace::Open { per_s: 50.0 }, operation: Operation::Many(10), ..work };
        assert_eq!(records_for(&open, &times, Some(9_999.0)), 500 * 5 + 160 + 1_000);
    }
}
