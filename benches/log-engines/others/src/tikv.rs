//! TiKV's `raft-engine`, with one raft group.
//!
//! It has no truncation: an append takes the place of what stands there. So what is cut off is told by a row, which goes
//! with the write of the next append.

use std::path::Path;

use anyhow::{Context, Result};
use kho_log_engines::engine::{Entry, LogEngine, LogId, Meta, Sizes, Vote};
use protobuf::well_known_types::BytesValue;
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize, RecoveryMode};

/// The one group.
const GROUP: u64 = 1;
/// Files that stay and are written over, in bytes of log: the least that it allows is one file.
const FILES_KEPT: u64 = 2;
const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";
/// Last entry that a truncation left.
const CUT: &[u8] = b"cut";
/// Bytes before a body: index and term.
const HEAD: usize = 16;
/// Entries read at once.
const READ_TOGETHER: u64 = 64;

/// An entry for raft-engine: a message that tells its index. One copy of the body, as a row of RocksDB is.
#[derive(Clone)]
struct Row;

impl MessageExt for Row {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

fn row(entry: &Entry) -> BytesValue {
    let mut value = Vec::with_capacity(HEAD + entry.body.len());
    value.extend_from_slice(&entry.id.index.to_be_bytes());
    value.extend_from_slice(&entry.id.term.to_be_bytes());
    value.extend_from_slice(&entry.body);
    BytesValue { value, ..BytesValue::default() }
}

fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

fn unpair(bytes: &[u8]) -> Result<(u64, u64)> {
    let (first, rest) = bytes.split_first_chunk().context("two numbers")?;
    Ok((u64::from_be_bytes(*first), u64::from_be_bytes(*rest.first_chunk().context("two numbers")?)))
}

/// Whether files that are written over are there from the beginning. If not, they come of purges, and as long as the log
/// only grows each file is a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Made of zeros when it opens.
    Ready,
    /// Made when they are needed.
    New,
}

/// Opens the log.
pub fn open(path: &Path, sizes: Sizes, recovery_mode: RecoveryMode, files: Files) -> Result<Box<dyn LogEngine>> {
    let file = sizes.file_bytes();
    let config = Config {
        dir: path.to_str().context("a path in UTF-8")?.to_owned(),
        recovery_mode,
        // bodies are ciphertext
        batch_compression_threshold: ReadableSize(0),
        target_file_size: ReadableSize(file),
        purge_threshold: ReadableSize(FILES_KEPT * file),
        enable_log_recycle: true,
        prefill_for_recycle: files == Files::Ready,
        ..Config::default()
    };
    let engine = Engine::open(config)?;
    let cut = engine.get(GROUP, CUT).map(|row| unpair(&row)).transpose()?;
    Ok(Box::new(RaftEngine { engine, batch: LogBatch::default(), cut: cut.map(|(_, index)| index) }))
}

struct RaftEngine {
    engine: Engine,
    /// Used again: it keeps its buffer.
    batch: LogBatch,
    /// What stands behind it is cut off.
    cut: Option<u64>,
}

impl RaftEngine {
    fn write(&mut self) -> Result<()> {
        self.engine.write(&mut self.batch, true)?;
        Ok(())
    }

    fn pair(&self, key: &[u8]) -> Result<(u64, u64)> {
        self.engine.get(GROUP, key).map_or(Ok((0, 0)), |row| unpair(&row))
    }
}

impl LogEngine for RaftEngine {
    fn append(&mut self, entries: &[Entry], committed: Option<LogId>) -> Result<()> {
        let rows: Vec<_> = entries.iter().map(row).collect();
        self.batch.add_entries::<Row>(GROUP, &rows)?;
        if let Some(id) = committed {
            self.batch.put(GROUP, COMMITTED.to_vec(), pair(id.term, id.index))?;
        }
        if self.cut.take().is_some() {
            self.batch.delete(GROUP, CUT.to_vec());
        }
        self.write()
    }

    fn truncate_after(&mut self, last: LogId) -> Result<()> {
        self.batch.put(GROUP, CUT.to_vec(), pair(last.term, last.index))?;
        self.cut = Some(last.index);
        self.write()
    }

    fn purge(&mut self, upto: LogId) -> Result<()> {
        self.batch.add_command(GROUP, Command::Compact { index: upto.index + 1 });
        self.batch.put(GROUP, PURGED.to_vec(), pair(upto.term, upto.index))?;
        self.write()?;
        self.engine.purge_expired_files()?;
        Ok(())
    }

    fn save_vote(&mut self, vote: Vote) -> Result<()> {
        self.batch.put(GROUP, VOTE.to_vec(), pair(vote.term, vote.node))?;
        self.write()
    }

    fn meta(&mut self) -> Result<Meta> {
        let (term, node) = self.pair(VOTE)?;
        Ok(Meta { purged: self.pair(PURGED)?.1, vote: Vote { term, node }, committed: self.pair(COMMITTED)?.1 })
    }

    fn each(&mut self, see: &mut dyn FnMut(Entry)) -> Result<()> {
        let (Some(first), Some(last)) = (self.engine.first_index(GROUP), self.engine.last_index(GROUP)) else {
            return Ok(());
        };
        let end = self.cut.map_or(last, |cut| last.min(cut)) + 1;
        let mut from = first;
        while from < end {
            let to = (from + READ_TOGETHER).min(end);
            let mut rows = Vec::new();
            self.engine.fetch_entries_to::<Row>(GROUP, from, to, None, &mut rows)?;
            for row in rows {
                let (index, term) = unpair(&row.value)?;
                see(Entry { id: LogId { term, index }, body: row.value[HEAD..].to_vec().into() });
            }
            from = to;
        }
        Ok(())
    }
}
