//! How long to wait for what.

use std::time::Duration;

use backon::{ExponentialBackoff, ExponentialBuilder};

/// Answer or verdict within this time: the promise of R-B1.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// One attempt; short enough that two more nodes can be asked within the deadline.
pub const ATTEMPT: Duration = Duration::from_millis(1000);
/// The lookup of a name, TCP after it, and TLS after that: each.
pub const CONNECT: Duration = Duration::from_millis(500);
/// A point read without an answer after this time is asked of another node as well. Some times the p99 of a busy cluster,
/// and less than a third of an attempt: a node that hangs costs a read so much and no more.
pub const HEDGE_AFTER: Duration = Duration::from_millis(250);
/// First pause between rounds over the nodes.
pub const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// Longest pause between rounds: an election takes some 300 ms.
pub const BACKOFF_MAX: Duration = Duration::from_millis(200);
/// A node that failed is asked last for this long; twice as long each time it fails again...
pub const REST_MIN: Duration = Duration::from_millis(250);
/// ...up to this.
pub const REST_MAX: Duration = Duration::from_secs(8);

/// A call with less time than a third of it leaves for this asks fewer nodes: one that is well and busy needs some time, too.
const ATTEMPT_SHORT: Duration = Duration::from_millis(250);

const _: () = assert!(ATTEMPT_SHORT.as_millis() < ATTEMPT.as_millis());
const _: () = assert!(ATTEMPT.as_millis() * 3 <= DEADLINE.as_millis());
const _: () = assert!(CONNECT.as_millis() < ATTEMPT.as_millis());
const _: () = assert!(HEDGE_AFTER.as_millis() * 3 <= ATTEMPT.as_millis());
const _: () = assert!(BACKOFF_MIN.as_millis() < BACKOFF_MAX.as_millis());

/// The waits of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Of a call as a whole, retries and pauses included.
    pub deadline: Duration,
    /// Of one attempt.
    pub attempt: Duration,
    /// Of each of the lookup of a name, TCP and TLS.
    pub connect: Duration,
    /// First pause.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// After this time a point read is asked of another node as well, and the first answer is taken; none: never.
    pub hedge: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            deadline: DEADLINE,
            attempt: ATTEMPT,
            connect: CONNECT,
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
            hedge: Some(HEDGE_AFTER),
        }
    }
}

impl Timing {
    /// The same waits for calls of another length: a third of it is an attempt's, so that one node that hangs leaves time for two
    /// others. It is not less than 250 ms, or the whole where that is less.
    #[must_use = "it is a copy that has the deadline"]
    pub fn within(self, deadline: Duration) -> Self {
        let attempt = (deadline / 3).max(self.attempt.min(ATTEMPT_SHORT)).min(deadline);
        Self { deadline, attempt, ..self }
    }

    /// Pauses that double, with jitter, without end: the deadline ends them.
    pub(crate) fn pauses(&self, seed: u64) -> ExponentialBackoff {
        use backon::BackoffBuilder;
        ExponentialBuilder::new()
            .with_min_delay(self.backoff_min)
            .with_max_delay(self.backoff_max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }
}
