//! The queue to the writer thread: everything that changes the log, in order.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::consensus::types::{Entry, LogId, TypeConfig, Vote};

/// Bytes of one batch, at most (one job at least): bounds the time of a sync.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Bytes of entries that wait, at most; then `append` waits for room.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Tells who waits for a job.
pub(super) type Done = oneshot::Sender<io::Result<()>>;

/// One change of the log.
pub(super) enum Job {
    Append { entries: Vec<Entry>, bytes: usize, callback: IOFlushed<TypeConfig>, room: OwnedSemaphorePermit },
    Vote { vote: Vote, done: Done },
    Truncate { range: Range<u64>, done: Done },
    Purge { upto: LogId, done: Done },
    // Not durable by itself. It keeps its place, for it must never be on disk before the entries it covers.
    Committed { committed: Option<LogId> },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Job::Append { bytes, .. } => *bytes,
            _ => 0,
        }
    }

    fn durable(&self) -> bool {
        !matches!(self, Job::Committed { .. })
    }

    /// Tells who waits how it went.
    pub(super) fn report(self, result: &Result<(), String>) {
        let result = result.clone().map_err(io::Error::other);
        match self {
            Job::Append { callback, room, .. } => {
                drop(room);
                callback.io_completed(result);
            }
            // A waiter that is gone needs no answer.
            Job::Vote { done, .. } | Job::Truncate { done, .. } | Job::Purge { done, .. } => drop(done.send(result)),
            Job::Committed { .. } => {}
        }
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    durable: usize,
    stopping: bool,
    woken: bool,
}

/// What there is to do.
enum Next {
    Batch(Vec<Job>),
    Nothing,
    End,
}

/// Jobs on their way to the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    room: Arc<Semaphore>,
    poison: OnceLock<String>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            poison: OnceLock::new(),
        }
    }

    /// Fails for ever once the log has failed.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.poison.get() {
            Some(reason) => Err(io::Error::other(format!("the raft log failed before: {reason}"))),
            None => Ok(()),
        }
    }

    /// Waits until `bytes` may be queued.
    pub(super) async fn room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(permits).await.expect("the semaphore is never closed")
    }

    pub(super) fn push(&self, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        // Checked under the lock: the writer poisons and empties the queue under it.
        self.check()?;
        if job.durable() {
            state.durable += 1;
        } else if matches!(state.jobs.back(), Some(Job::Committed { .. })) {
            state.jobs.pop_back();
        }
        state.jobs.push_back(job);
        if state.durable > 0 {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Queues a job and waits until it is on disk.
    pub(super) async fn run(&self, job: impl FnOnce(Done) -> Job) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.push(job(done))?;
        written.await.map_err(|_| io::Error::other("the raft log was closed"))?
    }

    /// Jobs for one batch, an empty one if the writer was woken for something else; none when it is time to stop and
    /// nothing is left.
    pub(super) async fn next_batch(&self) -> Option<Vec<Job>> {
        loop {
            match self.take() {
                Next::Batch(jobs) => return Some(jobs),
                Next::End => return None,
                // one waits: a notification that came in between is kept for it
                Next::Nothing => self.changed.notified().await,
            }
        }
    }

    /// Wakes the writer although there is nothing to write.
    pub(super) fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_one();
    }

    fn take(&self) -> Next {
        let mut state = self.state.lock();
        let woken = std::mem::take(&mut state.woken);
        if state.durable == 0 && !state.stopping {
            return if woken { Next::Batch(Vec::new()) } else { Next::Nothing };
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(job) = state.jobs.front() {
            bytes += job.bytes();
            if !batch.is_empty() && bytes > BATCH_BYTES_MAX {
                break;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.durable -= usize::from(job.durable());
                batch.push(job);
            }
        }
        if batch.is_empty() { Next::End } else { Next::Batch(batch) }
    }

    /// Nothing is written any more: everything queued, now or later, fails.
    pub(super) fn poison(&self, reason: &str) {
        let jobs = {
            let mut state = self.state.lock();
            self.poison.get_or_init(|| reason.to_owned());
            state.durable = 0;
            std::mem::take(&mut state.jobs)
        };
        for job in jobs {
            job.report(&Err(reason.to_owned()));
        }
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_one();
    }
}
