//! The end of the log in memory, and its bounds.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use crate::consensus::types::{Entry, LogId, Vote};
use crate::consensus::wire;

/// Bytes of flushed entries kept for readers: a few batches, so that followers and apply read no disk.
const CACHE_BYTES_MAX: usize = 16 << 20;

/// Bounds of the log and its newest entries. Every unflushed entry is here.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) last: Option<LogId>,
    /// Index of the first entry, in memory or not.
    pub(super) first: u64,
    pub(super) flushed: Option<u64>,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Tail {
    /// Adds entries behind the last one.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            let expected = self.next_index();
            if self.last.is_some() && entry.log_id.index() != expected {
                let found = entry.log_id.index();
                return Err(hole(expected, found));
            }
            if self.last.is_none() {
                self.first = entry.log_id.index();
            }
            self.last = Some(entry.log_id);
            self.bytes += wire::entry_bytes(entry);
            self.entries.push_back(entry.clone());
        }
        Ok(())
    }

    /// Removes what is behind `after`; returns the indexes removed, if any.
    pub(super) fn truncate(&mut self, after: Option<LogId>) -> io::Result<Option<Range<u64>>> {
        let from = next(after).max(next(self.purged));
        let to = self.next_index();
        if from >= to {
            return Ok(None);
        }
        while self.entries.back().is_some_and(|entry| entry.log_id.index() >= from) {
            self.drop_back();
        }
        self.last = after.max(self.purged);
        Ok(Some(from..to))
    }

    /// Removes what is at or before `upto`; says whether anything was to do.
    pub(super) fn purge(&mut self, upto: LogId) -> bool {
        if self.purged >= Some(upto) {
            return false;
        }
        while self.entries.front().is_some_and(|entry| entry.log_id.index() <= upto.index()) {
            self.drop_front();
        }
        self.purged = Some(upto);
        self.first = upto.index() + 1;
        self.last = self.last.max(Some(upto));
        true
    }

    /// The log is on disk up to `index`.
    pub(super) fn set_flushed(&mut self, index: Option<u64>) {
        self.flushed = index;
        while self.bytes > CACHE_BYTES_MAX && self.entries.front().map(|entry| entry.log_id.index()) <= self.flushed {
            if self.entries.is_empty() {
                break;
            }
            self.drop_front();
        }
    }

    /// Index of the first entry in memory; behind the last one if there is none.
    pub(super) fn first_cached(&self) -> u64 {
        self.entries.front().map_or_else(|| self.next_index(), |entry| entry.log_id.index())
    }

    /// Entries of `range` that are in memory, up to `bytes_max` but at least one.
    pub(super) fn cached(&self, range: Range<u64>, bytes_max: usize) -> Vec<Entry> {
        let first = self.first_cached();
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut out = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.iter().skip(skip) {
            bytes += wire::entry_bytes(entry);
            if entry.log_id.index() >= range.end || (bytes > bytes_max && !out.is_empty()) {
                break;
            }
            out.push(entry.clone());
        }
        out
    }

    /// Index of the entry after the last.
    pub(super) fn next_index(&self) -> u64 {
        next(self.last)
    }

    fn drop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= wire::entry_bytes(&entry);
        }
    }

    fn drop_back(&mut self) {
        if let Some(entry) = self.entries.pop_back() {
            self.bytes -= wire::entry_bytes(&entry);
        }
    }
}

/// The index after `id`.
pub(super) fn next(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index() + 1)
}

pub(super) fn hole(expected: u64, found: u64) -> io::Error {
    let text = format!("expected the log entry at index {expected}, found {found}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
