//! What a run with many reports writes down, so that another one goes on: which record id each report was given.
//!
//! A line is written, and synced, before the record is signed; the record (`ID.record`) before it is sent; the receipt
//! (`ID.tlog-proof`) when it is there. The record of a report that was refused is deleted: no node has it. Whatever ends
//! a run between any two of these, the next one finds the report's id: it signs under that id what was never signed,
//! sends again what has no receipt, and leaves alone what has one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use kho_proto::digest::Digest;
use kho_proto::id::RecordId;

use crate::exit::Result;

/// The first line: what the file is.
const TITLE: &str = "kho submit state 1\n";

/// Between looks at a state that another run holds.
const POLL: Duration = Duration::from_millis(20);

/// A report among others: digest of its document and payload, and how many alike came before it.
pub type Key = (Digest, u32);

/// The file, held by this process alone.
pub struct State {
    path: PathBuf,
    file: File,
    ids: HashMap<Key, RecordId>,
    /// Lines that are not on the disk yet.
    pending: String,
}

fn parse(line: &str) -> Option<(Key, RecordId)> {
    let (key, id) = line.split_once(' ')?;
    let (digest, ordinal) = key.split_once('/')?;
    let digest = hex::decode(digest).ok()?.try_into().ok()?;
    Some(((Digest(digest), ordinal.parse().ok()?), id.parse().ok()?))
}

impl State {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = Self::open_within(path, Duration::ZERO)?;
        Ok(opened.ok_or_else(|| anyhow!("{}: another kho submit works with it", path.display()))?)
    }

    /// The same; none: somebody else has held it for so long.
    pub fn open_within(path: &Path, limit: Duration) -> Result<Option<Self>> {
        let shown = || path.display().to_string();
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).with_context(shown)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .with_context(shown)?;
        // two runs would give one report two ids
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(anyhow::Error::from(error).context(shown()).into()),
                Err(TryLockError::WouldBlock) if start.elapsed() >= limit => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(shown)?;
        let mut ids = HashMap::new();
        // a line without its end was not synced: nothing was signed under its id
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole == 0 {
            if !TITLE.starts_with(&text) {
                return Err(anyhow!("{}: expected a state of kho submit, found another file", shown()).into());
            }
            file.set_len(0).with_context(shown)?;
            file.rewind().with_context(shown)?;
            file.write_all(TITLE.as_bytes()).with_context(shown)?;
        } else {
            let lines = text[..whole].strip_prefix(TITLE);
            let lines =
                lines.ok_or_else(|| anyhow!("{}: expected a state of kho submit, found another file", shown()))?;
            for (number, line) in lines.lines().enumerate() {
                let (key, id) =
                    parse(line).ok_or_else(|| anyhow!("{}:{}: expected DIGEST/N ID", shown(), number + 2))?;
                ids.insert(key, id);
            }
            file.set_len(whole as u64).with_context(shown)?;
            file.seek(SeekFrom::End(0)).with_context(shown)?;
        }
        file.sync_all().with_context(shown)?;
        File::open(dir).and_then(|dir| dir.sync_all()).with_context(shown)?;
        Ok(Some(Self { path: path.to_owned(), file, ids, pending: String::new() }))
    }

    /// The id of a report: that of an earlier run, or `fresh`.
    pub fn id(&mut self, (digest, ordinal): Key, fresh: RecordId) -> RecordId {
        *self.ids.entry((digest, ordinal)).or_insert_with(|| {
            self.pending.push_str(&format!("{}/{ordinal} {fresh}\n", hex::encode(digest.0)));
            fresh
        })
    }

    /// When this returns, the ids given so far outlive a power cut. Nothing is signed before.
    pub fn sync(&mut self) -> Result {
        if !self.pending.is_empty() {
            let written = self.file.write_all(self.pending.as_bytes()).and_then(|()| self.file.sync_data());
            written.with_context(|| self.path.display().to_string())?;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RecordId = RecordId([1; 16]);

    fn key(text: &str) -> Key {
        (Digest::of(text.as_bytes()), 0)
    }

    fn open(path: &Path) -> State {
        State::open(path).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    #[test]
    fn a_report_keeps_its_id_over_runs_and_torn_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/state");
        let mut state = open(&path);
        assert_eq!(state.id(key("a"), ID), ID);
        assert!(State::open(&path).is_err(), "one run at a time");
        state.sync().unwrap_or_else(|failure| panic!("{failure:?}"));
        state.id(key("not synced"), RecordId([2; 16]));
        drop(state);
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend(b"0123/0 0192f0c1");
        std::fs::write(&path, torn).unwrap();
        for fresh in [3, 4] {
            let mut state = open(&path);
            let fresh = RecordId([fresh; 16]);
            assert_eq!(state.id(key("a"), fresh), ID);
            assert_eq!(state.id((key("a").0, 1), fresh), fresh, "the same once more is another report");
            assert_eq!(state.id(key("not synced"), fresh), fresh);
        }
    }

    #[test]
    fn whoever_waits_gets_it_when_it_is_free_and_no_later_than_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let held = open(&path);
        let within = |limit| State::open_within(&path, limit).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(within(Duration::from_millis(30)).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                drop(held);
            });
            assert!(within(Duration::from_secs(30)).is_some());
        });
    }

    #[test]
    fn another_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        for other in ["something", "some\nthing\n", "kho submit state 1\nnonsense\n"] {
            std::fs::write(&path, other).unwrap();
            assert!(State::open(&path).is_err(), "{other}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }
}
