//! The queue before the log: whatever waits becomes one entry.
//!
//! When idle, the first command goes alone and at once. While entries are on their way, a small batch waits a little for
//! one of them to come back, and grows meanwhile: an entry costs as much as some dozen records. A batch large enough to
//! carry its own cost goes out as soon as one of the places in flight is free. So does each batch of a node that does not
//! lead: it costs a message, and the leader makes one entry of what comes from all. Whatever else is ready on this node is done
//! before a small batch goes: what arrived together mostly goes together. A batch that surely was not proposed waits
//! for a leader, as long as anyone waits for it; one that may have been is never sent again.

mod drain;
mod queue;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::propose::{Error, Propose};
use crate::seams::Tasks;
use waiting::Waiting;

pub use queue::{Queue, RETRY_AFTER_OVERLOAD};
pub use waiting::Hop;

/// Bytes of commands in an entry, at most; a larger command goes alone.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Commands in an entry, at most: bounds the time that one apply takes.
pub const ENTRY_COMMANDS_MAX: usize = 1024;
/// Entries that were sent and not answered, at most: one being synced here, one on its way, one being applied, one spare.
pub const IN_FLIGHT_MAX: usize = 4;
/// From so many commands or bytes on, a batch does not wait for those on their way.
pub const WORTHWHILE_COMMANDS: usize = 32;
/// See [`WORTHWHILE_COMMANDS`].
pub const WORTHWHILE_BYTES: usize = 64 << 10;
/// So often the runtime must turn, and nothing join a batch, before a small one goes: nothing that has arrived is left then.
const QUIET_TURNS: usize = 2;
/// A small batch waits for those on their way no longer than this: one of them may be on its way to a leader that is gone.
pub const SMALL_WAIT_MAX: Duration = Duration::from_millis(20);

const _: () = assert!(ENTRY_COMMANDS_MAX <= kho_ledger::bounds::ENTRY_COMMANDS_MAX, "apply must take a full batch");
const _: () = assert!(2 * ENTRY_BYTES_MAX <= kho_ledger::bounds::ENTRY_LENGTH_MAX, "apply must take a full batch");

/// Bytes of chunks of attachments in an entry, at most: two of the largest. Records may fill twice as much.
pub const OBJECT_ENTRY_BYTES_MAX: usize = 544 << 10;
/// Entries of chunks in flight, at most: half of those of records, and in places of their own, so that chunks never take one
/// from a record.
pub const OBJECTS_IN_FLIGHT_MAX: usize = 2;
/// While records have taken all their places, chunks wait so long, so many times, and then go all the same.
const GIVE_WAY: Duration = Duration::from_millis(5);
/// See [`GIVE_WAY`].
const GIVE_WAY_ROUNDS: usize = 10;

const _: () = assert!(2 * (kho_ledger::bounds::SEALED_CHUNK_LENGTH_MAX + 256) <= OBJECT_ENTRY_BYTES_MAX);
const _: () = assert!(OBJECT_ENTRY_BYTES_MAX * OBJECTS_IN_FLIGHT_MAX <= ENTRY_BYTES_MAX * IN_FLIGHT_MAX / 2);

/// Batches of a node that were sent and not answered, at most.
pub(crate) const PROPOSALS_MAX: usize = IN_FLIGHT_MAX + OBJECTS_IN_FLIGHT_MAX;

/// How much a batcher may send.
#[derive(Clone, Copy)]
struct Budget {
    entry_bytes: usize,
    in_flight: usize,
}

const RECORDS: Budget = Budget { entry_bytes: ENTRY_BYTES_MAX, in_flight: IN_FLIGHT_MAX };
const OBJECTS: Budget = Budget { entry_bytes: OBJECT_ENTRY_BYTES_MAX, in_flight: OBJECTS_IN_FLIGHT_MAX };

/// Makes batches out of what waits in a queue.
struct Batcher {
    receiver: mpsc::Receiver<Waiting>,
    propose: Arc<dyn Propose>,
    tasks: Arc<dyn Tasks>,
    budget: Budget,
    in_flight: Arc<Semaphore>,
    /// Places of those that go first.
    first: Option<Arc<Semaphore>>,
    /// A batch came back.
    back: Arc<Notify>,
    /// Taken from the queue, but did not fit the last batch.
    left_over: Option<Waiting>,
}

impl Batcher {
    fn new(
        receiver: mpsc::Receiver<Waiting>,
        propose: Arc<dyn Propose>,
        tasks: Arc<dyn Tasks>,
        budget: Budget,
        first: Option<Arc<Semaphore>>,
    ) -> Self {
        let in_flight = Arc::new(Semaphore::new(budget.in_flight));
        Self { receiver, propose, tasks, budget, in_flight, first, back: Arc::new(Notify::new()), left_over: None }
    }

    /// Lets those go first that have a right to it, but not for ever.
    async fn give_way(&self) {
        let Some(first) = &self.first else { return };
        for _ in 0..GIVE_WAY_ROUNDS {
            if first.available_permits() > 0 {
                return;
            }
            tokio::time::sleep(GIVE_WAY).await;
        }
    }

    /// Ends when all queue handles are gone.
    async fn run(mut self) {
        loop {
            let mut first = match self.left_over.take() {
                Some(waiting) => waiting,
                None => match self.receiver.recv().await {
                    Some(waiting) => waiting,
                    None => return,
                },
            };
            first.leave_queue();
            let mut batch = Batch { bytes: first.bytes(), commands: first.commands().len(), waiting: vec![first] };
            let place = self.grow(&mut batch).await;
            self.give_way().await;
            metrics::histogram!(super::metric_definitions::BATCH_COMMANDS).record(batch.commands as f64);
            self.tasks.spawn(
                "write-batch",
                Box::pin(send(self.propose.clone(), batch, Place { permit: Some(place), back: self.back.clone() })),
            );
        }
    }

    /// Adds what comes until the batch may go.
    async fn grow(&mut self, batch: &mut Batch) -> OwnedSemaphorePermit {
        let mut open = true;
        let mut overdue = false;
        let begun = Instant::now();
        let patience = tokio::time::sleep_until(begun + SMALL_WAIT_MAX);
        tokio::pin!(patience);
        loop {
            self.settle(batch, begun + SMALL_WAIT_MAX).await;
            metrics::gauge!(super::metric_definitions::QUEUE_COMMANDS).set(self.receiver.len() as f64);
            let at_once = self.in_flight.available_permits() == self.budget.in_flight || !self.propose.leads();
            if (at_once || overdue || batch.worthwhile() || self.left_over.is_some())
                && let Ok(place) = self.in_flight.clone().try_acquire_owned()
            {
                return place;
            }
            tokio::select! {
                () = self.back.notified() => {}
                () = &mut patience, if !overdue => overdue = true,
                next = self.receiver.recv(), if open && self.left_over.is_none() => match next {
                    Some(next) => self.add(batch, next),
                    None => open = false,
                },
            }
        }
    }

    /// Takes what waits, and what comes of work that is ready: as much as there is, and never more than makes a batch worthwhile,
    /// nor beyond `until`.
    async fn settle(&mut self, batch: &mut Batch, until: Instant) {
        let mut quiet = 0;
        loop {
            let before = batch.commands;
            while self.left_over.is_none()
                && let Ok(next) = self.receiver.try_recv()
            {
                self.add(batch, next);
            }
            quiet = if batch.commands == before { quiet + 1 } else { 0 };
            if quiet > QUIET_TURNS || batch.worthwhile() || self.left_over.is_some() || Instant::now() >= until {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn add(&mut self, batch: &mut Batch, mut next: Waiting) {
        let (bytes, commands) = (batch.bytes + next.bytes(), batch.commands + next.commands().len());
        if bytes > self.budget.entry_bytes || commands > ENTRY_COMMANDS_MAX {
            self.left_over = Some(next);
            return;
        }
        (batch.bytes, batch.commands) = (bytes, commands);
        next.leave_queue();
        batch.waiting.push(next);
    }
}

struct Batch {
    waiting: Vec<Waiting>,
    bytes: usize,
    commands: usize,
}

impl Batch {
    fn worthwhile(&self) -> bool {
        self.commands >= WORTHWHILE_COMMANDS || self.bytes >= WORTHWHILE_BYTES
    }
}

/// A place in flight; given back when dropped, and the batcher told.
struct Place {
    permit: Option<OwnedSemaphorePermit>,
    back: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.back.notify_one();
    }
}

async fn send(propose: Arc<dyn Propose>, mut batch: Batch, place: Place) {
    loop {
        if !propose.leads() {
            // A chain of forwards could run in circles: what came from a peer goes back to it.
            for waiting in batch.waiting.extract_if(.., |waiting| waiting.hop() == Hop::Peer) {
                waiting.answer(Err(Error::NotLeader));
            }
        }
        batch.waiting.retain_mut(Waiting::claim);
        if batch.waiting.is_empty() {
            return;
        }
        let commands: Vec<_> = match batch.waiting.as_mut_slice() {
            [one] => one.take_commands(),
            many => many.iter_mut().flat_map(Waiting::take_commands).collect(),
        };
        match propose.propose(&commands).await {
            Err(Error::NotLeader) => {
                let mut commands = commands.into_iter();
                batch.waiting.iter_mut().for_each(|waiting| waiting.give_back(&mut commands));
                propose.leader_may_have_changed().await;
            }
            Ok(answers) => {
                drop(place);
                let mut answers = answers.into_iter();
                for waiting in batch.waiting {
                    let mine = answers.by_ref().take(waiting.sent()).collect();
                    waiting.answer(Ok(mine));
                }
                return;
            }
            Err(error) => {
                drop(place);
                batch.waiting.into_iter().for_each(|waiting| waiting.answer(Err(error.clone())));
                return;
            }
        }
    }
}
