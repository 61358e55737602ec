//! What a log is held to: every signed checkpoint that this client has accepted, against every further one.
//!
//! Two notes of one size with two roots are a fork, proven by themselves. Of two sizes nothing is proven without the log's
//! tiles ([`Client::check_log`](crate::Client::check_log)). A smaller checkpoint alone is no breach: the receipt of a
//! duplicate keeps its first one. `docs/client.md` says what is detected and what is not.

mod breach;
mod check;
mod file;
mod note;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, btree_map::Entry};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kho_proto::checkpoint::{Origin, VerifierKey};
use kho_proto::id::{Epoch, NodeId};
use parking_lot::Mutex;

pub use breach::{Breach, Evidence, Said};
pub use check::{LogCheck, LogCheckError};
pub use file::MemoryError;
use file::Store;
pub(crate) use note::Note;

/// Checkpoints of one log that are remembered and not yet proven to be of one tree, at most; some 500 bytes each. Beyond it
/// the smallest are forgotten: what was signed last is what a fork would contradict.
pub const UNPROVEN_MAX: usize = 1024;
/// What is new is in the file after this time: a write and two syncs a second, whatever the load.
pub const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Where a client keeps what it holds a log to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogMemory {
    /// Survives a restart in this file, which one client at a time may have. None: remembered until the client goes.
    pub file: Option<PathBuf>,
    /// Evidence of a breach is written here; none: it is in the error only.
    pub evidence: Option<PathBuf>,
}

/// What is remembered of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which log.
    pub origin: Origin,
    /// Leaves of the newest checkpoint that was accepted.
    pub newest: u64,
    /// Up to here all that was remembered is proven to be one tree; none: nothing was compared yet.
    pub proven: Option<u64>,
    /// Checkpoints that wait for a proof.
    pub unproven: usize,
    /// Why nothing of this log is accepted any more.
    pub breach: Option<Breach>,
}

/// One log.
struct Log {
    key: VerifierKey,
    newest: Note,
    proven: Option<Note>,
    unproven: BTreeMap<u64, Note>,
    /// A fork ends it: which of the two trees is the log, nobody can say.
    breach: Option<Breach>,
}

/// All logs that this client has met.
pub(crate) struct Held {
    logs: Mutex<BTreeMap<Origin, Log>>,
    evidence: Option<PathBuf>,
    store: Option<Store>,
    /// A save is under way or waits for its time.
    saving: AtomicBool,
    /// Logs whose keys are pinned.
    pinned: usize,
}

/// Leaves that were signed before a call began: what a linearizable answer reflects at least.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor(Vec<(Origin, u64)>);

impl Floor {
    /// Whether so many leaves are all of them, whichever log they are of.
    pub fn is_within(&self, size: u64) -> bool {
        self.0.iter().all(|(_, signed)| *signed <= size)
    }
}

impl Held {
    /// Reads the file, if there is one; its notes are verified with the pinned keys.
    pub fn open(memory: &LogMemory, keys: &[VerifierKey]) -> Result<Arc<Self>, MemoryError> {
        let (store, logs) = match &memory.file {
            Some(path) => {
                let (store, logs) = Store::open(path, keys)?;
                (Some(store), logs)
            }
            None => (None, BTreeMap::new()),
        };
        let (logs, evidence) = (Mutex::new(logs), memory.evidence.clone());
        Ok(Arc::new(Self { logs, evidence, store, saving: AtomicBool::new(false), pinned: keys.len() }))
    }

    /// Whether anything of this log is accepted.
    pub fn stands(&self, origin: &Origin) -> Result<(), Breach> {
        match self.logs.lock().get(origin).and_then(|log| log.breach.clone()) {
            Some(breach) => Err(Breach { said: Said::Before, ..breach }),
            None => Ok(()),
        }
    }

    /// Takes a checkpoint whose signature was verified with `key`, or says what it contradicts. A fork is durable when it is
    /// told, evidence and end of the log: its syncs come once in a log's life, and whoever hears of it may end the process.
    pub fn accept(self: &Arc<Self>, key: &VerifierKey, note: Note) -> Result<(), Breach> {
        match self.take(key, note) {
            Ok(()) => {
                self.save_soon();
                Ok(())
            }
            Err(breach) if breach.said == Said::Before => Err(breach),
            Err(breach) => Err(self.kept(breach)),
        }
    }

    /// Writes down a fork that has ended its log. Blocks on the disk, and holds nobody else up.
    fn kept(&self, breach: Breach) -> Breach {
        let named = breach.document.clone();
        let breach = breach.written(self.evidence.as_deref(), &named);
        if let Some(log) = self.logs.lock().get_mut(&breach.origin)
            && let Some(known) = log.breach.as_mut().filter(|known| known.document == breach.document)
        {
            known.evidence = breach.evidence.clone();
        }
        if let Err(error) = self.save() {
            tracing::warn!(%error, "the end of a log would not survive a restart");
        }
        breach
    }

    /// Writes down that a log, or the answer of `who`, is behind: one file for each of them, of the last time. The log stands.
    pub async fn filed(self: &Arc<Self>, breach: Breach, who: &str) -> Breach {
        let (held, named) = (self.clone(), format!("{}\n{who}", breach.origin));
        let unwritten = breach.clone();
        let written = tokio::task::spawn_blocking(move || breach.written(held.evidence.as_deref(), &named)).await;
        written.unwrap_or_else(|error| Breach { evidence: Evidence::Failed(error.to_string()), ..unwritten })
    }

    fn take(&self, key: &VerifierKey, note: Note) -> Result<(), Breach> {
        let mut logs = self.logs.lock();
        let size = note.checkpoint.size;
        let log = match logs.entry(note.checkpoint.origin.clone()) {
            Entry::Occupied(log) => log.into_mut(),
            Entry::Vacant(vacant) => {
                let unproven = BTreeMap::from([(size, note.clone())]);
                vacant.insert(Log { key: key.clone(), newest: note, proven: None, unproven, breach: None });
                return Ok(());
            }
        };
        if let Some(breach) = &log.breach {
            return Err(Breach { said: Said::Before, ..breach.clone() });
        }
        let proven = log.proven.as_ref().filter(|proven| proven.checkpoint.size == size);
        if let Some(known) = proven.or_else(|| log.unproven.get(&size)) {
            if known.checkpoint.root == note.checkpoint.root {
                return Ok(());
            }
            let breach = Breach::fork(key, known, &note, note.checkpoint.root, &[]);
            log.breach = Some(breach.clone());
            return Err(breach);
        }
        if size > log.newest.checkpoint.size {
            log.newest = note.clone();
        }
        log.unproven.insert(size, note);
        if log.unproven.len() > UNPROVEN_MAX {
            log.unproven.pop_first();
        }
        Ok(())
    }

    /// To be asked before a call begins.
    pub fn floor(&self) -> Floor {
        let logs = self.logs.lock();
        Floor(logs.iter().map(|(origin, log)| (origin.clone(), log.newest.checkpoint.size)).collect())
    }

    /// Holds a linearizable answer of `size` leaves against what was signed before the call began. No signature vouches for
    /// an answer's size: a breach of its node, and the log stands.
    pub fn at_least(&self, floor: &Floor, answer: &Answer<'_>) -> Result<(), Breach> {
        // an answer that does not say its epoch is of the log that is pinned, where that is one
        let of_log = |origin: &Origin| answer.epoch.map_or(self.pinned == 1, |epoch| origin.epoch() == epoch);
        let mut of_epoch = floor.0.iter().filter(|(origin, _)| of_log(origin));
        // the logs of two clusters: the answer does not say which of them it is of
        let (Some((origin, size)), None) = (of_epoch.next(), of_epoch.next()) else { return Ok(()) };
        if answer.size >= *size {
            return Ok(());
        }
        let logs = self.logs.lock();
        let Some(log) = logs.get(origin) else { return Ok(()) };
        Err(Breach::shrunk_answer(&log.key, &log.newest, *size, answer))
    }

    /// What is remembered, log by log.
    pub fn remembered(&self) -> Vec<Remembered> {
        let of = |(origin, log): (&Origin, &Log)| Remembered {
            origin: origin.clone(),
            newest: log.newest.checkpoint.size,
            proven: log.proven.as_ref().map(|proven| proven.checkpoint.size),
            unproven: log.unproven.len(),
            breach: log.breach.clone(),
        };
        self.logs.lock().iter().map(of).collect()
    }

    /// Writes the file if anything is new; returns when it is durable.
    pub fn save(&self) -> Result<(), MemoryError> {
        let Some(store) = &self.store else { return Ok(()) };
        store.save(|| file::document(&self.logs.lock()))
    }

    /// Once within [`SAVE_INTERVAL`], off the calls' way.
    fn save_soon(self: &Arc<Self>) {
        if self.store.is_none() || self.saving.swap(true, Ordering::AcqRel) {
            return;
        }
        let saving = Saving(Arc::downgrade(self));
        tokio::spawn(async move {
            tokio::time::sleep(SAVE_INTERVAL).await;
            // gone: it has saved itself
            let Some(held) = saving.0.upgrade() else { return };
            // what is new from here on needs a save of its own
            drop(saving);
            let saved = tokio::task::spawn_blocking(move || held.save()).await;
            if let Ok(Err(error)) = saved {
                tracing::warn!(%error, "what the log is held to would not survive a restart");
            }
        });
    }
}

/// A save that waits for its time. Whatever ends the wait, and be it the runtime, what is new later is saved again.
struct Saving(Weak<Held>);

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(held) = self.0.upgrade() {
            held.saving.store(false, Ordering::Release);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::warn!(%error, "what the log is held to does not survive a restart");
        }
    }
}

/// Who said that the log has so many leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub address: &'a str,
    pub node: NodeId,
    /// None: it did not say.
    pub epoch: Option<Epoch>,
    pub size: u64,
}
