//! Wall clock and randomness, injected: tests and simulations stand their own in.

use kho_proto::id::UnixMs;

/// What a sender takes from its surroundings.
pub trait Surroundings: Send + Sync + 'static {
    /// Wall clock.
    fn now(&self) -> UnixMs;
    /// Fills `out` with cryptographic randomness.
    fn fill(&self, out: &mut [u8]);
}

/// The system's clock and entropy.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Surroundings for System {
    #[allow(clippy::disallowed_methods)] // the one place of this crate that reads the wall clock
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system provides entropy");
    }
}
