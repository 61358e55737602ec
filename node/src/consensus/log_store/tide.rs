//! How far the log was on disk: a file of its own beside the database, a second behind it at most.
//!
//! A write-ahead log whose end is cut off cannot be told from one that met a power loss before its end was synced: the
//! database opens, and what this node confirmed is gone without a word. So where the log has been is also written down
//! elsewhere, after it was synced and before it is cut back; a log that ends below is damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::Shared;
use crate::consensus::codec;
use crate::snapshot::files::{self, FileError};

/// Between two writes of the mark, at least.
const TIDE_INTERVAL: Duration = Duration::from_secs(1);

/// The mark.
pub(crate) struct Tide {
    path: PathBuf,
    mark: Option<u64>,
    written: Instant,
}

impl Tide {
    /// The mark in this file; none if there is no such file, or one that is damaged itself.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mark = match fs::read(path) {
            Ok(bytes) => codec::decode::<u64>(&bytes)
                .inspect_err(
                    |error| tracing::warn!(path = %path.display(), %error, "the log's high mark is unreadable"),
                )
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), mark, written: Instant::now() })
    }

    /// Index up to which the log certainly was on disk.
    pub(crate) fn mark(&self) -> Option<u64> {
        self.mark
    }

    /// The log is on disk up to `flushed`: written down, unless that was done just now.
    pub(super) fn rise(&mut self, flushed: Option<u64>) -> Result<(), FileError> {
        if flushed <= self.mark || self.written.elapsed() < TIDE_INTERVAL {
            return Ok(());
        }
        self.write(flushed)
    }

    /// The log is about to be cut back to `last`.
    pub(super) fn fall(&mut self, last: Option<u64>) -> Result<(), FileError> {
        if self.mark > last { self.write(last) } else { Ok(()) }
    }

    fn write(&mut self, index: Option<u64>) -> Result<(), FileError> {
        files::replace(&self.path, &codec::encode(&index.unwrap_or(0)))?;
        (self.mark, self.written) = (index, Instant::now());
        Ok(())
    }
}

/// Wakes the writer where the mark lies behind and nothing else would: the last entries before a silence count, too.
pub(super) async fn keep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(TIDE_INTERVAL).await;
        let Some(shared) = Weak::upgrade(&shared) else { return };
        // held: the writer is awake
        let behind = shared.tide.as_ref().and_then(|tide| tide.try_lock().map(|tide| tide.mark));
        if behind.is_some_and(|mark| mark < *shared.flushed.borrow()) {
            shared.queue.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_falls_at_once_rises_in_time_and_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("TIDE");
        let mut tide = Tide::open(&path).unwrap();
        assert_eq!(tide.mark(), None);
        tide.rise(Some(7)).unwrap();
        assert_eq!(tide.mark(), None, "opened just now");
        tide.written -= TIDE_INTERVAL;
        tide.rise(Some(7)).unwrap();
        assert_eq!(Tide::open(&path).unwrap().mark(), Some(7));
        tide.fall(Some(9)).unwrap();
        assert_eq!(Tide::open(&path).unwrap().mark(), Some(7));
        tide.fall(Some(3)).unwrap();
        assert_eq!(Tide::open(&path).unwrap().mark(), Some(3));
        fs::write(&path, b"something else").unwrap();
        assert_eq!(Tide::open(&path).unwrap().mark(), None);
    }
}
