//! How long the disk of the log has not answered. Pure.

use std::time::Duration;

/// The write of the log that was seen under way, and since when.
#[derive(Debug, Default)]
pub(super) struct Standstill(Option<(u64, Duration)>);

impl Standstill {
    /// What is under way at this monotonic time: the number of a write, none if there is none. How long it has been, as far
    /// as was looked.
    pub fn look(&mut self, write: Option<u64>, now: Duration) -> Duration {
        let since = match (self.0, write) {
            (Some((seen, since)), Some(write)) if seen == write => since,
            _ => now,
        };
        self.0 = write.map(|write| (write, since));
        now.saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_and_the_same_write_stands_still() {
        let mut standstill = Standstill::default();
        let looks = [
            (None, 0, 0),
            (Some(1), 100, 0),
            (Some(1), 200, 100),
            (Some(2), 300, 0),
            (Some(2), 1_400, 1_100),
            (None, 1_500, 0),
            (Some(2), 1_600, 0),
        ];
        for (write, now, expected) in looks {
            let ms = Duration::from_millis;
            assert_eq!(standstill.look(write, ms(now)), ms(expected), "{write:?} at {now} ms");
        }
    }
}
