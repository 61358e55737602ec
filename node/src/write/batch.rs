//! The queue before the log: whatever waits becomes one entry.
//!
//! A batch goes out as soon as one of the places in flight is free, with all that waits by then; when idle, the first
//! command goes alone and at once. A batch that surely was not proposed waits for a leader, as long as anyone waits
//! for it; one that may have been is never sent again.

mod queue;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::propose::{Error, Propose};
use crate::seams::Tasks;
use waiting::Waiting;

pub use queue::Queue;
pub use waiting::Hop;

/// Bytes of commands in an entry, at most; a larger command goes alone.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Commands in an entry, at most: bounds the time that one apply takes.
pub const ENTRY_COMMANDS_MAX: usize = 1024;
/// Entries that were sent and not answered, at most: one being synced here, one on its way, one being applied, one spare.
pub const IN_FLIGHT_MAX: usize = 4;

const _: () = assert!(ENTRY_COMMANDS_MAX <= kho_ledger::bounds::ENTRY_COMMANDS_MAX, "apply must take a full batch");
const _: () = assert!(2 * ENTRY_BYTES_MAX <= kho_ledger::bounds::ENTRY_LENGTH_MAX, "apply must take a full batch");

/// Makes batches out of what waits in a queue.
struct Batcher {
    receiver: mpsc::Receiver<Waiting>,
    propose: Arc<dyn Propose>,
    tasks: Arc<dyn Tasks>,
    in_flight: Arc<Semaphore>,
    /// Taken from the queue, but did not fit the last batch.
    left_over: Option<Waiting>,
}

impl Batcher {
    fn new(receiver: mpsc::Receiver<Waiting>, propose: Arc<dyn Propose>, tasks: Arc<dyn Tasks>) -> Self {
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Self { receiver, propose, tasks, in_flight, left_over: None }
    }

    /// Ends when all queue handles are gone.
    async fn run(mut self) {
        loop {
            let first = match self.left_over.take() {
                Some(waiting) => waiting,
                None => match self.receiver.recv().await {
                    Some(waiting) => waiting,
                    None => return,
                },
            };
            let place = self.in_flight.clone().acquire_owned().await.expect("the semaphore is never closed");
            let batch = self.fill(first);
            metrics::histogram!(super::metric_definitions::BATCH_COMMANDS).record(batch.commands() as f64);
            self.tasks.spawn("write-batch", Box::pin(send(self.propose.clone(), batch, place)));
        }
    }

    fn fill(&mut self, first: Waiting) -> Batch {
        let mut batch = Batch { bytes: first.bytes(), waiting: vec![first] };
        let mut commands = batch.commands();
        while let Ok(next) = self.receiver.try_recv() {
            commands += next.commands().len();
            if batch.bytes + next.bytes() > ENTRY_BYTES_MAX || commands > ENTRY_COMMANDS_MAX {
                self.left_over = Some(next);
                break;
            }
            batch.bytes += next.bytes();
            batch.waiting.push(next);
        }
        metrics::gauge!(super::metric_definitions::QUEUE_COMMANDS).set(self.receiver.len() as f64);
        batch
    }
}

struct Batch {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Batch {
    fn commands(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.commands().len()).sum()
    }
}

async fn send(propose: Arc<dyn Propose>, mut batch: Batch, place: OwnedSemaphorePermit) {
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
                let mut answers = answers.into_iter();
                for waiting in batch.waiting {
                    let mine = answers.by_ref().take(waiting.sent()).collect();
                    waiting.answer(Ok(mine));
                }
                drop(place);
                return;
            }
            Err(error) => {
                batch.waiting.into_iter().for_each(|waiting| waiting.answer(Err(error.clone())));
                drop(place);
                return;
            }
        }
    }
}
