//! Watches: every record from a sequence number on, in order, as this node applies it.
//!
//! A watch is pulled: it looks at the next records when its listener has taken what it found before. What it holds
//! meanwhile is one chunk; no view of the state, no lock, no task waits with it.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use kho_ledger::select::{self, Budget, Candidate, Cursor};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::{self as pb, WatchProgress, WatchResponse, watch_response::Event};
use prost::Message;
use tokio::sync::watch;

use super::caller::Caller;
use super::entry::Entries;
use super::filter::Filter;
use super::list::Stop;
use super::places::{Held, Places};
use super::{Keyed, Reader};
use crate::identity::Identity;
use crate::write::Deadline;

/// The first record; 0 is the genesis leaf.
pub const FIRST_RECORD: u64 = 1;
/// Entries that a watch holds for its listener, at most.
const CHUNK_ENTRIES_MAX: usize = 64;
/// Their bytes, at most (and one entry).
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Work of one chunk, in rows passed: others get their turn, and progress is told.
const CHUNK_WORK_MAX: u64 = 20_000;
/// After records came, more are waited for: at a few thousand a second a watch looks every so often, not for each.
const GATHER_PAUSE: Duration = Duration::from_millis(5);
/// Progress is told at most once in so long while records go by that are not asked for...
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// ...and at least once in so long, so that a listener can tell a quiet log from a dead node.
pub const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A node that has heard of no leader for so long ends its watches: others may go on without it.
pub const AGE_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(PROGRESS_INTERVAL.as_millis() < ALIVE_INTERVAL.as_millis());
const _: () = assert!(ALIVE_INTERVAL.as_millis() < AGE_MAX.as_millis());

/// What a watch is of.
struct Asked {
    keyed: Arc<Keyed>,
    caller: Caller,
    filter: Filter,
}

struct Watch {
    reader: Arc<Reader>,
    asked: Arc<Asked>,
    epoch: u64,
    applied: watch::Receiver<Option<u64>>,
    /// The next record to look at.
    next: u64,
    /// Found and not taken yet.
    ready: VecDeque<WatchResponse>,
    /// When it began, and when something was told last, by the monotonic clock.
    begun: Duration,
    told: Duration,
    /// Up to where that was.
    told_next: u64,
    ended: bool,
    _held: Held,
}

impl Reader {
    /// Begins a watch; it ends with a refusal, never by itself. `connection` bounds what one connection may hold.
    pub async fn watch(
        self: &Arc<Self>,
        identity: &Identity,
        connection: Option<&Places>,
        request: pb::WatchRequest,
        deadline: Deadline,
        epoch: u64,
    ) -> Result<impl Stream<Item = Result<WatchResponse, Refusal>> + Send + use<>, Refusal> {
        let keyed = Arc::clone(self.keyed()?);
        let caller = Caller::of(identity)?;
        let filter = Filter::of(&request.filter.unwrap_or_default(), &caller)?;
        if filter.wants_superseded() {
            let refusal = Refusal::new(Code::RequestMalformed, "a record is not superseded yet when it is accepted");
            return Err(refusal.expected_found("state ANY or LATEST", "SUPERSEDED"));
        }
        let held = self.watches.hold(identity.certificate(), connection)?;
        let next = self.first(request.from, deadline).await?;
        let now = self.clock.monotonic();
        let watch = Watch {
            reader: Arc::clone(self),
            asked: Arc::new(Asked { keyed, caller, filter }),
            epoch,
            applied: self.state.watch_applied(),
            next,
            ready: VecDeque::new(),
            begun: now,
            told: now,
            told_next: next,
            ended: false,
            _held: held,
        };
        let begun = watch.progress();
        let watch = Watch { ready: VecDeque::from([begun]), ..watch };
        Ok(stream::unfold(watch, |mut watch| async move { Some((watch.event().await?, watch)) }))
    }

    /// Where a watch begins. A node that is behind the position is asked to catch up first: another node may have told it.
    async fn first(&self, from: Option<u64>, deadline: Deadline) -> Result<u64, Refusal> {
        if from.is_some_and(|from| from < FIRST_RECORD) {
            let refusal = Refusal::new(Code::WatchBeforeFirst, "leaf 0 is the genesis, and no record");
            return Err(refusal.expected_found(format!("from {FIRST_RECORD} on, or nothing"), "0"));
        }
        if from.is_none_or(|from| from > self.state.tip().size()) {
            self.barrier.pass(deadline).await?;
        }
        let size = self.state.tip().size();
        match from {
            Some(from) if from > size => {
                let refusal = Refusal::new(Code::WatchFromFuture, "the watch is to begin behind the end of the log");
                Err(Refusal { log_size: Some(size), ..refusal }
                    .expected_found(format!("at most {size}"), from.to_string()))
            }
            from => Ok(from.unwrap_or(size).max(FIRST_RECORD)),
        }
    }
}

fn stopping() -> Refusal {
    Refusal::new(Code::NodeStopping, "the node is shutting down")
}

impl Watch {
    /// The next thing to tell; none after the end.
    async fn event(&mut self) -> Option<Result<WatchResponse, Refusal>> {
        if self.ended {
            return None;
        }
        let event = self.look().await;
        self.ended = event.is_err();
        Some(event)
    }

    async fn look(&mut self) -> Result<WatchResponse, Refusal> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                (self.told, self.told_next) = (self.reader.clock.monotonic(), ready.next);
                return Ok(ready);
            }
            if self.reader.stopping.is_cancelled() {
                return Err(stopping());
            }
            // before the state is read: what is applied from here on wakes it again
            self.applied.mark_unchanged();
            if self.next < self.reader.state.tip().size() {
                self.find().await?;
                let quiet = self.reader.clock.monotonic().saturating_sub(self.told);
                if self.ready.is_empty() && quiet >= PROGRESS_INTERVAL {
                    self.ready.push_back(self.progress());
                }
            } else {
                self.wait().await?;
            }
        }
    }

    /// Looks at the next records.
    async fn find(&mut self) -> Result<(), Refusal> {
        let (asked, state, next) = (Arc::clone(&self.asked), self.reader.state.clone(), self.next);
        let chunk = self.reader.scans.follow(CHUNK_WORK_MAX, move |budget| {
            let (view, tip) = state.read();
            asked.chunk(&view, next, tip.size(), budget)
        });
        (self.ready, self.next) = chunk.await?;
        Ok(())
    }

    /// Until records come, or it is time to say that there are none.
    async fn wait(&mut self) -> Result<(), Refusal> {
        let quiet = self.reader.clock.monotonic().saturating_sub(self.told);
        let until = if self.next > self.told_next { PROGRESS_INTERVAL } else { ALIVE_INTERVAL };
        let stopping_token = self.reader.stopping.clone();
        tokio::select! {
            biased;
            () = stopping_token.cancelled() => return Err(stopping()),
            changed = self.applied.changed() => {
                changed.map_err(|_| stopping())?;
                tokio::time::sleep(GATHER_PAUSE).await;
            }
            () = tokio::time::sleep(until.saturating_sub(quiet)) => {
                self.check_age()?;
                self.ready.push_back(self.progress());
            }
        }
        Ok(())
    }

    fn check_age(&self) -> Result<(), Refusal> {
        let alone = self.reader.clock.monotonic().saturating_sub(self.begun);
        let age = self.reader.consensus.age().unwrap_or(alone);
        if age <= AGE_MAX {
            return Ok(());
        }
        let refusal = Refusal::new(Code::NoLeader, "this node hears of no leader; go on with the watch at another");
        Err(refusal
            .expected_found(format!("a leader within {} ms", AGE_MAX.as_millis()), format!("{} ms", age.as_millis())))
    }

    fn progress(&self) -> WatchResponse {
        let age = self.reader.consensus.age();
        let progress = WatchProgress {
            node_id: self.reader.node.0,
            epoch: self.epoch,
            age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        };
        WatchResponse { event: Some(Event::Progress(progress)), next: self.next }
    }
}

impl Asked {
    /// What is asked for among the records from `next` to `size`, and where to go on.
    fn chunk(
        &self,
        view: &dyn kho_ledger::View,
        next: u64,
        size: u64,
        budget: &mut Budget<'_>,
    ) -> Result<(VecDeque<WatchResponse>, u64), Refusal> {
        let looked = Entries { view, opener: &self.keyed.opener, caller: &self.caller, filter: &self.filter };
        let query = self.filter.watched(&self.caller, self.keyed.opener.tokens(), next..size);
        let (mut found, mut bytes) = (VecDeque::new(), 0);
        let mut visit = |candidate: Candidate, budget: &mut Budget<'_>| {
            let behind = candidate.row.seq.0 + 1;
            if self.filter.takes_accepted(candidate.leaf.accepted_at)
                && let Some(entry) = looked.entry(&candidate, behind, budget)?
            {
                bytes += entry.encoded_len();
                found.push_back(WatchResponse { event: Some(Event::Record(entry)), next: behind });
            }
            let full = found.len() >= CHUNK_ENTRIES_MAX || bytes >= CHUNK_BYTES_MAX;
            Ok::<_, Stop>(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let last = select::follow(view, &query, budget, &mut visit)?;
        let next = match last {
            Some(Cursor::Leaf(seq)) => seq.0 + 1,
            _ => size.max(next),
        };
        Ok((found, next))
    }
}
