//! databend's `raft-log`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use kho_log_engines::engine::{Entry, LogEngine, LogId, Meta, Sizes, Vote};
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::codeq::{Decode, Encode};
use raft_log::{Config, RaftLog, Types};

/// Bytes of entries in memory, at most: a buffer of RocksDB's. Its default is 1 GiB.
const CACHE_BYTES: usize = 32 << 20;
/// Bytes read at once when it opens. Its default is 64 MiB.
const READ_BYTES: usize = 1 << 20;

/// Types of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Log;

/// A body that is not copied on its way.
#[derive(Debug, Clone)]
struct Body(Bytes);

impl Encode for Body {
    fn encode<W: io::Write>(&self, mut to: W) -> io::Result<usize> {
        let length = u32::try_from(self.0.len()).map_err(io::Error::other)?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&self.0)?;
        Ok(4 + self.0.len())
    }
}

impl Decode for Body {
    fn decode<R: io::Read>(from: R) -> io::Result<Self> {
        Vec::<u8>::decode(from).map(|bytes| Self(bytes.into()))
    }
}

impl Types for Log {
    /// Term and index.
    type LogId = (u64, u64);
    type LogPayload = Body;
    /// Term and node.
    type Vote = (u64, u64);
    type Callback = SyncSender<io::Result<()>>;
    type UserData = ();

    fn log_index(id: &(u64, u64)) -> u64 {
        id.1
    }

    fn payload_size(body: &Body) -> u64 {
        body.0.len() as u64
    }
}

fn pair(id: LogId) -> (u64, u64) {
    (id.term, id.index)
}

/// Opens the log.
pub fn open(path: &Path, sizes: Sizes) -> Result<Box<dyn LogEngine>> {
    let mut config = Config::new(path.to_str().context("a path in UTF-8")?);
    config.wal.chunk_max_size = Some(sizes.file_bytes() as usize);
    config.wal.read_buffer_size = Some(READ_BYTES);
    // the writer before it gathers what waits: by default each write would wait for a millisecond
    config.wal.flush_batch_wait = Some(Duration::ZERO);
    config.log_cache_capacity = Some(CACHE_BYTES);
    Ok(Box::new(DatabendLog(RaftLog::open(Arc::new(config))?)))
}

struct DatabendLog(RaftLog<Log>);

impl DatabendLog {
    fn sync(&mut self) -> Result<()> {
        let (done, written) = sync_channel(1);
        self.0.flush(true, Some(done))?;
        Ok(written.recv().context("the flush worker ended")??)
    }
}

impl LogEngine for DatabendLog {
    fn append(&mut self, entries: &[Entry], committed: Option<LogId>) -> Result<()> {
        self.0.append(entries.iter().map(|entry| (pair(entry.id), Body(entry.body.clone()))))?;
        if let Some(id) = committed {
            self.0.commit(pair(id))?;
        }
        self.sync()
    }

    fn truncate_after(&mut self, last: LogId) -> Result<()> {
        self.0.truncate(last.index + 1)?;
        self.sync()
    }

    fn purge(&mut self, upto: LogId) -> Result<()> {
        self.0.purge(pair(upto))?;
        self.sync()
    }

    fn save_vote(&mut self, vote: Vote) -> Result<()> {
        self.0.save_vote((vote.term, vote.node))?;
        self.sync()
    }

    fn meta(&mut self) -> Result<Meta> {
        let state = self.0.log_state();
        let (term, node) = state.vote().copied().unwrap_or_default();
        Ok(Meta {
            purged: state.purged().map_or(0, |id| id.1),
            vote: Vote { term, node },
            committed: state.committed().map_or(0, |id| id.1),
        })
    }

    fn each(&mut self, see: &mut dyn FnMut(Entry)) -> Result<()> {
        for entry in self.0.read(0, u64::MAX) {
            let ((term, index), Body(body)) = entry?;
            see(Entry { id: LogId { term, index }, body });
        }
        Ok(())
    }
}
