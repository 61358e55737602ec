//! The clocks of all nodes, as one of them sees them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kho_proto::id::{NodeId, UnixMs};
use kho_proto::pb::peer::v1::PulseResponse;

/// What was heard longer ago says nothing: the node may be gone.
const FRESH: Duration = Duration::from_secs(10);
/// An answer that took longer says too little: half of it is the error of its offset.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

/// This node's clocks at one moment: the one that nobody sets, and the one on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub monotonic: Duration,
    pub wall: UnixMs,
}

impl Moment {
    /// The wall clock's zero on the monotonic one: it is the same for ever, unless somebody sets the clock.
    fn zero_ms(self) -> i64 {
        ms(self.wall.0).saturating_sub(i64::try_from(self.monotonic.as_millis()).unwrap_or(i64::MAX))
    }
}

fn ms(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// What one node said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Its clock is ahead of this node's, and when that was found; none: the answer took too long.
    ahead: Option<(i64, Moment)>,
    disk_short: bool,
    disk_standing: bool,
    keyless: bool,
    at: Duration,
}

impl Sample {
    /// What a node said that was asked at this monotonic time, and whose answer was here at `at`. On its way back it took
    /// half of the round trip, as far as anyone knows (as in NTP, RFC 5905).
    pub fn of(said: &PulseResponse, asked: Duration, at: Moment) -> Self {
        let round_trip = at.monotonic.saturating_sub(asked);
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        let ahead = ms(said.now_ms).saturating_add(half).saturating_sub(ms(at.wall.0));
        Self {
            ahead: (round_trip <= ROUND_TRIP_MAX).then_some((ahead, at)),
            disk_short: said.disk_short,
            disk_standing: said.disk_standing,
            keyless: said.keyless,
            at: at.monotonic,
        }
    }

    /// Milliseconds that its clock is ahead of this node's, which may have been set meanwhile.
    fn ahead_ms(&self, now: Moment) -> Option<i64> {
        let (ahead, at) = self.ahead?;
        let fresh = now.monotonic.saturating_sub(at.monotonic) <= FRESH;
        fresh.then(|| ahead.saturating_sub(now.zero_ms().saturating_sub(at.zero_ms())))
    }
}

/// The newest of each node.
#[derive(Debug, Default)]
pub struct Clocks(BTreeMap<NodeId, Sample>);

impl Clocks {
    pub(super) fn add(&mut self, node: NodeId, sample: Sample) {
        // an answer that took long leaves what is known of the clock, and as old as it is
        let ahead = sample.ahead.or_else(|| self.0.get(&node)?.ahead);
        self.0.insert(node, Sample { ahead, ..sample });
    }

    fn fresh(&self, now: Moment) -> impl Iterator<Item = (NodeId, &Sample)> {
        self.0
            .iter()
            .filter(move |(_, sample)| now.monotonic.saturating_sub(sample.at) <= FRESH)
            .map(|(node, sample)| (*node, sample))
    }

    /// How far each other node is ahead of this one, in milliseconds.
    pub(super) fn peers_ms(&self, now: Moment) -> BTreeMap<NodeId, i64> {
        self.fresh(now).filter_map(|(node, sample)| Some((node, sample.ahead_ms(now)?))).collect()
    }

    /// How far the median of all clocks, this one too, is ahead of this one. Of two in the middle the nearer counts: where
    /// one other clock is known, nobody can tell which of the two is wrong.
    fn median_ms(&self, now: Moment) -> Option<i64> {
        let mut all: Vec<i64> = self.peers_ms(now).into_values().collect();
        if all.is_empty() {
            return None;
        }
        all.push(0);
        all.sort_unstable();
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        Some(if low.unsigned_abs() <= high.unsigned_abs() { low } else { high })
    }

    /// How far this node's clock is ahead of the median of all; none: no other is known.
    pub(super) fn offset_ms(&self, now: Moment) -> Option<i64> {
        self.median_ms(now).map(|median| -median)
    }

    /// Those whose clock is within `bound` of the median, that have keys, and a disk that answers and has room.
    pub(super) fn fit(&self, now: Moment, bound: Duration) -> BTreeSet<NodeId> {
        let median = self.median_ms(now).unwrap_or(0);
        let near = |ahead: i64| u128::from(ahead.abs_diff(median)) <= bound.as_millis();
        let disk = |sample: &Sample| !sample.disk_short && !sample.disk_standing;
        let fit = |sample: &Sample| disk(sample) && !sample.keyless && sample.ahead_ms(now).is_some_and(near);
        self.fresh(now).filter(|(_, sample)| fit(sample)).map(|(node, _)| node).collect()
    }

    /// Those who answered since they were `asked`, and whose disk answers.
    pub(super) fn disks_answer(&self, asked: Duration) -> BTreeSet<NodeId> {
        let answers = |sample: &Sample| sample.at >= asked && !sample.disk_standing;
        self.0.iter().filter(|(_, sample)| answers(sample)).map(|(node, _)| *node).collect()
    }

    /// Those whose disk is below its reserve.
    pub(super) fn short(&self, now: Moment) -> BTreeSet<NodeId> {
        self.fresh(now).filter(|(_, sample)| sample.disk_short).map(|(node, _)| node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment { monotonic: Duration::from_secs(100), wall: UnixMs(1_000_000) };

    fn later(by: Duration) -> Moment {
        let wall = UnixMs(NOW.wall.0 + u64::try_from(by.as_millis()).unwrap());
        Moment { monotonic: NOW.monotonic + by, wall }
    }

    fn said(now_ms: u64) -> PulseResponse {
        PulseResponse { now_ms, ..PulseResponse::default() }
    }

    fn clocks(ahead: &[i64]) -> Clocks {
        let mut clocks = Clocks::default();
        for (n, ahead) in ahead.iter().enumerate() {
            let theirs = 1_000_000_i64 + ahead;
            let sample = Sample::of(&said(theirs as u64), NOW.monotonic, NOW);
            clocks.add(NodeId(n as u64 + 2), sample);
        }
        clocks
    }

    #[test]
    fn a_clock_that_is_off_alone_is_the_one_that_is_off() {
        for (others, expected) in [
            (&[][..], None),
            // two clocks: nobody can tell, so nobody goes
            (&[20_000], Some(0)),
            // three: the one that is alone is wrong
            (&[0, 20_000], Some(0)),
            (&[-700, -700], Some(700)),
            (&[-20_000, 600], Some(0)),
            (&[600, 20_000], Some(-600)),
            (&[5_500, 5_600], Some(-5_500)),
            // five
            (&[-3, 4, 900, 900], Some(-4)),
            (&[900, 901, 902, 3], Some(-900)),
            (&[3, 900, 901], Some(-3)),
        ] {
            assert_eq!(clocks(others).offset_ms(NOW), expected, "{others:?}");
        }
    }

    #[test]
    fn half_of_the_round_trip_counts_and_a_long_one_says_nothing() {
        let ago = |ms| NOW.monotonic - Duration::from_millis(ms);
        assert_eq!(Sample::of(&said(999_900), ago(200), NOW).ahead_ms(NOW), Some(0));
        let short = PulseResponse { disk_short: true, ..said(999_900) };
        let long = Sample::of(&short, ago(1000), NOW);
        assert_eq!(long.ahead, None);
        let mut known = clocks(&[-800, -900]);
        known.add(NodeId(2), long);
        assert_eq!(known.offset_ms(NOW), Some(800), "what is known stays");
        assert_eq!(known.short(NOW), BTreeSet::from([NodeId(2)]));
        let later = later(FRESH + Duration::from_millis(1));
        known.add(NodeId(2), Sample { at: later.monotonic, ..long });
        assert_eq!(known.offset_ms(later), None, "and grows old");
    }

    #[test]
    fn what_is_old_says_nothing() {
        let clocks = clocks(&[-20_000, -20_000]);
        assert_eq!(clocks.offset_ms(later(FRESH)), Some(20_000));
        assert_eq!(clocks.offset_ms(later(FRESH + Duration::from_millis(1))), None);
    }

    /// Whenever it is set: also between an answer of one node and that of the next.
    #[test]
    fn a_clock_that_is_set_shows_against_what_was_heard_before() {
        let mut clocks = clocks(&[0, 0]);
        let set = Moment { wall: UnixMs(NOW.wall.0 + 6_000), ..NOW };
        assert_eq!(clocks.offset_ms(set), Some(6_000));
        clocks.add(NodeId(2), Sample::of(&said(NOW.wall.0), set.monotonic, set));
        assert_eq!(clocks.offset_ms(set), Some(6_000), "one answer after it and one before say the same");
        let back = Moment { wall: UnixMs(NOW.wall.0 - 6_000), ..NOW };
        assert_eq!(clocks.offset_ms(back), Some(-6_000));
    }

    #[test]
    fn leadership_goes_to_a_node_near_the_median_whose_disk_answers_and_has_room() {
        let bound = Duration::from_millis(500);
        assert_eq!(clocks(&[-20_000, -20_300]).fit(NOW, bound), BTreeSet::from([NodeId(2), NodeId(3)]));
        assert_eq!(clocks(&[-700, -700, -2_000, 5]).fit(NOW, bound), BTreeSet::from([NodeId(2), NodeId(3)]));
        let mut short = clocks(&[-20_000, -20_000]);
        let full = Sample { disk_short: true, ..short.0[&NodeId(2)] };
        short.add(NodeId(2), full);
        assert_eq!(short.fit(NOW, bound), BTreeSet::from([NodeId(3)]));
        let keyless = Sample { keyless: true, ..short.0[&NodeId(3)] };
        short.add(NodeId(3), keyless);
        assert_eq!(short.fit(NOW, bound), BTreeSet::new(), "it would hand over at once");

        let mut standing = clocks(&[0, 0]);
        let said = PulseResponse { disk_standing: true, ..said(1_000_000) };
        standing.add(NodeId(2), Sample::of(&said, NOW.monotonic, NOW));
        assert_eq!(standing.fit(NOW, bound), BTreeSet::from([NodeId(3)]), "it would wait as well");
        assert_eq!(standing.disks_answer(NOW.monotonic), BTreeSet::from([NodeId(3)]));
        assert_eq!(
            standing.disks_answer(NOW.monotonic + Duration::from_millis(1)),
            BTreeSet::new(),
            "asked after that"
        );
    }
}
