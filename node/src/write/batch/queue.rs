//! The handle that callers hold.

use std::sync::Arc;
use std::time::Duration;

use kho_ledger::bounds::SEALED_CHUNK_LENGTH_MAX;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::{Command, command::Kind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
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

/// Chunks of attachments that wait in the queue, at most: those of all uploads of a node, and a full batch of each other node.
const OBJECTS_WAITING_MAX: usize = 256;
/// Their bytes, at most: the same.
const OBJECT_BYTES_WAITING_MAX: usize = OBJECTS_WAITING_MAX * (SEALED_CHUNK_LENGTH_MAX + ROOM_UNIT);

/// Bounded in commands and in bytes. Chunks of attachments have a lane of their own, below that of records.
#[derive(Clone)]
pub struct Queue {
    records: Lane,
    objects: Lane,
}

#[derive(Clone)]
struct Lane {
    sender: mpsc::Sender<Waiting>,
    /// One for each command that waits.
    places: Arc<Semaphore>,
    places_max: usize,
    drain: Arc<Drain>,
    room: Arc<Semaphore>,
    /// Whoever finds no room waits for it until the deadline.
    patient: bool,
}

impl Lane {
    fn of(places_max: usize, bytes: usize, patient: bool) -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(places_max);
        let places = Arc::new(Semaphore::new(places_max));
        let room = Arc::new(Semaphore::new(bytes / ROOM_UNIT));
        (Self { sender, places, places_max, drain: Arc::default(), room, patient }, receiver)
    }

    async fn take(
        &self,
        what: &str,
        of: &Arc<Semaphore>,
        count: usize,
        deadline: Deadline,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Ok(taken) = of.clone().try_acquire_many_owned(count) {
            return Ok(taken);
        }
        if self.patient
            && let Ok(Ok(taken)) = tokio::time::timeout_at(deadline.at(), of.clone().acquire_many_owned(count)).await
        {
            return Ok(taken);
        }
        Err(self.overloaded(what))
    }
}

fn is_chunk(command: &Command) -> bool {
    matches!(command.kind, Some(Kind::PutObjectChunk(_)))
}

impl Queue {
    /// Starts the batchers behind it; they end when the last handle is gone.
    pub fn start(limits: &LimitsConfig, propose: Arc<dyn Propose>, tasks: Arc<dyn Tasks>) -> Queue {
        let (records, receiver) = Lane::of(limits.queue_records, limits.queue_mib << 20, false);
        let batcher = Batcher::new(receiver, propose.clone(), tasks.clone(), super::RECORDS, None);
        let first = Some(batcher.in_flight.clone());
        tasks.spawn("write-batcher", Box::pin(batcher.run()));
        let (objects, receiver) = Lane::of(OBJECTS_WAITING_MAX, OBJECT_BYTES_WAITING_MAX, true);
        let batcher = Batcher::new(receiver, propose, tasks.clone(), super::OBJECTS, first);
        tasks.spawn("object-batcher", Box::pin(batcher.run()));
        Queue { records, objects }
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
        let lane = if commands.iter().all(is_chunk) { &self.objects } else { &self.records };
        lane.propose_all(commands, hop, deadline).await
    }
}

impl Lane {
    async fn propose_all(&self, commands: Vec<Command>, hop: Hop, deadline: Deadline) -> Result<Vec<Answer>, Error> {
        let bytes: usize = commands.iter().map(entry::length).sum();
        // what is larger than the whole queue may have all of it, as a full batch of another node
        let places = self.take("commands", &self.places, commands.len().min(self.places_max), deadline).await?;
        let room = self.take("bytes", &self.room, bytes.div_ceil(ROOM_UNIT), deadline).await?;
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
