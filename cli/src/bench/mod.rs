//! The load generator: what `kho bench` and the comparisons in `benches/` are made of. It knows nothing of what it loads: a
//! [`Connection`] does one call after the other, [`load`] drives many of them and measures, [`report`] puts rounds
//! together, [`page`] shows them. [`store`] is Kho's own connection.
//!
//! The rules are those of docs/benchmarks.md: a latency begins when the call was meant to begin, a backlog is bounded and
//! told, what is sent was signed beforehand, syncs are counted in a run of their own.

mod arrivals;
pub mod cluster;
mod figures;
pub mod load;
pub mod machine;
pub mod page;
pub mod process;
pub mod ramp;
pub mod records;
pub mod report;
pub mod round;
pub mod store;
pub mod syncs;
pub mod table;
mod tally;

use std::future::Future;

pub use load::{BACKLOG_MAX, Measured, Pace, Plan};

/// What one call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// So many records were acknowledged, or read.
    Records(u64),
    /// There was nothing left to send: what was made beforehand has been used up, and the measurement ends here.
    Exhausted,
}

/// One connection to the system under load. It is called by as many lanes at once as the plan says.
pub trait Connection: Send + Sync + 'static {
    /// Makes the next call and waits for its end. Each record is one that was never sent before.
    fn call(&self) -> impl Future<Output = Result<Done, String>> + Send;
}
