//! Commands that wait for their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use kho_proto::pb::ledger::v1::Command;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::write::propose::{Answer, Error};

/// Where commands came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// A request to this node.
    Client,
    /// Another node that takes this one for the leader.
    Peer,
}

/// Whether anyone can still say that the commands were not proposed: exactly one side decides.
#[derive(Clone)]
pub(super) struct Fate(Arc<AtomicU8>);

const WAITING: u8 = 0;
const PROPOSING: u8 = 1;
const ABANDONED: u8 = 2;

impl Fate {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU8::new(WAITING)))
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Gives up on them; true: they are surely not proposed, and never will be.
    pub fn abandon(&self) -> bool {
        self.change(WAITING, ABANDONED)
    }
}

/// Commands of one caller, and where their answers go.
pub(super) struct Waiting {
    pub commands: Vec<Command>,
    pub bytes: usize,
    pub hop: Hop,
    pub fate: Fate,
    pub reply: oneshot::Sender<Result<Vec<Answer>, Error>>,
    pub sent: usize,
    /// Places in the queue, one a command, until they leave it for a batch.
    pub places: Option<OwnedSemaphorePermit>,
    /// Bytes of the queue, given back with the answer.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn hop(&self) -> Hop {
        self.hop
    }

    /// Commands that were taken for sending.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// They are in a batch now.
    pub fn leave_queue(&mut self) {
        drop(self.places.take());
    }

    /// Takes the fate in hand before sending; false: nobody waits any more.
    pub fn claim(&mut self) -> bool {
        !self.reply.is_closed() && self.fate.change(WAITING, PROPOSING)
    }

    pub fn take_commands(&mut self) -> Vec<Command> {
        self.sent = self.commands.len();
        std::mem::take(&mut self.commands)
    }

    /// They were surely not proposed.
    pub fn give_back(&mut self, commands: &mut impl Iterator<Item = Command>) {
        self.commands = commands.take(self.sent).collect();
        self.fate.change(PROPOSING, WAITING);
    }

    pub fn answer(self, answer: Result<Vec<Answer>, Error>) {
        drop(self.room);
        // Nobody may wait any more; the record then gets its receipt when it is submitted again.
        drop(self.reply.send(answer));
    }
}
