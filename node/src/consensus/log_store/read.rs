//! Reading entries: from the tail cache, and from disk what is older.

use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::Stream;
use futures::stream::{self, TryStreamExt};

use super::open::{LOG, key};
use super::{LogStore, READ_BYTES_MAX, tail};
use crate::consensus::types::Entry;
use crate::consensus::wire;
use crate::storage::{Direction, KeyRange, KvEngine};

/// `start..end` of any range.
pub(super) fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl LogStore {
    /// Entries of `start..end` that the log has, up to `bytes_max` but at least one. Purged ones are left out.
    pub(super) async fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (start, end, on_disk, cached) = {
            let tail = self.shared.tail.read();
            let start = start.max(tail.first);
            let end = end.min(tail.next_index());
            if start >= end {
                return Ok(Vec::new());
            }
            let on_disk = tail.first_cached().min(end);
            // With entries on disk to read first, the cache is only needed when there is no cap on bytes.
            let wanted = if start < on_disk && bytes_max != usize::MAX { end..end } else { start.max(on_disk)..end };
            (start, end, on_disk, tail.cached(wanted, bytes_max))
        };
        let entries = if start < on_disk {
            let engine = Arc::clone(&self.shared.engine);
            let read = self.shared.tasks.blocking(move || read_disk(&*engine, start, on_disk, bytes_max));
            let mut entries = read.await??;
            entries.extend(cached);
            entries
        } else {
            cached
        };
        contiguous(&entries, start)?;
        if bytes_max == usize::MAX && entries.len() as u64 != end - start {
            return Err(tail::hole(end - 1, start + entries.len() as u64));
        }
        Ok(entries)
    }

    /// Entries of `start..end` that the log has, read piece by piece; one that is missing between is an error.
    pub(super) fn stream(self, start: u64, end: u64) -> impl Stream<Item = io::Result<Entry>> + Send + 'static {
        let (start, end) = {
            let tail = self.shared.tail.read();
            (start.max(tail.first), end.min(tail.next_index()))
        };
        let pieces = stream::try_unfold((self, start), move |(store, at)| async move {
            if at >= end {
                return Ok(None);
            }
            let entries = store.read(at, end, READ_BYTES_MAX).await?;
            match (entries.first(), entries.last()) {
                (Some(first), Some(last)) if first.log_id.index() == at => {
                    let next = last.log_id.index() + 1;
                    Ok(Some((stream::iter(entries.into_iter().map(Ok)), (store, next))))
                }
                (first, _) => Err(tail::hole(at, first.map_or(end, |entry| entry.log_id.index()))),
            }
        });
        pieces.try_flatten()
    }
}

fn read_disk(engine: &dyn KvEngine, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for row in engine.iter(LOG, KeyRange::new(key(start), key(end)), Direction::Forward)? {
        let (_, value) = row?;
        bytes += value.len();
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        let entry = wire::decode_entry(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn contiguous(entries: &[Entry], start: u64) -> io::Result<()> {
    for (expected, entry) in (start..).zip(entries) {
        if entry.log_id.index() != expected {
            return Err(tail::hole(expected, entry.log_id.index()));
        }
    }
    Ok(())
}
