//! A durable local spool in front of a cluster: what [`Outbox::add`] has answered is delivered, after a crash, a power
//! cut, or days without a connection. `docs/outbox.md` is the guide.
//!
//! ```no_run
//! use kho_client::{Client, Limits, Outbox, Signed};
//!
//! # async fn example(client: Client, record: Signed) -> Result<(), Box<dyn std::error::Error>> {
//! let outbox = Outbox::open("/var/lib/reports/outbox".as_ref(), Limits::default())?;
//! let delivering = tokio::spawn({
//!     let outbox = outbox.clone();
//!     async move { outbox.deliver(&client, std::future::pending()).await }
//! });
//! // when this returns, the record is on the disk, and will be delivered
//! outbox.add(&record).await?;
//! # delivering.await??;
//! # Ok(())
//! # }
//! ```

mod ask;
mod blocked;
mod deliver;
mod error;
mod event;
mod files;
mod give_up;
mod holdings;
mod limits;
mod look;
mod mutant;
mod round;
mod row;
mod settle;
mod state;
mod step;
mod store;
mod verdict;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use kho_proto::id::RecordId;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard, broadcast};

pub use blocked::Drained;
pub use error::OutboxError;
pub use event::OutboxEvent;
pub use limits::{
    BYTES_MAX, DOUBT, EVENTS_MAX, KEPT_BYTES_MAX, KEPT_RECORDS_MAX, Limits, PAUSE_MAX, PAUSE_MIN, Pace, RECORDS_MAX,
    ROUND_BYTES_MAX, ROUND_RECORDS_MAX,
};
pub use look::{Listed, OutboxAbout, OutboxStatus, Stored};
pub use state::Place;
pub use step::{Step, Steps};

use crate::clock::{Surroundings, System};
use crate::draft::Signed;
use files::Lock;
use mutant::Mutant;
use row::Waiting;
use state::State;
use step::Unwatched;
use store::{Change, Store};

/// What became of a record that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is new here, and durable.
    New,
    /// The same record is here already.
    Before(Place),
}

/// A durable local spool. Cheap to clone; clones are the same spool.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// The right to deliver. A write that nobody waits for any more has a share of it: the next deliverer begins after it.
type Turn = Arc<OwnedMutexGuard<()>>;

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    limits: Limits,
    store: Store,
    /// One transaction at a time, and what the memory says of the disk changes with it.
    writer: Mutex<()>,
    state: Mutex<State>,
    /// Something may be sent that could not be before.
    changed: Notify,
    /// Somebody who has mended something wants his records sent now.
    retried: Notify,
    /// Who holds it delivers, until the last of his writes has ended.
    delivering: Arc<tokio::sync::Mutex<()>>,
    events: broadcast::Sender<OutboxEvent>,
    steps: Arc<dyn Steps>,
    /// Dropped last: the store is closed by then.
    _lock: Lock,
}

impl Outbox {
    /// Opens the outbox in this directory, and makes it where there is none. Its lock is this value's, and its clones'.
    ///
    /// Reads the whole of its file, and checks it: blocking work.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, OutboxError> {
        Self::open_watched(dir, limits, Arc::new(Unwatched))
    }

    /// The same, but where there is none it is an error: for those who look at what a service has left.
    pub fn open_existing(dir: &Path, limits: Limits) -> Result<Self, OutboxError> {
        if !files::exists(dir)? {
            return Err(OutboxError::Absent { path: dir.to_owned() });
        }
        Self::open(dir, limits)
    }

    /// For crash tests: `steps` is told of each step.
    #[doc(hidden)]
    pub fn open_watched(dir: &Path, limits: Limits, steps: Arc<dyn Steps>) -> Result<Self, OutboxError> {
        let lock = Lock::take(dir)?;
        steps.at(Step::Locked);
        let (store, loaded) = Store::open(dir, &steps)?;
        let state = State::of(loaded).map_err(|what| OutboxError::Damaged { path: dir.to_owned(), what })?;
        let (queued, refused, delivered) = (state.queue.len(), state.refused.len(), state.delivered.len());
        tracing::info!(dir = %dir.display(), queued, refused, delivered, "outbox opened");
        let shared = Shared {
            dir: dir.to_owned(),
            limits,
            store,
            writer: Mutex::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
            retried: Notify::new(),
            delivering: Arc::default(),
            events: broadcast::channel(EVENTS_MAX).0,
            steps,
            _lock: lock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes a record. When this returns, it is on the disk and will be delivered; adding it again is no second record.
    ///
    /// Revisions of a series are added in their order. Dropping the future leaves open whether the record was added.
    pub async fn add(&self, record: &Signed) -> Result<Added, OutboxError> {
        let added = self.add_all(std::slice::from_ref(record)).await?;
        Ok(added.first().copied().unwrap_or(Added::New))
    }

    /// Takes all of these records, or none, with one sync: in their order, one answer for each.
    pub async fn add_all(&self, records: &[Signed]) -> Result<Vec<Added>, OutboxError> {
        self.add_these(records.iter().map(|record| (record, ""))).await
    }

    /// The same, and writes down where each came from, such as the name of a file: for lists.
    pub async fn add_all_from(&self, records: &[(Signed, String)]) -> Result<Vec<Added>, OutboxError> {
        self.add_these(records.iter().map(|(record, origin)| (record, origin.as_str()))).await
    }

    async fn add_these<'a>(
        &self,
        records: impl ExactSizeIterator<Item = (&'a Signed, &'a str)>,
    ) -> Result<Vec<Added>, OutboxError> {
        let now = System.now();
        let rows = records.map(|(record, origin)| {
            let (row, bytes) = Waiting::of(record.record(), origin, now, record.is_doubtful())?;
            Ok((record.record_id(), row, Bytes::from(bytes)))
        });
        let rows = rows.collect::<Result<Vec<_>, OutboxError>>()?;
        if Mutant::AddedBeforeCommit.planted() {
            let (shared, answers) = (self.shared.clone(), rows.iter().map(|_| Added::New).collect());
            drop(tokio::task::spawn_blocking(move || shared.add(rows)));
            return Ok(answers);
        }
        self.blocking(move |shared| shared.add(rows)).await
    }

    /// Queues refused records again, these or all, and with each those that went with it. Returns how many.
    pub async fn retry(&self, records: Option<Vec<RecordId>>) -> Result<usize, OutboxError> {
        self.blocking(move |shared| shared.retry(records)).await
    }

    /// Removes records that are delivered or refused from the outbox, with their receipts: export them first.
    pub async fn forget(&self, records: Vec<RecordId>) -> Result<(), OutboxError> {
        self.blocking(move |shared| shared.forget(&records)).await
    }

    /// The same for a deliverer.
    async fn blocking_in<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce(&Shared) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let turn = turn.clone();
        self.blocking(move |shared| {
            let done = work(shared);
            drop(turn);
            done
        })
        .await
    }

    /// Runs on a thread that may block. What it began it ends, also where nobody waits any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => {
                    let source = std::io::Error::other(error);
                    Err(OutboxError::File { path: self.shared.dir.clone(), source })
                }
            },
        }
    }
}

impl Shared {
    /// The memory follows the disk. Who calls this holds `writer`.
    fn commit(&self, changes: Vec<Change>, step: Step) -> Result<(), OutboxError> {
        self.store.commit(&changes, step)?;
        let mut state = self.state.lock();
        for change in changes {
            state.change(change).map_err(|what| OutboxError::Damaged { path: self.dir.clone(), what })?;
        }
        Ok(())
    }
}
