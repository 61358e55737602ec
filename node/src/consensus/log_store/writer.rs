//! The writer thread: one batch, one sync, then reports in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::open::{self, COMMITTED, LOG, META, PURGED, VOTE};
use super::queue::Job;
use crate::consensus::{codec, wire};
use crate::kill_points::KillPoint;
use crate::mutants::Mutant;
use crate::seams::Dedicated;
use crate::storage::{Batch, Durability};

/// Owns the thread; dropping it writes what is queued and stops.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<Box<dyn Dedicated>>,
}

impl Writer {
    pub(super) fn spawn(shared: Arc<Shared>) -> io::Result<Self> {
        let of_thread = Arc::clone(&shared);
        let thread = shared.tasks.dedicate("raft-log", Box::pin(async move { run(&of_thread).await }))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.stop();
        if let Some(thread) = self.thread.take()
            && let Err(error) = thread.join()
        {
            self.shared.fatal.fire(&format!("the raft log's writer: {error}"));
        }
    }
}

async fn run(shared: &Shared) {
    let mut number = 0;
    while let Some(jobs) = shared.queue.next_batch().await {
        number += 1;
        shared.under_way.store(number, Ordering::Relaxed);
        let written = write(shared, &jobs);
        shared.under_way.store(0, Ordering::Relaxed);
        if let Err(reason) = written {
            // Reports last: whoever hears of the failure finds the node stopping and the log closed.
            shared.fatal.fire(&reason);
            shared.queue.poison(&reason);
            for job in jobs {
                job.report(&Err(reason.clone()));
            }
            return;
        }
        for job in &jobs {
            match job {
                Job::Append { .. } => KillPoint::LogWritten.reached(),
                Job::Vote { .. } => KillPoint::VoteSaved.reached(),
                Job::Purge { .. } => KillPoint::LogPurged.reached(),
                Job::Truncate { .. } | Job::Committed { .. } => {}
            }
        }
        for job in jobs {
            settle(shared, &job);
            job.report(&Ok(()));
        }
    }
}

/// The mark falls before the log is cut back, and rises to what was synced before.
fn write(shared: &Shared, jobs: &[Job]) -> Result<(), String> {
    let failed = |error: String| if Mutant::SyncErrorSwallowed.planted() { Ok(()) } else { Err(error) };
    if let Some(tide) = &shared.tide {
        let mut tide = tide.lock();
        tide.rise(*shared.flushed.borrow()).or_else(|error| failed(error.to_string()))?;
        for job in jobs {
            if let Job::Truncate { range, .. } = job {
                tide.fall(range.start.checked_sub(1)).or_else(|error| failed(error.to_string()))?;
            }
        }
    }
    if jobs.is_empty() {
        return Ok(());
    }
    if jobs.iter().any(|job| matches!(job, Job::Vote { .. })) {
        KillPoint::VoteUnsaved.reached();
    }
    let durability = if Mutant::UnsyncedLog.planted() { Durability::Buffered } else { Durability::Sync };
    shared.engine.write(&encode(jobs), durability).or_else(|error| failed(error.to_string()))
}

fn encode(jobs: &[Job]) -> Batch {
    let mut batch = Batch::default();
    for job in jobs {
        match job {
            Job::Append { entries, .. } => {
                for entry in entries {
                    batch.put(LOG, open::key(entry.log_id.index()).to_vec(), wire::encode_entry(entry));
                }
            }
            Job::Vote { vote, .. } => batch.put(META, VOTE, codec::encode(vote)),
            Job::Truncate { range, .. } => {
                batch.delete_range(LOG, open::key(range.start).to_vec(), open::key(range.end).to_vec());
            }
            Job::Purge { upto, .. } => {
                batch.delete_range(LOG, open::key(0).to_vec(), open::key(upto.index() + 1).to_vec());
                batch.put(META, PURGED, codec::encode(upto));
            }
            Job::Committed { committed } => batch.put(META, COMMITTED, codec::encode(committed)),
        }
    }
    batch
}

/// Makes a written job visible, before it is reported.
fn settle(shared: &Shared, job: &Job) {
    let mut tail = shared.tail.write();
    let flushed = match job {
        Job::Append { entries, .. } => entries.last().map(|entry| entry.log_id.index()).or(tail.flushed),
        Job::Truncate { range, .. } => tail.flushed.min(range.start.checked_sub(1)),
        Job::Purge { upto, .. } => tail.flushed.max(Some(upto.index())),
        Job::Vote { vote, .. } => {
            tail.vote = Some(*vote);
            tail.flushed
        }
        Job::Committed { .. } => tail.flushed,
    };
    tail.set_flushed(flushed);
    drop(tail);
    shared.flushed.send_if_modified(|current| std::mem::replace(current, flushed) != flushed);
}
