//! Where in the log the state stands: written in the same batch as what was applied.

use std::path::Path;

use kho_ledger::Table;
use serde::de::DeserializeOwned;

use super::core::StateError;
use crate::consensus::codec;
use crate::consensus::types::{LogId, StoredMembership};
use crate::storage::{Batch, KvRead, Profile, Storage};

/// Table of the position, beside those of the ledger.
pub(super) const APPLIED: &str = "applied";
/// Key of the last applied log id.
const LAST: &[u8] = b"last";
/// Key of the last applied membership.
const MEMBERSHIP: &[u8] = b"membership";
/// Key of the log index of the snapshot that this state began as.
const BASE: &[u8] = b"base";

/// Tables of the state database.
pub(crate) fn tables() -> Vec<&'static str> {
    let mut tables: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
    tables.push(APPLIED);
    tables
}

/// Applied log id and membership, and where the state came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Position {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    /// Index of the installed snapshot, 0 if the state was built from the first entry on.
    pub(crate) base: u64,
}

impl Position {
    pub(super) fn load(rows: &dyn KvRead) -> Result<Self, StateError> {
        Ok(Self {
            last: row(rows, "last", LAST)?,
            membership: row(rows, "membership", MEMBERSHIP)?.unwrap_or_default(),
            base: row(rows, "base", BASE)?.unwrap_or_default(),
        })
    }
}

pub(super) fn put_last(batch: &mut Batch, last: &LogId) {
    batch.put(APPLIED, LAST, codec::encode(last));
}

pub(super) fn put_membership(batch: &mut Batch, membership: &StoredMembership) {
    batch.put(APPLIED, MEMBERSHIP, codec::encode(membership));
}

pub(super) fn put_base(batch: &mut Batch, index: u64) {
    batch.put(APPLIED, BASE, codec::encode(&index));
}

fn row<T: DeserializeOwned>(
    rows: &dyn KvRead,
    name: &'static str,
    key: &'static [u8],
) -> Result<Option<T>, StateError> {
    let bytes = rows.get(APPLIED, key)?;
    bytes.map(|bytes| codec::decode(&bytes).map_err(|source| StateError::Position { name, source })).transpose()
}

/// The position that a checkpoint holds, read from it.
pub(crate) fn read_position(storage: &dyn Storage, checkpoint: &Path) -> Result<Position, StateError> {
    Position::load(&*storage.open_read_only(checkpoint, Profile::State, &tables())?)
}
