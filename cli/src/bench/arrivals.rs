//! An open loop's calls: each has its time, whether or not somebody is free to make it.
//!
//! A closed loop waits for a slow server and then asks less of it, so that one stall of a second is one slow call and not
//! the hundreds that would have come in meanwhile (coordinated omission). Here the clock alone says when a call is due,
//! and its latency begins then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The pacing thread sleeps at least so long: at 10,000 calls a second it would otherwise take a core's twentieth for
/// waking up. Latencies grow by half of it, on average, since they begin when the call is due.
const NAP: Duration = Duration::from_micros(200);

/// Calls that are due and not begun.
pub struct Arrivals {
    due: Mutex<VecDeque<Instant>>,
    waiting: Semaphore,
    backlog_max: usize,
    closed: AtomicBool,
    arrived: AtomicU64,
    overflowed: AtomicU64,
    longest: AtomicU64,
}

/// What became of the arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Calls that were due in the measured time.
    pub arrived: u64,
    /// Of these, those for which there was no room: never made, and in no latency.
    pub overflowed: u64,
    /// Most that waited at once.
    pub longest: u64,
}

impl Arrivals {
    pub fn new(backlog_max: usize) -> Self {
        Self {
            due: Mutex::default(),
            waiting: Semaphore::new(0),
            backlog_max,
            closed: AtomicBool::new(false),
            arrived: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }

    /// The next call's time; none when there are no more.
    pub async fn next(&self) -> Option<Instant> {
        // an error: closed, and what is left in the queue is still to be made
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
        self.due.lock().pop_front()
    }

    /// Lets calls fall due at `per_s` from `start` until `end`; counts those from `begin` on. Blocks: for a thread of its own,
    /// since the runtime's timers are good to a millisecond only.
    pub fn pace(&self, per_s: f64, start: Instant, begin: Instant, end: Instant) {
        let every = Duration::from_secs_f64(1.0 / per_s);
        let mut number = 0_u32;
        loop {
            let due = start + every.mul_f64(f64::from(number));
            if due >= end || self.closed.load(Ordering::Relaxed) {
                break;
            }
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early.max(NAP));
            }
            self.arrive(due, due >= begin);
            number = number.saturating_add(1);
        }
        self.close();
    }

    fn arrive(&self, due: Instant, counts: bool) {
        let mut queue = self.due.lock();
        let room = queue.len() < self.backlog_max;
        if room {
            queue.push_back(due);
        }
        let length = queue.len() as u64;
        drop(queue);
        if room {
            self.waiting.add_permits(1);
        }
        if counts {
            self.arrived.fetch_add(1, Ordering::Relaxed);
            self.overflowed.fetch_add(u64::from(!room), Ordering::Relaxed);
            self.longest.fetch_max(length, Ordering::Relaxed);
        }
    }

    /// Nothing arrives any more; what waits may still be taken.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.waiting.close();
    }

    /// Takes out what nobody began.
    pub fn left(&self) -> Vec<Instant> {
        self.due.lock().drain(..).collect()
    }

    pub fn backlog(&self) -> Backlog {
        Backlog {
            arrived: self.arrived.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            longest: self.longest.load(Ordering::Relaxed),
        }
    }
}
