//! How long a request may take.

use std::time::Duration;

use tokio::time::Instant;

/// R-B1: acknowledged within 3 s. For requests that bring no deadline.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(3);
/// A request may not ask for more: it would hold memory that others need.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Left of a sender's time for the answer's way back: an answer after that is none, and what was certain is unknown.
/// At most a quarter of it.
pub const WAY_BACK: Duration = Duration::from_millis(50);

/// When a request's sender stops waiting.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now, less the way back; none: the default.
    pub fn after(asked: Option<Duration>) -> Self {
        let time = asked.unwrap_or(DEADLINE_DEFAULT).min(DEADLINE_MAX);
        Self(Instant::now() + time.saturating_sub(WAY_BACK.min(time / 4)))
    }

    /// The instant.
    pub fn at(self) -> Instant {
        self.0
    }

    /// Whether it is over.
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// What is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Reads gRPC's `grpc-timeout`: up to 8 digits and a unit (gRPC over HTTP/2, "Timeout").
pub fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_grpc_clients_send() {
        let cases = [
            ("3S", Some(Duration::from_secs(3))),
            ("2999m", Some(Duration::from_millis(2999))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("1H", Some(Duration::from_secs(3600))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("-1S", None),
            ("3s", None),
            ("3ạ", None),
        ];
        for (text, expect) in cases {
            assert_eq!(parse_timeout(text), expect, "{text}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_bound() {
        assert!(Deadline::after(Some(Duration::from_secs(1 << 40))).left() <= DEADLINE_MAX);
        assert!(Deadline::after(None).left() <= DEADLINE_DEFAULT);
    }

    #[test]
    fn the_answer_has_time_for_its_way_back() {
        for (asked, left) in [(1000, 950), (200, 150), (40, 30), (0, 0)] {
            let deadline = Deadline::after(Some(Duration::from_millis(asked)));
            assert!(deadline.left() <= Duration::from_millis(left), "{asked} ms");
        }
        assert!(!Deadline::after(Some(Duration::from_secs(1))).passed());
    }
}
