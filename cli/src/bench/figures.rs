//! Figures of one round, and of all rounds of a series.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::load::{Measured, Pace};
use super::process::Usage;

/// Percentiles of a curve: each step halves what is above it, down to one in a hundred thousand.
const CURVE: &[f64] = &[
    0.0, 10.0, 25.0, 50.0, 75.0, 87.5, 90.0, 93.75, 95.0, 97.0, 98.0, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995,
    99.999, 100.0,
];

/// The middle, and how far from it rounds were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; the mean of both where there are two.
    pub median: f64,
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
}

impl Spread {
    /// Of these values; none of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let median = match values.len() {
            0 => return None,
            n if n % 2 == 1 => values[n / 2],
            n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        };
        Some(Self { median, min: values[0], max: values[values.len() - 1] })
    }
}

/// Over all rounds of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Acknowledged or read per second.
    pub records_per_s: Spread,
    /// Median latency.
    pub p50_ms: Spread,
    /// 99th percentile.
    pub p99_ms: Spread,
    /// 99.9th percentile.
    pub p999_ms: Spread,
    /// Longest.
    pub max_ms: Spread,
    /// CPU time of all nodes per record; none where their processes are not on this machine.
    pub cpu_us_per_record: Option<Spread>,
    /// CPU time of the load generator per record.
    pub generator_cpu_us_per_record: Spread,
    /// Bytes that all nodes wrote to disks, per record.
    pub written_bytes_per_record: Option<Spread>,
    /// Most that a node had resident of its own, pages of files left out.
    pub rss_own_mib: Option<Spread>,
    /// Calls that failed, in all rounds.
    pub errors: u64,
    /// Arrivals without room, and calls without an end, in all rounds.
    pub lost: u64,
}

impl Summary {
    /// Of these rounds.
    pub fn of(rounds: &[Round]) -> Self {
        let all = |value: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(value)).unwrap_or_default();
        // a figure of every round, or of none
        let some = |value: &dyn Fn(&Round) -> Option<f64>| {
            let values: Option<Vec<f64>> = rounds.iter().map(value).collect();
            Spread::of(values?)
        };
        let each = |round: &Round| round.records.max(1) as f64;
        Self {
            records_per_s: all(&|round| round.records_per_s),
            p50_ms: all(&|round| round.latency.p50_ms),
            p99_ms: all(&|round| round.latency.p99_ms),
            p999_ms: all(&|round| round.latency.p999_ms),
            max_ms: all(&|round| round.latency.max_ms),
            cpu_us_per_record: some(&|round| {
                let cpu: f64 = round.nodes.iter().map(Usage::cpu_s).sum();
                (!round.nodes.is_empty()).then(|| cpu * 1e6 / each(round))
            }),
            generator_cpu_us_per_record: all(&|round| round.generator.cpu_s() * 1e6 / each(round)),
            written_bytes_per_record: some(&|round| {
                let written: Option<Vec<u64>> = round.nodes.iter().map(|node| node.written_bytes).collect();
                let written = written.filter(|nodes| !nodes.is_empty())?;
                Some(written.iter().sum::<u64>() as f64 / each(round))
            }),
            rss_own_mib: some(&|round| round.nodes.iter().map(|node| node.rss_own_mib).reduce(f64::max)),
            errors: rounds.iter().map(|round| round.errors).sum(),
            lost: rounds.iter().map(Round::lost).sum(),
        }
    }
}

/// Latencies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Longest.
    pub max_ms: f64,
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |percentile| ms(histogram.value_at_percentile(percentile));
        Self { p50_ms: at(50.0), p99_ms: at(99.0), p999_ms: at(99.9), max_ms: ms(histogram.max()) }
    }
}

/// A point of a latency curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// So many percent were as fast.
    pub percentile: f64,
    /// As this.
    pub ms: f64,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Acknowledged, or read.
    pub records: u64,
    /// Calls that succeeded.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// What the first of them said.
    pub error: Option<String>,
    /// How long was measured.
    pub seconds: f64,
    /// Acknowledged or read per second.
    pub records_per_s: f64,
    /// From the intended beginning of a call.
    pub latency: Latency,
    /// The same, whole.
    pub curve: Vec<Point>,
    /// Of an open loop.
    pub open: Option<Open>,
    /// Calls that had not ended when time was up, or had not begun; they are in the latencies with their age.
    pub unfinished: u64,
    /// Over time.
    pub timeline: Timeline,
    /// What each node took.
    pub nodes: Vec<Usage>,
    /// What the load generator took.
    pub generator: Usage,
}

/// What only an open loop has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Calls per second that were asked for.
    pub per_s: f64,
    /// Calls that were due.
    pub arrived: u64,
    /// Most that waited at once.
    pub backlog_longest: u64,
    /// Calls for which there was no room; never made, and in no latency.
    pub overflowed: u64,
    /// From the real beginning of a call: what a closed loop would have called its latency.
    pub service: Latency,
}

/// The measured time in pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of each.
    pub piece_ms: f64,
    /// Acknowledged in each.
    pub records: Vec<u64>,
    /// Failed in each.
    pub errors: Vec<u64>,
    /// Longest latency that ended in each.
    pub slowest_ms: Vec<f64>,
}

impl Round {
    /// Of a measurement.
    pub fn of(measured: Measured, pace: Pace) -> Self {
        let Measured { tally, elapsed, piece, backlog, unfinished, used, own } = measured;
        let open = match (pace, backlog, &tally.service) {
            (Pace::Open { per_s }, Some(backlog), Some(service)) => Some(Open {
                per_s,
                arrived: backlog.arrived,
                backlog_longest: backlog.longest,
                overflowed: backlog.overflowed,
                service: Latency::of(service),
            }),
            _ => None,
        };
        let point = |percentile: &f64| Point {
            percentile: *percentile,
            ms: ms(tally.latencies.value_at_percentile(*percentile)),
        };
        let seconds = elapsed.as_secs_f64();
        Self {
            records: tally.records,
            calls: tally.calls,
            errors: tally.errors,
            seconds,
            records_per_s: tally.records as f64 / seconds.max(f64::MIN_POSITIVE),
            latency: Latency::of(&tally.latencies),
            curve: CURVE.iter().map(point).collect(),
            open,
            unfinished,
            timeline: Timeline {
                piece_ms: piece.as_secs_f64() * 1000.0,
                records: tally.pieces.iter().map(|piece| piece.records).collect(),
                errors: tally.pieces.iter().map(|piece| piece.errors).collect(),
                slowest_ms: tally.pieces.iter().map(|piece| ms(piece.slowest_us)).collect(),
            },
            nodes: used,
            generator: own,
            error: tally.error,
        }
    }

    /// Arrivals without room, and calls without an end.
    pub fn lost(&self) -> u64 {
        self.unfinished + self.open.map_or(0, |open| open.overflowed)
    }
}
