//! Are these the keys that the cluster's state was made with? Nodes of one cluster must not differ: a receipt signed
//! with another log key, or a record sealed under another key-encryption key, could not be used on the others.

use kho_ledger::View;
use kho_ledger::view::ReadError;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};

use super::{Error, Notary};

/// What the state says of a node's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet: the cluster is not formed, as far as this node has applied.
    NotFormed,
    /// The log's public key is this keyring's.
    Same,
}

/// Why keys can't be used with the state.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The keys differ, or there is none.
    #[error(transparent)]
    Keys(#[from] Error),
    /// The state can't be read.
    #[error("state: {0}")]
    State(#[from] ReadError),
    /// There is nothing to sign or seal for yet.
    #[error("the cluster is not formed yet, as far as this node knows")]
    NotFormed,
}

impl GuardError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            GuardError::Keys(error) => error.code(),
            GuardError::State(_) => Code::StorageFailed,
            GuardError::NotFormed => Code::NotInitialized,
        }
    }
}

impl From<GuardError> for Refusal {
    fn from(error: GuardError) -> Refusal {
        Refusal::new(error.code(), error.to_string())
    }
}

/// Holds the log key against the genesis record. Data keys are held against their wrapping key when they are opened.
pub fn check_state(notary: &Notary, view: &dyn View) -> Result<Verdict, GuardError> {
    let Some(genesis) = kho_ledger::genesis(view)? else { return Ok(Verdict::NotFormed) };
    let found = notary.public_key(genesis.epoch)?;
    if found != genesis.log_public_key {
        let mismatch =
            Error::Mismatch { what: "log public key", expected: Digest(genesis.log_public_key), found: Digest(found) };
        return Err(mismatch.into());
    }
    Ok(Verdict::Same)
}
