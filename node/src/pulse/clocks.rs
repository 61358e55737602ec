//! The clocks of all nodes, as one of them sees them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kho_proto::id::{NodeId, UnixMs};

/// What was heard longer ago says nothing: the node may be gone.
const FRESH: Duration = Duration::from_secs(10);
/// An answer that took longer says too little: half of it is the error of its offset.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

/// What one node said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Its clock is ahead of this node's, and when that was found; none: the answer took too long.
    ahead: Option<(i64, Duration)>,
    disk_short: bool,
    at: Duration,
}

impl Sample {
    /// A node said `theirs`; asked and answered at these monotonic times, and at `mine` on this node's clock when the answer
    /// was here. On its way back it took half of the round trip, as far as anyone knows (as in NTP, RFC 5905).
    pub fn of(theirs: u64, disk_short: bool, mine: UnixMs, asked: Duration, at: Duration) -> Self {
        let round_trip = at.saturating_sub(asked);
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        let ms = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let ahead = ms(theirs).saturating_add(half).saturating_sub(ms(mine.0));
        Self { ahead: (round_trip <= ROUND_TRIP_MAX).then_some((ahead, at)), disk_short, at }
    }
}

impl Sample {
    fn ahead_ms(&self, now: Duration) -> Option<i64> {
        self.ahead.filter(|(_, at)| now.saturating_sub(*at) <= FRESH).map(|(ahead, _)| ahead)
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

    fn fresh(&self, now: Duration) -> impl Iterator<Item = (NodeId, &Sample)> {
        self.0
            .iter()
            .filter(move |(_, sample)| now.saturating_sub(sample.at) <= FRESH)
            .map(|(node, sample)| (*node, sample))
    }

    /// How far each other node is ahead of this one, in milliseconds.
    pub(super) fn peers_ms(&self, now: Duration) -> BTreeMap<NodeId, i64> {
        self.fresh(now).filter_map(|(node, sample)| Some((node, sample.ahead_ms(now)?))).collect()
    }

    /// How far the median of all clocks, this one too, is ahead of this one. Of two in the middle the nearer counts: where
    /// one other clock is known, nobody can tell which of the two is wrong.
    fn median_ms(&self, now: Duration) -> Option<i64> {
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
    pub(super) fn offset_ms(&self, now: Duration) -> Option<i64> {
        self.median_ms(now).map(|median| -median)
    }

    /// Those whose clock is within `bound` of the median, and whose disk has room.
    pub(super) fn fit(&self, now: Duration, bound: Duration) -> BTreeSet<NodeId> {
        let median = self.median_ms(now).unwrap_or(0);
        let near = |ahead: i64| u128::from(ahead.abs_diff(median)) <= bound.as_millis();
        let fit = |sample: &Sample| !sample.disk_short && sample.ahead_ms(now).is_some_and(near);
        self.fresh(now).filter(|(_, sample)| fit(sample)).map(|(node, _)| node).collect()
    }

    /// Those whose disk is below its reserve.
    pub(super) fn short(&self, now: Duration) -> BTreeSet<NodeId> {
        self.fresh(now).filter(|(_, sample)| sample.disk_short).map(|(node, _)| node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn clocks(ahead: &[i64]) -> Clocks {
        let mut clocks = Clocks::default();
        for (n, ahead) in ahead.iter().enumerate() {
            let theirs = 1_000_000_i64 + ahead;
            let sample = Sample::of(theirs as u64, false, UnixMs(1_000_000), NOW, NOW);
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
        let (asked, at) = (NOW - Duration::from_millis(200), NOW);
        assert_eq!(Sample::of(5_000, false, UnixMs(5_100), asked, at).ahead_ms(NOW), Some(0));
        let long = Sample::of(5_000, true, UnixMs(5_100), NOW - Duration::from_secs(1), at);
        assert_eq!(long.ahead, None);
        let mut known = clocks(&[-800, -900]);
        known.add(NodeId(2), long);
        assert_eq!(known.offset_ms(NOW), Some(800), "what is known stays");
        assert_eq!(known.short(NOW), BTreeSet::from([NodeId(2)]));
        let later = NOW + FRESH + Duration::from_millis(1);
        known.add(NodeId(2), Sample { at: later, ..long });
        assert_eq!(known.offset_ms(later), None, "and grows old");
    }

    #[test]
    fn what_is_old_says_nothing() {
        let clocks = clocks(&[-20_000, -20_000]);
        assert_eq!(clocks.offset_ms(NOW + FRESH), Some(20_000));
        assert_eq!(clocks.offset_ms(NOW + FRESH + Duration::from_millis(1)), None);
    }

    #[test]
    fn leadership_goes_to_a_node_near_the_median_whose_disk_has_room() {
        let bound = Duration::from_millis(500);
        assert_eq!(clocks(&[-20_000, -20_300]).fit(NOW, bound), BTreeSet::from([NodeId(2), NodeId(3)]));
        assert_eq!(clocks(&[-700, -700, -2_000, 5]).fit(NOW, bound), BTreeSet::from([NodeId(2), NodeId(3)]));
        let mut short = clocks(&[-20_000, -20_000]);
        let full = Sample { disk_short: true, ..short.0[&NodeId(2)] };
        short.add(NodeId(2), full);
        assert_eq!(short.fit(NOW, bound), BTreeSet::from([NodeId(3)]));
    }
}
