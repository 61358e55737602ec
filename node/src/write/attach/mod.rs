//! Attachments on their way in: begun, put in chunks, verified as a whole, complete.
//!
//! What a node holds of an upload is a few chunks; what it has stored is in the log and in the state, so that any node can go on
//! where another one stopped. Nobody trusts a running digest for that: whoever completes an upload reads back what is
//! stored, opens it and holds it against the digest that was said.

mod begin;
mod orphans;
mod put;
mod verify;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::{Command, command::Kind};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use begin::Begun;
pub use orphans::Orphans;

use super::members::Members;
use super::propose::{Answer, Error};
use super::{DEADLINE_MAX, Deadline, Writer};
use crate::config::AttachmentsConfig;
use crate::read::Barrier;
use crate::seams::Tasks;
use crate::shares::Shares;

/// Uploads of a node at once; more are told to come again.
pub const UPLOADS_MAX: usize = 64;
/// Of these a unit has at most its share, so that it leaves some to others.
const UNIT_UPLOADS_MIN: usize = 1;
/// Chunks of all uploads that a node holds, at most: one that fills for each upload, and as many again half that are on their way
/// to the log. Each costs up to three times its 256 KiB: as it came, in clear, sealed.
const CHUNKS_MAX: usize = UPLOADS_MAX + UPLOADS_MAX / 2;
/// Chunks of one upload that are on their way to the log, at most: two fill an entry, and two are the next.
const UPLOAD_IN_FLIGHT_MAX: usize = 4;
/// Contents that are read back at once, at most: each keeps a core busy.
const VERIFYING_MAX: usize = 2;
/// A chunk that found no leader, or whose outcome is not known, is proposed again for so long: an election and some more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Takes attachments in on this node, whichever leads.
pub struct Uploads {
    writer: Arc<Writer>,
    barrier: Arc<Barrier>,
    members: Arc<Members>,
    tasks: Arc<dyn Tasks>,
    length_max: u64,
    /// How long an attachment may wait for its record.
    orphan_after: Duration,
    open: Arc<Semaphore>,
    shares: Shares,
    chunks: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    /// Every member knows the commands.
    known: AtomicBool,
}

impl Uploads {
    pub(crate) fn new(
        config: &AttachmentsConfig,
        writer: Arc<Writer>,
        barrier: Arc<Barrier>,
        members: Arc<Members>,
        tasks: Arc<dyn Tasks>,
    ) -> Self {
        Self {
            writer,
            barrier,
            members,
            tasks,
            length_max: config.length_max_mib << 20,
            orphan_after: Orphans::after(config),
            open: Arc::new(Semaphore::new(UPLOADS_MAX)),
            shares: Shares::of(UPLOADS_MAX, UNIT_UPLOADS_MIN),
            chunks: Arc::new(Semaphore::new(CHUNKS_MAX)),
            verifying: Arc::new(Semaphore::new(VERIFYING_MAX)),
            known: AtomicBool::new(false),
        }
    }

    /// Proposes what may be proposed twice, until the state has decided.
    async fn insist(&self, kind: Kind) -> Result<(), Refusal> {
        let command = Command { kind: Some(kind) };
        let begun = Instant::now();
        loop {
            let error = match self.writer.queue.propose(command.clone(), Deadline::after(Some(PATIENCE))).await {
                Ok(Answer::Done | Answer::Accepted { .. }) => return Ok(()),
                Ok(Answer::Refused(refusal)) => return Err(refusal),
                Err(error) => error,
            };
            let again = match &error {
                Error::NotLeader | Error::Unknown => true,
                Error::NotProposed(refusal) => {
                    // a leader that stops; where it is this node, the upload is ended from outside
                    matches!(refusal.code, Code::NoLeader | Code::Overloaded | Code::NotLeader | Code::NodeStopping)
                }
            };
            if !again || begun.elapsed() > PATIENCE {
                return Err(error.into());
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Waits until this node's state holds all that was stored before.
    async fn catch_up(&self) -> Result<(), Refusal> {
        self.barrier.pass(Deadline::after(Some(DEADLINE_MAX))).await
    }
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::StorageFailed, error.to_string())
}
