//! What one connection has seen.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies up to here, in microseconds; longer ones count as this long.
pub const LATENCY_US_MAX: u64 = 60_000_000;
/// Latencies are kept to this many digits.
const DIGITS: u8 = 3;

/// An empty histogram of microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, DIGITS).expect("constant bounds are sound")
}

/// Microseconds of a duration.
pub fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A piece of the time line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Piece {
    /// Records that were acknowledged in it.
    pub records: u64,
    /// Calls that failed in it.
    pub errors: u64,
    /// Longest latency that ended in it.
    pub slowest_us: u64,
}

/// Counts and latencies of the measured time.
#[derive(Debug)]
pub struct Tally {
    /// From the intended beginning of a call to its end: of calls that were due within the measured time in an open loop, and
    /// under way at any of it in a closed one.
    pub latencies: Histogram<u64>,
    /// From its real beginning; open loop only.
    pub service: Option<Histogram<u64>>,
    /// Records acknowledged within the measured time.
    pub records: u64,
    /// Calls that succeeded within it.
    pub calls: u64,
    /// Calls that failed, of those whose latency would count.
    pub errors: u64,
    /// What the first of them said.
    pub error: Option<String>,
    /// Over time.
    pub pieces: Vec<Piece>,
}

impl Tally {
    /// Nothing yet, with so many pieces of time.
    pub fn new(pieces: usize, open: bool) -> Self {
        Self {
            latencies: histogram(),
            service: open.then(histogram),
            records: 0,
            calls: 0,
            errors: 0,
            error: None,
            pieces: vec![Piece::default(); pieces],
        }
    }

    /// Adds what another connection has seen.
    pub fn add(&mut self, other: Tally) {
        // both have the same constant bounds
        self.latencies.add(&other.latencies).expect("equal bounds");
        if let (Some(own), Some(other)) = (&mut self.service, &other.service) {
            own.add(other).expect("equal bounds");
        }
        self.records += other.records;
        self.calls += other.calls;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        for (own, other) in self.pieces.iter_mut().zip(other.pieces) {
            own.records += other.records;
            own.errors += other.errors;
            own.slowest_us = own.slowest_us.max(other.slowest_us);
        }
    }
}
