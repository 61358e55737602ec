//! Opening the log: whose it is, where it begins and ends.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use kho_proto::id::{ClusterId, NodeId};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::queue::Queue;
use super::tail::{self, Tail};
use super::tide;
use super::tide::Tide;
use super::writer::Writer;
use super::{LogStore, PersistState, Shared};
use crate::consensus::types::LogId;
use crate::consensus::{codec, wire};
use crate::seams::Tasks;
use crate::storage::fatal::FatalSwitch;
use crate::storage::{Batch, Direction, Durability, KeyRange, KvEngine, KvError};

/// Tables of the log database.
pub(crate) const TABLES: &[&str] = &[LOG, META];
/// Entries by index.
pub(super) const LOG: &str = "log";
/// Everything else.
pub(super) const META: &str = "meta";
/// Key of the identity.
const IDENTITY: &[u8] = b"identity";
/// Key of the vote.
pub(super) const VOTE: &[u8] = b"vote";
/// Key of the committed log id.
pub(super) const COMMITTED: &[u8] = b"committed";
/// Key of the last purged log id.
pub(super) const PURGED: &[u8] = b"purged";

/// Whose log it is; written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) cluster: [u8; 16],
    pub(crate) node: u64,
}

impl Identity {
    pub(crate) fn new(cluster: ClusterId, node: NodeId) -> Self {
        Self { cluster: cluster.0, node: node.0 }
    }
}

/// Why the log does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogOpenError {
    #[error(transparent)]
    Store(#[from] KvError),
    #[error("raft metadata {key:?}: {source}")]
    Metadata { key: &'static str, source: codec::CodecError },
    #[error("log entry at index {index}: {source}")]
    Entry { index: u64, source: wire::WireError },
    #[error("expected the first log entry at index {expected}, found {found}")]
    Hole { expected: u64, found: u64 },
    #[error("expected a log of cluster {}, found one of {}", ClusterId(*expected), ClusterId(*found))]
    OtherCluster { expected: [u8; 16], found: [u8; 16] },
    #[error("expected a log of node {expected}, found one of node {found}")]
    OtherNode { expected: u64, found: u64 },
    #[error("expected entries up to index {expected} at least, found them up to {found}: the end of the log is gone")]
    Cut { expected: u64, found: u64 },
    #[error("the writer thread did not start: {0}")]
    Thread(std::io::Error),
}

/// Key of an entry.
pub(super) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

impl LogStore {
    /// Opens the log in `engine`, which must reach up to the mark of `tide`; a new one gets its identity.
    pub(crate) fn open(
        engine: Arc<dyn KvEngine>,
        identity: Identity,
        persist: Arc<dyn PersistState>,
        fatal: FatalSwitch,
        tasks: &Arc<dyn Tasks>,
        tide: Option<Tide>,
    ) -> Result<Self, LogOpenError> {
        claim(&*engine, identity)?;
        let purged = metadata::<LogId>(&*engine, "purged", PURGED)?;
        let (first, last) = ends(&*engine)?;
        if let Some(first) = first
            && purged.is_some()
            && first.index() != tail::next(purged)
        {
            return Err(LogOpenError::Hole { expected: tail::next(purged), found: first.index() });
        }
        let last = last.or(purged);
        let flushed = last.map(|last| last.index());
        if let Some(expected) = tide.as_ref().and_then(Tide::mark).filter(|mark| *mark > flushed.unwrap_or(0)) {
            return Err(LogOpenError::Cut { expected, found: flushed.unwrap_or(0) });
        }
        let mut tail = Tail::default();
        tail.vote = metadata(&*engine, "vote", VOTE)?;
        tail.committed = metadata::<Option<LogId>>(&*engine, "committed", COMMITTED)?.flatten();
        tail.purged = purged;
        tail.last = last;
        tail.first = first.map_or_else(|| tail::next(last), |first| first.index());
        tail.set_flushed(flushed);
        let shared = Arc::new(Shared {
            appended_bytes: AtomicU64::new(engine.approximate_bytes(LOG)?),
            under_way: AtomicU64::new(0),
            engine,
            tide: tide.map(Mutex::new),
            tail: RwLock::new(tail),
            queue: Queue::new(),
            flushed: watch::Sender::new(flushed),
            fatal,
            tasks: Arc::clone(tasks),
        });
        if shared.tide.is_some() {
            tasks.spawn("tide", Box::pin(tide::keep(Arc::downgrade(&shared))));
        }
        let writer = Arc::new(Writer::spawn(Arc::clone(&shared)).map_err(LogOpenError::Thread)?);
        Ok(Self { shared, persist, _writer: writer })
    }
}

/// Last purged log id of a log that is not open yet.
pub(crate) fn purged(engine: &dyn KvEngine) -> Result<Option<LogId>, LogOpenError> {
    metadata::<LogId>(engine, "purged", PURGED)
}

/// Whether it is anybody's log yet.
pub(crate) fn is_claimed(engine: &dyn KvEngine) -> Result<bool, LogOpenError> {
    Ok(metadata::<Identity>(engine, "identity", IDENTITY)?.is_some())
}

fn claim(engine: &dyn KvEngine, identity: Identity) -> Result<(), LogOpenError> {
    let Some(found) = metadata::<Identity>(engine, "identity", IDENTITY)? else {
        let mut batch = Batch::default();
        batch.put(META, IDENTITY, codec::encode(&identity));
        engine.write(&batch, Durability::Sync)?;
        return Ok(());
    };
    if found.cluster != identity.cluster {
        return Err(LogOpenError::OtherCluster { expected: identity.cluster, found: found.cluster });
    }
    if found.node != identity.node {
        return Err(LogOpenError::OtherNode { expected: identity.node, found: found.node });
    }
    Ok(())
}

fn metadata<T: serde::de::DeserializeOwned>(
    engine: &dyn KvEngine,
    name: &'static str,
    key: &[u8],
) -> Result<Option<T>, LogOpenError> {
    let bytes: Option<Bytes> = engine.get(META, key)?;
    bytes.map(|bytes| codec::decode(&bytes).map_err(|source| LogOpenError::Metadata { key: name, source })).transpose()
}

/// Index of the first entry; none: there is no entry.
pub(super) fn first_index(engine: &dyn KvEngine) -> Result<Option<u64>, KvError> {
    let row = engine.iter(LOG, KeyRange::starting([]), Direction::Forward)?.next().transpose()?;
    Ok(row.map(|(key, _)| key.as_ref().try_into().map_or(u64::MAX, u64::from_be_bytes)))
}

/// Log ids of the first and the last entry.
fn ends(engine: &dyn KvEngine) -> Result<(Option<LogId>, Option<LogId>), LogOpenError> {
    let mut ends = [None, None];
    for (end, direction) in ends.iter_mut().zip([Direction::Forward, Direction::Backward]) {
        let Some(row) = engine.iter(LOG, KeyRange::starting([]), direction)?.next() else { break };
        let (key, value) = row?;
        let index = key.as_ref().try_into().map_or(u64::MAX, u64::from_be_bytes);
        let entry = wire::decode_entry(value).map_err(|source| LogOpenError::Entry { index, source })?;
        if entry.log_id.index() != index {
            return Err(LogOpenError::Hole { expected: index, found: entry.log_id.index() });
        }
        *end = Some(entry.log_id);
    }
    let [first, last] = ends;
    Ok((first, last))
}
