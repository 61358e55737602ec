//! The raft log on disk: entries, vote, committed and purged log id.
//!
//! All writes go through one queue to one writer thread ([`writer`]): it drains the queue up to a byte cap,
//! writes one batch, syncs once and then reports in order. Entries are readable from the tail cache
//! ([`tail`]) as soon as `append` returns. After an I/O error nothing is written or promised any more.
//!
//! Invariants: the log has no hole; `purged <= last`; a reported flush is on disk; what is purged is in the
//! state on disk ([`PersistState`]). See `docs/formats/raft-log.md`.

mod open;
mod queue;
mod read;
mod tail;
mod tide;
mod writer;

#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::Stream;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

pub(crate) use open::{Identity, LogOpenError, TABLES, is_claimed, purged};

use self::queue::{Job, Queue};
use self::tail::Tail;
pub(crate) use self::tide::Tide;
use self::writer::Writer;
use super::types::{Entry, LogId, TypeConfig, Vote};
use super::wire;
use crate::seams::Tasks;
use crate::storage::fatal::FatalSwitch;
use crate::storage::{KvEngine, KvError, guard};

/// Bytes that one read for replication returns, at most (one entry at least).
pub(crate) const READ_BYTES_MAX: usize = 2 << 20;

/// Makes the state durable before log entries below it go.
#[async_trait::async_trait]
pub(crate) trait PersistState: Send + Sync + 'static {
    /// Returns once the state on disk includes the entry at `index`.
    async fn persist_up_to(&self, index: u64) -> io::Result<()>;
}

/// The log store; clones share it. It is its own reader.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    persist: Arc<dyn PersistState>,
    // Stops the writer thread when the last clone goes.
    _writer: Arc<Writer>,
}

/// What the store and its writer thread share.
pub(super) struct Shared {
    engine: Arc<dyn KvEngine>,
    tail: RwLock<Tail>,
    queue: Queue,
    flushed: watch::Sender<Option<u64>>,
    appended_bytes: AtomicU64,
    /// Number of the write that waits for the disk; 0: none.
    under_way: AtomicU64,
    /// None in tests that need no protection from a log that is cut.
    tide: Option<Mutex<Tide>>,
    fatal: FatalSwitch,
    tasks: Arc<dyn Tasks>,
}

impl LogStore {
    /// Index up to which the log is on disk.
    pub(crate) fn watch_flushed(&self) -> watch::Receiver<Option<u64>> {
        self.shared.flushed.subscribe()
    }

    /// Number of the write that waits for the disk, if one does.
    pub(crate) fn write_under_way(&self) -> Option<u64> {
        Some(self.shared.under_way.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }

    /// Bytes appended since the log was created or opened; on opening, what it held.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.shared.appended_bytes.load(Ordering::Relaxed)
    }

    /// Last purged log id, and the last one.
    pub(crate) fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let tail = self.shared.tail.read();
        (tail.purged, tail.last)
    }

    /// Reads all of it, at the pace of `go_on`.
    pub(crate) fn scrub(&self, go_on: impl FnMut(usize) -> bool) -> Result<(), KvError> {
        guard::verify(&*self.shared.engine, TABLES, go_on)
    }

    /// Whether this node ever voted.
    pub(crate) fn has_vote(&self) -> bool {
        self.shared.tail.read().vote.is_some()
    }

    /// Frees the space of purged entries; they are gone already. Then looks whether the first that was kept is there: files
    /// go as a whole, and one too many would be a hole that nobody sees before the next start (docs/postmortems/0013).
    fn reclaim(&self, below: u64) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.block(Box::new(move || {
            if let Err(error) = shared.engine.reclaim(open::LOG, &open::key(0), &open::key(below)) {
                tracing::warn!(%error, "space of purged log entries was not freed yet");
            }
            match open::first_index(&*shared.engine) {
                Err(error) => shared.fatal.fire(&format!("the raft log after a purge: {error}")),
                Ok(None) => {}
                Ok(Some(first)) => {
                    // read after the row: another purge may have gone further meanwhile
                    let expected = tail::next(shared.tail.read().purged);
                    if first > expected {
                        shared
                            .fatal
                            .fire(&format!("the raft log has a hole behind its purged part: {expected}..{first}"));
                    }
                }
            }
        }));
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + std::fmt::Debug + OptionalSend,
    {
        let (start, end) = read::bounds(&range);
        self.read(start, end, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_BYTES_MAX).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + std::fmt::Debug + OptionalSend,
    {
        let (start, end) = read::bounds(&range);
        self.clone().stream(start, end)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.tail.read().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (last_purged_log_id, last_log_id) = self.bounds();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.shared.queue.run(|done| Job::Vote { vote, done }).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.shared.tail.write().committed = committed;
        // Rides with the next durable job: openraft waits for this before every apply.
        self.shared.queue.push(Job::Committed { committed })
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.tail.read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let bytes = entries.iter().map(wire::entry_bytes).sum();
        let room = self.shared.queue.room(bytes).await;
        self.shared.queue.check()?;
        self.shared.tail.write().append(&entries)?;
        self.shared.appended_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.shared.queue.push(Job::Append { entries, bytes, callback, room })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let Some(range) = self.shared.tail.write().truncate(last_log_id)? else {
            return Ok(());
        };
        self.shared.queue.run(|done| Job::Truncate { range, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        // A log purged above the state on disk could never start again.
        self.persist.persist_up_to(upto.index()).await?;
        if !self.shared.tail.write().purge(upto) {
            return Ok(());
        }
        self.shared.queue.run(|done| Job::Purge { upto, done }).await?;
        self.reclaim(upto.index() + 1);
        Ok(())
    }
}
