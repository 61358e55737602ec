//! Bounds on what lists, counts and watches cost a node.

use std::sync::Arc;
use std::time::Duration;

use kho_ledger::select::Budget;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metric_definitions::SCAN_SECONDS;
use crate::seams::{Clock, Tasks};
use crate::shares::Shares;
use crate::write::Deadline;

/// Scans at once: a disk and its cache are shared with the writes.
const SCANS_MAX: usize = 4;
/// Scans that run or wait, at most; more are refused.
const SCANS_WAITING_MAX: usize = 256;
/// Of these one certificate always has so many.
const SHARE_MIN: usize = SCANS_MAX;
/// Work of one call, in rows passed (`kho_ledger::select`): a fifth of a second out of memory. Whoever asked goes on from there.
pub(super) const CALL_WORK_MAX: u64 = 200_000;
/// Time of one call's work: on a disk that is slow, far less than the budget is done.
const CALL_TIME_MAX: Duration = Duration::from_secs(1);
/// Work of opening a head: a digest, a decryption, a decoding.
pub(super) const HEAD_WORK: u64 = 32;
/// Bytes of a record that are read for a unit of work: the head stands in one row with the payload.
pub(super) const BYTES_PER_WORK: u64 = 4096;
/// Hint to a caller that found no room.
const RETRY_AFTER: Duration = Duration::from_millis(500);

const _: () = assert!(
    CALL_WORK_MAX > 2 * kho_ledger::select::GATHER_KEYS_MAX as u64,
    "half of a call is left for the records after their keys were gathered"
);

/// Runs scans away from the tasks, a few at a time.
pub(super) struct Scans {
    places: Semaphore,
    /// One reader's lists must not keep out all others'.
    shares: Shares,
    listing: Arc<Semaphore>,
    /// Watches wait for each other, and never for a list.
    following: Arc<Semaphore>,
    tasks: Arc<dyn Tasks>,
    clock: Arc<dyn Clock>,
}

fn overloaded() -> Refusal {
    let refusal = Refusal::new(Code::Overloaded, "too many lists are being read");
    Refusal { retry_after: Some(RETRY_AFTER), ..refusal }
}

impl Scans {
    pub(super) fn new(tasks: Arc<dyn Tasks>, clock: Arc<dyn Clock>) -> Self {
        let running = || Arc::new(Semaphore::new(SCANS_MAX));
        Self {
            places: Semaphore::new(SCANS_WAITING_MAX),
            shares: Shares::of(SCANS_WAITING_MAX, SHARE_MIN),
            listing: running(),
            following: running(),
            tasks,
            clock,
        }
    }

    /// Runs `work` for the holder of a certificate when it is its turn, which must come before `deadline`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        who: Option<Digest>,
        deadline: Deadline,
        work: impl FnOnce(&mut Budget<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let share = who.map(|who| self.shares.take(who));
        let _share = share.map(|share| share.ok_or_else(overloaded)).transpose()?;
        let _place = self.places.try_acquire().map_err(|_| overloaded())?;
        let turn = tokio::time::timeout_at(deadline.at(), self.listing.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(overloaded)?;
        // half of what is left is for the answer's way
        let time = CALL_TIME_MAX.min(deadline.left() / 2);
        self.work(turn, CALL_WORK_MAX, time, work).await
    }

    /// The same for a watch, which has all the time there is; their number is bounded.
    pub(super) async fn follow<T: Send + 'static>(
        &self,
        work_max: u64,
        work: impl FnOnce(&mut Budget<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = self.following.clone().acquire_owned().await.map_err(|_| overloaded())?;
        self.work(turn, work_max, CALL_TIME_MAX, work).await
    }

    async fn work<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        work_max: u64,
        time: Duration,
        work: impl FnOnce(&mut Budget<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (start, clock) = (self.clock.monotonic(), self.clock.clone());
        let done = self.tasks.blocking(move || {
            // until the work is done, not only until somebody stops waiting for it
            let _turn = turn;
            work(&mut Budget::new(work_max, || clock.monotonic() >= start + time))
        });
        let done = done.await.map_err(|error| Refusal::new(Code::NodeStopping, error.to_string()))?;
        let seconds = self.clock.monotonic().saturating_sub(start).as_secs_f64();
        metrics::histogram!(SCAN_SECONDS).record(seconds);
        done
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::seams::Seams;

    #[tokio::test]
    async fn one_readers_lists_do_not_keep_out_anothers() {
        let seams = Seams::system();
        let scans = Scans::new(seams.tasks, seams.clock);
        // all turns are taken by somebody
        let turns = scans.listing.clone().acquire_many_owned(SCANS_MAX as u32).await.unwrap();
        let deadline = Deadline::after(None);
        let run = |who: &[u8]| scans.run(Some(Digest::of(who)), deadline, |_: &mut Budget<'_>| Ok(()));
        let mut waiting: Vec<_> = (0..SCANS_WAITING_MAX).map(|_| Box::pin(run(b"one"))).collect();
        let refused = waiting.iter_mut().filter_map(|one| one.now_or_never()).map(|done| done.unwrap_err().code);
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused, [Code::Overloaded].repeat(SCANS_WAITING_MAX - SCANS_WAITING_MAX / 4));
        let mut other = Box::pin(run(b"other"));
        assert!((&mut other).now_or_never().is_none(), "it waits for its turn");
        drop((turns, waiting));
        other.await.unwrap();
    }
}
