//! What is written down so that the next run goes on: which record id each report was given, and whether it is done with.
//!
//! A line is written, and synced, before the record is signed; the record (`ID.record`) before it is sent; the receipt
//! (`ID.tlog-proof`) when it is there. The record of a report that was refused is deleted: no node has it. Whatever ends
//! a run between any two of these, the next one finds the report's id: it signs under that id what was never signed,
//! sends again what has no receipt, and leaves alone what has one. `kho outbox add`, whose records lie in the outbox,
//! says of a report that it is done with (`outbox/taken.rs`).

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use kho_proto::digest::Digest;
use kho_proto::id::RecordId;

use crate::exit::Result;

/// The end of a line whose report is done with.
const DONE: &str = " done";

/// Between looks at a state that another run holds.
const POLL: Duration = Duration::from_millis(20);

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of `kho submit`.
    Submit,
    /// Of `kho outbox add`, and private like the rest of the outbox.
    Outbox,
}

impl Kind {
    /// The first line: what the file is.
    fn title(self) -> &'static str {
        match self {
            Kind::Submit => "kho submit state 1\n",
            Kind::Outbox => "kho outbox state 1\n",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Kind::Submit => "kho submit",
            Kind::Outbox => "kho outbox",
        }
    }

    /// Of a directory that is made for it.
    fn directory_mode(self) -> u32 {
        match self {
            Kind::Submit => 0o777,
            Kind::Outbox => 0o700,
        }
    }
}

/// Why a state can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two runs would give one report two ids.
    #[error("{}: another {} works with it", path.display(), kind.command())]
    Held { path: PathBuf, kind: Kind },
    /// The system does not give it.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// It is not one.
    #[error("{}: expected a state of {}, found another file", path.display(), kind.command())]
    Other { path: PathBuf, kind: Kind },
    /// Another hand was in it.
    #[error("{}:{line}: expected DIGEST/N ID", path.display())]
    Line { path: PathBuf, line: usize },
}

/// A report among others: digest of its document and payload, and how many alike came before it.
pub type Key = (Digest, u32);

/// What is written of a report; of several lines the last counts.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: RecordId,
    done: bool,
}

/// The file, held by this process alone.
pub struct State {
    path: PathBuf,
    file: File,
    known: HashMap<Key, Known>,
    /// Lines that are not on the disk yet.
    pending: String,
}

fn parse(line: &str) -> Option<(Key, Known)> {
    let (line, done) = line.strip_suffix(DONE).map_or((line, false), |line| (line, true));
    let (key, id) = line.split_once(' ')?;
    let (digest, ordinal) = key.split_once('/')?;
    let digest = hex::decode(digest).ok()?.try_into().ok()?;
    Some(((Digest(digest), ordinal.parse().ok()?), Known { id: id.parse().ok()?, done }))
}

fn line((digest, ordinal): Key, Known { id, done }: Known) -> String {
    format!("{}/{ordinal} {id}{}\n", hex::encode(digest.0), if done { DONE } else { "" })
}

impl State {
    /// Opens the file, or makes it.
    pub fn open(path: &Path, kind: Kind) -> std::result::Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        let other = || OpenError::Other { path: path.to_owned(), kind };
        let dir = kho::files::directory(path);
        kho::files::make_directory(dir, kind.directory_mode()).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        // two runs would give one report two ids
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Held { path: path.to_owned(), kind },
            TryLockError::Error(error) => failed(error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let mut known = HashMap::new();
        // a line without its end was not synced: nothing was signed under its id
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 {
            if !kind.title().as_bytes().starts_with(&bytes) {
                return Err(other());
            }
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            file.write_all(kind.title().as_bytes()).map_err(failed)?;
        } else {
            let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| other())?;
            for (number, line) in text.strip_prefix(kind.title()).ok_or_else(other)?.lines().enumerate() {
                let line_error = || OpenError::Line { path: path.to_owned(), line: number + 2 };
                let (key, of) = parse(line).ok_or_else(line_error)?;
                known.insert(key, of);
            }
            file.set_len(whole as u64).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, known, pending: String::new() })
    }

    /// The same; waits that long at most for whoever holds it.
    pub async fn open_within(path: &Path, kind: Kind, limit: Duration) -> std::result::Result<Self, OpenError> {
        let start = Instant::now();
        loop {
            match Self::open(path, kind) {
                Err(OpenError::Held { .. }) if start.elapsed() < limit => tokio::time::sleep(POLL).await,
                opened => return opened,
            }
        }
    }

    /// The id of a report: that of an earlier run, or `fresh`.
    pub fn id(&mut self, key: Key, fresh: RecordId) -> RecordId {
        match self.known.get(&key) {
            Some(known) => known.id,
            None => {
                self.write(key, Known { id: fresh, done: false });
                fresh
            }
        }
    }

    fn write(&mut self, key: Key, known: Known) {
        self.pending.push_str(&line(key, known));
        self.known.insert(key, known);
    }

    /// Whether this report is done with.
    pub fn is_done(&self, key: Key) -> bool {
        self.known.get(&key).is_some_and(|known| known.done)
    }

    /// From now on it is.
    pub fn done(&mut self, key: Key) {
        if let Some(known) = self.known.get(&key).copied().filter(|known| !known.done) {
            self.write(key, Known { done: true, ..known });
        }
    }

    /// From now on the reports of these ids are not.
    pub fn reopen(&mut self, ids: &[RecordId]) {
        let ids: HashSet<_> = ids.iter().collect();
        let done = self.known.iter().filter(|(_, known)| known.done && ids.contains(&known.id));
        for (key, known) in done.map(|(key, known)| (*key, *known)).collect::<Vec<_>>() {
            self.write(key, Known { done: false, ..known });
        }
    }

    /// When this returns, what was written so far outlives a power cut. Nothing is signed before.
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
        State::open(path, Kind::Submit).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    #[test]
    fn a_report_keeps_its_id_over_runs_and_torn_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/state");
        let mut state = open(&path);
        assert_eq!(state.id(key("a"), ID), ID);
        assert!(matches!(State::open(&path, Kind::Submit), Err(OpenError::Held { .. })), "one run at a time");
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

    #[tokio::test]
    async fn whoever_waits_gets_it_when_it_is_free_and_no_later_than_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let held = open(&path);
        let within = |limit| State::open_within(&path, Kind::Submit, limit);
        assert!(matches!(within(Duration::from_millis(30)).await, Err(OpenError::Held { .. })));
        let freed = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        };
        // on one thread: whoever waits leaves it to others
        let (opened, ()) = tokio::join!(within(Duration::from_secs(30)), freed);
        assert!(opened.is_ok());
    }

    #[test]
    fn what_is_done_with_stays_so_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let open = || State::open(&path, Kind::Outbox).unwrap_or_else(|error| panic!("{error}"));
        let of =
            |state: &mut State| [key("a"), key("b")].map(|key| (state.id(key, RecordId([9; 16])), state.is_done(key)));
        let mut state = open();
        for (text, id) in [("a", 1), ("b", 2)] {
            state.id(key(text), RecordId([id; 16]));
            state.done(key(text));
        }
        state.reopen(&[RecordId([2; 16]), RecordId([3; 16])]);
        for _ in 0..2 {
            assert_eq!(of(&mut state), [(RecordId([1; 16]), true), (RecordId([2; 16]), false)]);
            state.sync().unwrap_or_else(|failure| panic!("{failure:?}"));
            drop(state);
            state = open();
        }
        drop(state);
        assert!(matches!(State::open(&path, Kind::Submit), Err(OpenError::Other { .. })), "one is not the other's");
    }

    #[test]
    fn another_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        for other in [&b"something"[..], b"some\nthing\n", b"\xff\n", b"kho submit state 1\nnonsense\n"] {
            std::fs::write(&path, other).unwrap();
            let error = State::open(&path, Kind::Submit).err().unwrap();
            assert!(matches!(error, OpenError::Other { .. } | OpenError::Line { line: 2, .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), other);
        }
    }
}
