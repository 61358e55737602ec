//! The handle that callers hold.

use std::sync::Arc;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::Command;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::drain::Drain;
use super::waiting::{Fate, Waiting};
use super::{Batcher, Hop};
use crate::config::LimitsConfig;
use crate::seams::Tasks;
use crate::write::deadline::Deadline;
use crate::write::entry;
use crate::write::propose::{Answer, Error, Propose};

/// Hint to clients that found no room elsewhere than in the queue.
pub const RETRY_AFTER_OVERLOAD: Duration = Duration::from_millis(100);
/// Hint to clients whose command found no leader: about an election.
const RETRY_AFTER_NO_LEADER: Duration = Duration::from_millis(250);
/// Room is counted in such units, so that it fits the semaphore's permits.
const ROOM_UNIT: usize = 1 << 10;

/// Bounded in commands and in bytes.
#[derive(Clone)]
pub struct Queue {
    sender: mpsc::Sender<Waiting>,
    /// One for each command that waits.
    places: Arc<Semaphore>,
    places_max: usize,
    drain: Arc<Drain>,
    room: Arc<Semaphore>,
}

impl Queue {
    /// Starts the batcher behind it; it ends when the last handle is gone.
    pub fn start(limits: &LimitsConfig, propose: Arc<dyn Propose>, tasks: Arc<dyn Tasks>) -> Queue {
        let (sender, receiver) = mpsc::channel(limits.queue_records);
        let room = Arc::new(Semaphore::new((limits.queue_mib << 20) / ROOM_UNIT));
        tasks.spawn("write-batcher", Box::pin(Batcher::new(receiver, propose, tasks.clone()).run()));
        let places_max = limits.queue_records;
        Queue { sender, places: Arc::new(Semaphore::new(places_max)), places_max, drain: Arc::default(), room }
    }

    /// One command and its answer.
    pub async fn propose(&self, command: Command, deadline: Deadline) -> Result<Answer, Error> {
        let answers = self.propose_all(vec![command], Hop::Client, deadline).await?;
        answers.into_iter().next().ok_or(Error::Unknown)
    }

    /// Commands that stay together, and one answer for each.
    pub async fn propose_all(
        &self,
        commands: Vec<Command>,
        hop: Hop,
        deadline: Deadline,
    ) -> Result<Vec<Answer>, Error> {
        let bytes: usize = commands.iter().map(entry::length).sum();
        // what is larger than the whole queue may have all of it, as a full batch of another node
        let places = u32::try_from(commands.len().min(self.places_max)).unwrap_or(u32::MAX);
        let Ok(places) = self.places.clone().try_acquire_many_owned(places) else {
            return Err(self.overloaded("commands"));
        };
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(units) else { return Err(self.overloaded("bytes")) };
        let (reply, answers) = oneshot::channel();
        let fate = Fate::new();
        let waiting = Waiting {
            commands,
            bytes,
            hop,
            fate: fate.clone(),
            reply,
            sent: 0,
            places: Some(places),
            room: Some(room),
        };
        self.sender.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.overloaded("commands"),
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        match tokio::time::timeout_at(deadline.at(), answers).await {
            Ok(Ok(answers)) => {
                if let Ok(answers) = &answers {
                    self.drain.answered(Instant::now(), answers.len());
                }
                answers
            }
            // The task that held it is gone, which happens at shutdown only.
            Ok(Err(_)) | Err(_) if fate.abandon() => Err(no_leader()),
            Ok(Err(_)) | Err(_) => Err(Error::Unknown),
        }
    }
}

impl Queue {
    /// Whoever finds the queue full is told when the log will have taken what is in it.
    fn overloaded(&self, what: &str) -> Error {
        let waiting = self.places_max - self.places.available_permits();
        let mut refusal = Refusal::new(Code::Overloaded, format!("the queue is full ({what})"));
        refusal.retry_after = Some(self.drain.wait(Instant::now(), waiting));
        Error::NotProposed(refusal)
    }
}

fn stopping() -> Error {
    Error::NotProposed(Refusal::new(Code::NodeStopping, "the node is shutting down"))
}

fn no_leader() -> Error {
    let mut refusal =
        Refusal::new(Code::NoLeader, "no leader took the record before the deadline; it was not proposed");
    refusal.retry_after = Some(RETRY_AFTER_NO_LEADER);
    Error::NotProposed(refusal)
}
