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

/// What a file says, and how many of its bytes count: a line without its end was not synced, and nothing was signed under its id.
fn parse_all(path: &Path, kind: Kind, bytes: &[u8]) -> std::result::Result<(HashMap<Key, Known>, usize), OpenError> {
    let other = || OpenError::Other { path: path.to_owned(), kind };
    let mut known = HashMap::new();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == 0 {
        return if kind.title().as_bytes().starts_with(bytes) { Ok((known, 0)) } else { Err(other()) };
    }
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| other())?;
    for (number, line) in text.strip_prefix(kind.title()).ok_or_else(other)?.lines().enumerate() {
        let line_error = || OpenError::Line { path: path.to_owned(), line: number + 2 };
        let (key, of) = parse(line).ok_or_else(line_error)?;
        known.insert(key, of);
    }
    Ok((known, whole))
}

impl State {
    /// Opens the file, or makes it.
    pub fn open(path: &Path, kind: Kind) -> std::result::Result<Self, OpenError> {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
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
        let (known, whole) = parse_all(path, kind, &bytes)?;
        if whole == 0 {
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            file.write_all(kind.title().as_bytes()).map_err(failed)?;
        } else {
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

    /// The ids in a file that does not open (held, or without locks), for who writes nothing there. None where there is no such file; one
    /// that does not read is an error.
    pub fn look(path: &Path, kind: Kind) -> std::result::Result<HashMap<Key, RecordId>, OpenError> {
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(HashMap::new());
            }
            found => found.map_err(failed)?,
        };
        // a link that leads nowhere is an error: what it leads to may come back
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Ok(HashMap::new());
        }
        let (known, _) = parse_all(path, kind, &std::fs::read(path).map_err(failed)?)?;
        Ok(known.into_iter().map(|(key, known)| (key, known.id)).collect())
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

    /// Reports that are not done with, by their ids: several, where one was edited under an id of its own.
    pub fn begun(&self) -> HashMap<RecordId, Vec<Key>> {
        let mut begun: HashMap<RecordId, Vec<Key>> = HashMap::new();
        for (key, known) in self.known.iter().filter(|(_, known)| !known.done) {
            begun.entry(known.id).or_default().push(*key);
        }
        begun
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
mod tests;
