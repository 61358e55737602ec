//! What senders notice when the leader goes: the longest time without any acknowledgement, and the longest
//! that one record took with all its retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kho::bench::round::{To, Work};
use kho::bench::store::Operation;
use kho::bench::{Connection, Done, Pace};

use crate::system::System;

/// Connections while the leader goes.
const CONNECTIONS: usize = 16;
/// Load before it goes...
const BEFORE: Duration = Duration::from_secs(2);
/// ...and after.
const AFTER: Duration = Duration::from_secs(6);
/// An attempt that takes longer is given up, and another node asked.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Records made ready for each second.
const RECORDS_S: usize = 8_000;
/// Bytes of a payload.
const SIZE: usize = 1024;
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// How the leader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
}

impl Fault {
    /// As reports name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Kill => "SIGKILL",
            Fault::Terminate => "SIGTERM",
        }
    }
}

/// What senders noticed.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// Longest time without an acknowledgement to anyone, from the fault on.
    pub longest_gap_ms: f64,
    /// Longest time from first sending a record to having it, or the next one on the same place, acknowledged.
    pub slowest_ms: f64,
    /// Acknowledgements in all.
    pub records: u64,
}

struct Shared {
    start: Instant,
    done: AtomicBool,
    exhausted: AtomicBool,
    /// Microseconds since `start`; from here on gaps count.
    fault_us: AtomicU64,
    last_us: AtomicU64,
    gap_us: AtomicU64,
    slowest_us: AtomicU64,
    records: AtomicU64,
}

impl Shared {
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn acknowledged(&self, first_sent: Instant) {
        let now = self.now_us();
        let last = self.last_us.fetch_max(now, Ordering::Relaxed);
        if now >= self.fault_us.load(Ordering::Relaxed) {
            self.gap_us.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        }
        let took = u64::try_from(first_sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(took, Ordering::Relaxed);
        self.records.fetch_add(1, Ordering::Relaxed);
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Asks the next node when one fails.
async fn drive<C: Connection>(connections: Vec<C>, mut place: usize, shared: Arc<Shared>) {
    while !shared.done.load(Ordering::Relaxed) {
        let sent = Instant::now();
        while !shared.done.load(Ordering::Relaxed) {
            match tokio::time::timeout(ATTEMPT, connections[place].call()).await {
                Ok(Ok(Done::Records(_))) => {
                    shared.acknowledged(sent);
                    break;
                }
                // no gap: an end that is told
                Ok(Ok(Done::Exhausted)) => {
                    shared.exhausted.store(true, Ordering::Relaxed);
                    return;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            place = (place + 1) % connections.len();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Loads `system`, lets its leader go, and brings it back.
pub async fn leader_goes<S: System>(system: &mut S, fault: Fault) -> Result<Noticed> {
    let seconds = usize::try_from((BEFORE + AFTER).as_secs())?;
    let (operation, size, connections, lanes) = (Operation::Single, SIZE, CONNECTIONS, 1);
    let work = Work { operation, size, connections, lanes, pace: Pace::Closed, to: To::Spread };
    system.prepare(&work, RECORDS_S * seconds).await?;
    let shared = Arc::new(Shared {
        start: Instant::now(),
        done: AtomicBool::new(false),
        exhausted: AtomicBool::new(false),
        fault_us: AtomicU64::new(u64::MAX),
        last_us: AtomicU64::new(0),
        gap_us: AtomicU64::new(0),
        slowest_us: AtomicU64::new(0),
        records: AtomicU64::new(0),
    });
    // an error on the way ends them with this: none sends into what is measured next
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..CONNECTIONS {
        let connections = system.sender(&work, place).await?;
        let first = place % connections.len();
        tasks.spawn(drive(connections, first, shared.clone()));
    }
    tokio::time::sleep(BEFORE).await;
    let leader = system.leader().await?;
    shared.fault_us.store(shared.now_us(), Ordering::Relaxed);
    match fault {
        Fault::Kill => system.kill(leader)?,
        Fault::Terminate => system.terminate(leader).await?,
    }
    system.promote().await?;
    tokio::time::sleep(AFTER).await;
    // a gap that has not ended counts as well
    let open = shared.now_us().saturating_sub(shared.last_us.load(Ordering::Relaxed));
    shared.done.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.context("a connection")?;
    }
    anyhow::ensure!(!shared.exhausted.load(Ordering::Relaxed), "{}: the records made ready ran out", S::NAME);
    system.restart(leader).await?;
    Ok(Noticed {
        longest_gap_ms: ms(shared.gap_us.load(Ordering::Relaxed).max(open)),
        slowest_ms: ms(shared.slowest_us.load(Ordering::Relaxed)),
        records: shared.records.load(Ordering::Relaxed),
    })
}
