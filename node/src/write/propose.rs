//! What proposing answers: one answer per command, or why there is none.

use async_trait::async_trait;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1::Command;
use kho_proto::pb::v1::Receipt;

/// What became of one command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The record stands in the log.
    Accepted {
        /// Its first receipt.
        receipt: Receipt,
        /// It stood there before.
        duplicate: bool,
    },
    /// Refused by the state; nothing changed.
    Refused(Refusal),
    /// Taken, and left no leaf.
    Done,
}

impl Answer {
    /// The signer was judged by other lists of revoked certificates than the state has: it may be judged again.
    pub(super) fn is_outdated(&self) -> bool {
        matches!(self, Answer::Refused(refusal) if refusal.code == Code::VerdictOutdated)
    }
}

/// Why there are no answers.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Surely not proposed: no leader was reached. Trying again elsewhere is safe.
    #[error("no leader was reached; nothing was proposed")]
    NotLeader,
    /// Surely not proposed, and this is why.
    #[error("not proposed: {0}")]
    NotProposed(Refusal),
    /// It may have been, or may yet be, committed.
    #[error("the outcome is not known; submitting the same record again is safe")]
    Unknown,
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::NotLeader => Code::NotLeader,
            Error::NotProposed(refusal) => refusal.code,
            Error::Unknown => Code::OutcomeUnknown,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::NotProposed(refusal) => refusal,
            Error::NotLeader | Error::Unknown => Refusal::new(error.code(), error.to_string()),
        }
    }
}

/// Takes commands to the log and waits until they are applied.
#[async_trait]
pub trait Propose: Send + Sync + 'static {
    /// One answer per command, in order. Tries once.
    async fn propose(&self, commands: &[Command]) -> Result<Vec<Answer>, Error>;

    /// Returns when a leader may have come, or after a pause.
    async fn leader_may_have_changed(&self);

    /// Whether this node proposes itself, without another node's help.
    fn leads(&self) -> bool;
}
