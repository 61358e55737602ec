//! What senders noticed, out of the list of their submissions: pure arithmetic.

use std::time::Duration;

use super::load::{Operation, Outcome};
use super::report::{Bucket, Latency, Timeline};

/// How a submission ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a receipt.
    Acknowledged,
    /// Not known.
    Unknown,
    /// Certainly not in.
    Failed,
}

/// When a submission was begun and answered, since the load's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Sent.
    pub begun: Duration,
    /// Answered.
    pub ended: Duration,
    /// How.
    pub kind: Kind,
}

impl Answer {
    /// Of a submission.
    pub fn of(operation: &Operation) -> Self {
        let kind = match operation.outcome {
            Outcome::Acknowledged(_) => Kind::Acknowledged,
            Outcome::Unknown(_) => Kind::Unknown,
            Outcome::Failed(_) => Kind::Failed,
        };
        Self { begun: operation.begun, ended: operation.ended, kind }
    }

    /// Whether it has its receipt.
    pub fn acknowledged(&self) -> bool {
        self.kind == Kind::Acknowledged
    }

    /// How long its sender waited.
    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.begun)
    }
}

/// Length of a piece of the time line.
pub const BUCKET: Duration = Duration::from_millis(100);

/// Milliseconds, to a tenth.
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The value that `percent` of the sorted values don't exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Latency of some answers; none if there are none.
pub fn latency(mut times: Vec<Duration>) -> Option<Latency> {
    times.sort();
    let max = *times.last()?;
    Some(Latency { p50_ms: ms(percentile(&times, 50)), p99_ms: ms(percentile(&times, 99)), max_ms: ms(max) })
}

/// A time without an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gap {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
}

impl Gap {
    /// Its length.
    pub fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// The longest time without an acknowledgement that ends in `from..=to`. It may have begun before; one that is open at
/// `to` counts.
pub fn longest_gap(answers: &[Answer], from: Duration, to: Duration) -> Gap {
    let acknowledged = answers.iter().filter(|one| one.acknowledged());
    let mut ends: Vec<Duration> = acknowledged.map(|one| one.ended).filter(|end| *end <= to).collect();
    ends.sort();
    let begins = std::iter::once(Duration::ZERO).chain(ends.iter().copied());
    let gaps = begins.zip(ends.iter().copied().chain([to])).map(|(from, to)| Gap { from, to });
    gaps.filter(|gap| gap.to >= from).max_by_key(|gap| gap.length()).unwrap_or_default()
}

/// Pieces of [`BUCKET`] from the beginning to `end`.
pub fn timeline(answers: &[Answer], end: Duration) -> Timeline {
    let width = BUCKET.as_millis();
    let count = end.as_millis().div_ceil(width).max(1) as usize;
    let mut pieces: Vec<Vec<&Answer>> = (0..count).map(|_| Vec::new()).collect();
    for answer in answers {
        let place = (answer.ended.as_millis() / width) as usize;
        pieces[place.min(count - 1)].push(answer);
    }
    let bucket = |(place, answers): (usize, Vec<&Answer>)| {
        let count = |kind: Kind| answers.iter().filter(|one| one.kind == kind).count() as u64;
        Bucket {
            at_ms: (place as u64) * (width as u64),
            acknowledged: count(Kind::Acknowledged),
            failed: count(Kind::Failed),
            unknown: count(Kind::Unknown),
            latency: latency(answers.iter().filter(|one| one.acknowledged()).map(|one| one.took()).collect()),
        }
    };
    Timeline { bucket_ms: width as u64, buckets: pieces.into_iter().enumerate().map(bucket).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Took 5 ms.
    fn acknowledged(ms: u64) -> Answer {
        Answer { begun: at(ms - 5), ended: at(ms), kind: Kind::Acknowledged }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times: Vec<_> = (1..=200).rev().map(at).collect();
        assert_eq!(latency(times), Some(Latency { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 }));
        assert_eq!(latency(vec![at(7)]), Some(Latency { p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 }));
        assert_eq!(latency(Vec::new()), None);
        assert_eq!(ms(Duration::from_micros(21_449)), 21.4);
    }

    #[test]
    fn a_gap_counts_from_the_acknowledgement_before_it_to_the_one_after() {
        let all: Vec<_> = [10, 20, 400, 410, 700].into_iter().map(acknowledged).collect();
        assert_eq!(longest_gap(&all, at(0), at(700)), Gap { from: at(20), to: at(400) });
        // begun before the window: what a sender waited is the whole of it
        assert_eq!(longest_gap(&all, at(300), at(500)), Gap { from: at(20), to: at(400) });
        assert_eq!(longest_gap(&all, at(401), at(700)), Gap { from: at(410), to: at(700) });
        // open at the end, and nothing at all
        assert_eq!(longest_gap(&all, at(401), at(1500)), Gap { from: at(700), to: at(1500) });
        assert_eq!(longest_gap(&[], at(100), at(1500)), Gap { from: at(0), to: at(1500) });
        // what failed ends no gap
        let mut failed = acknowledged(300);
        failed.kind = Kind::Failed;
        assert_eq!(longest_gap(&[acknowledged(10), failed], at(0), at(500)), Gap { from: at(10), to: at(500) });
    }

    #[test]
    fn the_time_line_has_every_piece_and_every_answer() {
        let mut all: Vec<_> = [10, 99, 100, 350].into_iter().map(acknowledged).collect();
        all[3].kind = Kind::Unknown;
        let line = timeline(&all, at(420));
        assert_eq!(line.buckets.iter().map(|bucket| bucket.at_ms).collect::<Vec<_>>(), [0, 100, 200, 300, 400]);
        assert_eq!(line.buckets.iter().map(|bucket| bucket.acknowledged).collect::<Vec<_>>(), [2, 1, 0, 0, 0]);
        assert_eq!(line.buckets[3].unknown, 1);
        assert_eq!((line.buckets[0].latency.map(|latency| latency.max_ms), line.buckets[2].latency), (Some(5.0), None));
        // a late answer is in the last piece
        assert_eq!(timeline(&all, at(100)).buckets.len(), 1);
    }
}
