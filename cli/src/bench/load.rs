//! Closed and open loops over connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::arrivals::{Arrivals, Backlog};
use super::process::{Group, Usage};
use super::tally::{Piece, Tally, us};
use super::{Connection, Done};

/// Calls that are due and not begun, at most: at 10,000 a second six seconds' worth, twice the time in which a request
/// must be acknowledged (R-B1). What comes on top is told as overflow.
pub const BACKLOG_MAX: usize = 65_536;
/// Calls under way at the end have so long: Kho's own client gives up after 3 s. What has not ended then counts with its age.
pub const GRACE: Duration = Duration::from_secs(5);
/// Pieces of a time line, about.
const PIECES: u32 = 60;
/// A piece is at least so long.
const PIECE_MIN: Duration = Duration::from_millis(100);
/// A connection whose call failed rests so long, so that a refusing server is not asked in a tight loop.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// When the next call is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When the one before has ended.
    Closed,
    /// At a fixed rate of all connections together.
    Open {
        /// Calls per second.
        per_s: f64,
    },
}

/// How to load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When to call.
    pub pace: Pace,
    /// Calls under way at once on each connection.
    pub lanes: usize,
    /// Load before the measurement, so that connections, caches and trees have their size.
    pub warm_up: Duration,
    /// What is measured.
    pub duration: Duration,
    /// Calls that may wait; open loop only.
    pub backlog_max: usize,
}

/// What a load came to.
#[derive(Debug)]
pub struct Measured {
    /// Counts and latencies.
    pub tally: Tally,
    /// Length of the measured time: shorter than planned when the records ran out.
    pub elapsed: Duration,
    /// Length of a piece of the time line.
    pub piece: Duration,
    /// Of an open loop.
    pub backlog: Option<Backlog>,
    /// Calls that had not ended when time was up, or had not begun: they stand in the latencies with their age, and more
    /// is not known of them.
    pub unfinished: u64,
    /// What each watched process took.
    pub used: Vec<Usage>,
    /// What the generator itself took.
    pub own: Usage,
}

struct Shared<C> {
    connections: Vec<C>,
    tallies: Vec<Mutex<Tally>>,
    arrivals: Option<Arrivals>,
    begin: Instant,
    end: Instant,
    piece: Duration,
    /// When the records ran out, microseconds after `start`: what ends later does not count, as the time does not.
    exhausted_us: AtomicU64,
    /// When each lane's call was meant to begin, microseconds after `begin` less the warm-up; 0: none under way.
    under_way: Vec<AtomicU64>,
    start: Instant,
}

impl<C: Connection> Shared<C> {
    fn measured(&self, at: Instant) -> bool {
        (self.begin..self.over()).contains(&at)
    }

    /// Whether a call that was meant to begin then and ended, or is seen without an end, at `ended` belongs to what is
    /// measured. In an open loop others fall due while one waits; in a closed loop nobody else waits out a stall: a call counts
    /// that was under way at any time of the measurement.
    fn counts(&self, intended: Instant, ended: Instant) -> bool {
        match self.arrivals {
            Some(_) => self.measured(intended),
            None => intended < self.over() && self.begin <= ended,
        }
    }

    /// The end of what is measured.
    fn over(&self) -> Instant {
        match self.exhausted_us.load(Ordering::Relaxed) {
            u64::MAX => self.end,
            us => self.end.min(self.start + Duration::from_micros(us)),
        }
    }

    /// Makes one call on the connection of `lane`; false: nothing is left to send.
    async fn call(&self, place: usize, lane: usize, intended: Instant) -> bool {
        // 0 is nobody: the first microsecond counts as the second
        let mark = us(intended.saturating_duration_since(self.start)).max(1);
        self.under_way[lane].store(mark, Ordering::Relaxed);
        let begun = Instant::now();
        let outcome = self.connections[place].call().await;
        let ended = Instant::now();
        self.under_way[lane].store(0, Ordering::Relaxed);
        let failed = outcome.is_err();
        let more = self.note(place, (intended, begun, ended), outcome);
        if failed {
            tokio::time::sleep(AFTER_ERROR).await;
        }
        more
    }

    /// Writes down what a call came to; false: nothing is left to send.
    fn note(&self, place: usize, at: (Instant, Instant, Instant), outcome: Result<Done, String>) -> bool {
        let (intended, begun, ended) = at;
        let mut tally = self.tallies[place].lock();
        match outcome {
            Ok(Done::Exhausted) => {
                self.exhausted_us.fetch_min(us(self.start.elapsed()), Ordering::Relaxed);
                return false;
            }
            Ok(Done::Records(records)) => {
                let latency = us(ended - intended);
                if self.counts(intended, ended) {
                    tally.latencies.saturating_record_n(latency, records.max(1));
                    if let Some(service) = &mut tally.service {
                        service.saturating_record_n(us(ended - begun), records.max(1));
                    }
                }
                if self.measured(ended) {
                    tally.records += records;
                    tally.calls += 1;
                    if let Some(piece) = self.piece_of(&mut tally, ended) {
                        piece.records += records;
                        piece.slowest_us = piece.slowest_us.max(latency);
                    }
                }
            }
            Err(error) => {
                if self.counts(intended, ended) {
                    tally.errors += 1;
                    tally.error.get_or_insert(error);
                    if let Some(piece) = self.piece_of(&mut tally, ended) {
                        piece.errors += 1;
                    }
                }
            }
        }
        true
    }

    fn piece_of<'a>(&self, tally: &'a mut Tally, at: Instant) -> Option<&'a mut Piece> {
        let number = at.saturating_duration_since(self.begin).as_nanos() / self.piece.as_nanos().max(1);
        tally.pieces.get_mut(usize::try_from(number).ok()?)
    }

    async fn lane(self: Arc<Self>, place: usize, lane: usize) {
        match &self.arrivals {
            None => loop {
                let now = Instant::now();
                let over = now >= self.over();
                if over || !self.call(place, lane, now).await {
                    return;
                }
            },
            Some(arrivals) => {
                while let Some(intended) = arrivals.next().await {
                    if !self.call(place, lane, intended).await {
                        arrivals.close();
                        return;
                    }
                }
            }
        }
    }
}

/// Loads `connections` as planned, and watches `groups` meanwhile.
pub async fn run<C: Connection>(connections: Vec<C>, plan: &Plan, groups: &[Group]) -> anyhow::Result<Measured> {
    let places = connections.len();
    let lanes = places * plan.lanes;
    let piece = (plan.duration / PIECES).max(PIECE_MIN);
    let pieces = usize::try_from(plan.duration.as_nanos().div_ceil(piece.as_nanos()))?;
    let open = matches!(plan.pace, Pace::Open { .. });
    let start = Instant::now();
    let begin = start + plan.warm_up;
    let shared = Arc::new(Shared {
        connections,
        tallies: (0..places).map(|_| Mutex::new(Tally::new(pieces, open))).collect(),
        arrivals: open.then(|| Arrivals::new(plan.backlog_max)),
        begin,
        end: begin + plan.duration,
        piece,
        exhausted_us: AtomicU64::new(u64::MAX),
        under_way: (0..lanes).map(|_| AtomicU64::new(0)).collect(),
        start,
    });
    let mut tasks = JoinSet::new();
    for lane in 0..lanes {
        tasks.spawn(shared.clone().lane(lane % places, lane));
    }
    let pacer = match plan.pace {
        Pace::Closed => None,
        Pace::Open { per_s } => {
            let shared = shared.clone();
            let pace = move || shared.arrivals.iter().for_each(|all| all.pace(per_s, start, shared.begin, shared.end));
            Some(tokio::task::spawn_blocking(pace))
        }
    };
    tokio::time::sleep_until(begin.into()).await;
    let before = watch(groups)?;
    until_end(&shared).await;
    let elapsed = Instant::now().min(shared.over()).saturating_duration_since(shared.begin);
    let after = watch(groups)?;
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    let ended = tokio::time::timeout(GRACE, all_ended).await;
    if let Some(pacer) = pacer {
        pacer.await.context("the pacing thread")?;
    }
    let mut tally = Tally::new(pieces, open);
    let mut unfinished = 0;
    if ended.is_err() {
        tasks.shutdown().await;
        let stuck = shared.under_way.iter().map(|mark| mark.load(Ordering::Relaxed)).filter(|mark| *mark > 0);
        unfinished += count_open(&mut tally, stuck.map(|mark| start + Duration::from_micros(mark)), &shared);
    }
    let left = shared.arrivals.iter().flat_map(Arrivals::left);
    unfinished += count_open(&mut tally, left, &shared);
    for one in &shared.tallies {
        let own = std::mem::replace(&mut *one.lock(), Tally::new(0, open));
        tally.add(own);
    }
    let (used, own) = after.since(&before);
    let backlog = shared.arrivals.as_ref().map(Arrivals::backlog);
    Ok(Measured { tally, elapsed, piece, backlog, unfinished, used, own })
}

/// Until the measured time is over, or the records are.
async fn until_end<C: Connection>(shared: &Shared<C>) {
    const LOOK: Duration = Duration::from_millis(20);
    while Instant::now() < shared.over() {
        let next = (Instant::now() + LOOK).min(shared.end);
        tokio::time::sleep_until(next.into()).await;
    }
}

/// Calls whose end nobody saw count with the age that they have.
fn count_open<C: Connection>(tally: &mut Tally, intended: impl Iterator<Item = Instant>, shared: &Shared<C>) -> u64 {
    let mut count = 0;
    let now = Instant::now();
    for intended in intended.filter(|intended| shared.counts(*intended, now)) {
        tally.latencies.saturating_record(us(intended.elapsed()));
        count += 1;
    }
    count
}

/// The watched processes and the generator itself, at one moment.
struct Watched {
    groups: Vec<super::process::Moment>,
    own: super::process::Moment,
}

fn watch(groups: &[Group]) -> anyhow::Result<Watched> {
    let own = Group { name: "load generator".to_owned(), pid: std::process::id(), alone: true };
    Ok(Watched { groups: groups.iter().map(Group::look).collect::<anyhow::Result<_>>()?, own: own.look()? })
}

impl Watched {
    fn since(&self, before: &Self) -> (Vec<Usage>, Usage) {
        let used = self.groups.iter().zip(&before.groups).map(|(after, before)| after.since(before)).collect();
        (used, self.own.since(&before.own))
    }
}

#[cfg(test)]
mod tests;
