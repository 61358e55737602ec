//! How long the disk of the log has not answered. Pure.

use std::time::Duration;

/// Looks that are further apart say nothing of the time between them: a process that was paused, or had no processor, stood
/// still itself.
const APART_MAX: Duration = Duration::from_millis(500);

/// The write of the log that was seen under way.
#[derive(Debug, Default)]
pub(super) struct Standstill(Option<Seen>);

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
        let seen = self.0.filter(|seen| Some(seen.write) == write && now.saturating_sub(seen.last) <= APART_MAX);
        let since = seen.map_or(now, |seen| seen.since);
        self.0 = write.map(|write| Seen { write, since, last: now });
        now.saturating_sub(since)
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
}
