//! How long the disk of the log has not answered. Pure.

use std::time::Duration;

/// Looks that are further apart say nothing of the time between them: a process that was paused, or had no processor, stood
/// still itself.
const APART_MAX: Duration = Duration::from_millis(500);

/// A disk that does not answer for so long is not one to lead with.
const LONG: Duration = Duration::from_millis(400);
/// It is remembered for so long: where each write takes its time, one has always just begun.
const REMEMBERED: Duration = Duration::from_secs(2);

/// The write of the log that was seen under way.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    seen: Option<Seen>,
    /// When a write was last seen that had been under way for [`LONG`].
    long: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    write: u64,
    since: Duration,
    last: Duration,
}

impl Standstill {
    /// What is under way at this monotonic time: the number of a write, none if there is none. How long it has been, as far
    /// as was looked.
    pub fn look(&mut self, write: Option<u64>, now: Duration) -> Duration {
        let seen = self.seen.filter(|seen| Some(seen.write) == write && now.saturating_sub(seen.last) <= APART_MAX);
        let since = seen.map_or(now, |seen| seen.since);
        self.seen = write.map(|write| Seen { write, since, last: now });
        let standing = now.saturating_sub(since);
        if standing >= LONG {
            self.long = Some(now);
        }
        standing
    }

    /// Whether the disk did not answer for long lately.
    pub fn is_unfit(&self, now: Duration) -> bool {
        self.long.is_some_and(|at| now.saturating_sub(at) <= REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(looks: &[(Option<u64>, u64)]) -> Vec<u64> {
        let mut standstill = Standstill::default();
        let look = |(write, now): &(Option<u64>, u64)| standstill.look(*write, Duration::from_millis(*now));
        looks.iter().map(look).map(|standing| u64::try_from(standing.as_millis()).unwrap()).collect()
    }

    #[test]
    fn only_one_and_the_same_write_stands_still() {
        let looks = [(None, 0), (Some(1), 100), (Some(1), 200), (Some(2), 300), (Some(2), 700), (Some(2), 1_100)];
        assert_eq!(told(&looks), [0, 0, 100, 0, 400, 800]);
        assert_eq!(told(&[(Some(2), 100), (Some(2), 200), (None, 300), (Some(2), 400)]), [0, 100, 0, 0]);
    }

    #[test]
    fn a_process_that_stood_still_itself_does_not_blame_the_disk() {
        let looks = [(Some(1), 0), (Some(1), 400), (Some(1), 5_000), (Some(1), 5_100)];
        assert_eq!(told(&looks), [0, 400, 0, 100]);
    }

    #[test]
    fn a_slow_disk_is_remembered_between_its_writes() {
        let mut standstill = Standstill::default();
        let ms = Duration::from_millis;
        for (write, now, unfit) in [
            (Some(1), 0, false),
            (Some(1), 300, false),
            (Some(1), 400, true),
            (Some(2), 500, true),
            (None, 2_400, true),
        ] {
            standstill.look(write, ms(now));
            assert_eq!(standstill.is_unfit(ms(now)), unfit, "{now} ms");
        }
        assert!(!standstill.is_unfit(ms(2_401)));
    }
}
