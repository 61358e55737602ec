//! Consensus: the only module that knows openraft. Hands out a plain [`Consensus`] handle and a [`StateStore`].
//!
//! An entry's way: [`Consensus::propose`] -> openraft -> `log_store` (one sync) and `network` (to the followers) ->
//! committed by a majority on disk -> `state_machine` (waits for the local sync) -> `state` (one write batch) ->
//! published to readers -> the proposer's answer. See `docs/consensus.md`.

mod background;
mod codec;
mod config;
mod error;
mod fetch;
#[doc(hidden)]
pub mod fuzz;
mod handle;
mod heard;
mod log_store;
mod membership;
mod network;
mod open;
mod peer;
mod read_index;
mod rebuild;
mod service;
mod state;
mod state_machine;
mod status;
mod types;
mod wire;

#[cfg(test)]
mod cluster_tests;

pub use self::config::{ConfigError, ConsensusConfig, MemberAddress, SnapshotTrigger, Timing};
pub use self::error::{InitError, OpenError, ProposeError, ReadError, TransferError};
pub use self::handle::{Committed, Consensus};
pub use self::membership::{ReplaceError, Replacing};
pub use self::peer::{PeerGate, PeerIdentity, PeerMismatch};
pub use self::service::RaftService;
pub use self::state::{StateStore, StateView};
pub use self::status::{ConsensusStatus, Role};
pub use crate::storage::fatal::FatalSwitch;
