//! Proving that all checkpoints which a client has accepted are of one tree, by the tiles that the log publishes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::checkpoint::{self, Checkpoint, VerifierKey};
use kho_proto::error::Code;
use kho_proto::tlog::{CompareError, Comparison, compare, tiles_to_compare};
use tokio::time::Instant;

use super::{Breach, Evidence, Held, Note};
use crate::client::Client;
use crate::log::{self, PublicLog};

/// Between two looks at a log that is behind.
const BEHIND_PAUSE: Duration = Duration::from_millis(250);

/// What a check has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheck {
    /// The log's newest checkpoint: everything that was compared is a prefix of its tree.
    pub checkpoint: Checkpoint,
    /// Remembered checkpoints that were compared with it.
    pub compared: usize,
}

/// Why nothing was proven.
#[derive(Debug, thiserror::Error)]
pub enum LogCheckError {
    /// The log broke its promise. After a fork nothing of it is accepted any more.
    #[error(transparent)]
    Breach(#[from] Box<Breach>),
    /// The public log does not answer, or not as a log does. It is not accused.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Its checkpoint is not signed by a key that is pinned.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// Its tiles are missing or not those of its checkpoint. That is the server's fault; the log is not accused.
    #[error(transparent)]
    Tiles(#[from] CompareError),
}

impl LogCheckError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            LogCheckError::Breach(breach) => breach.code,
            LogCheckError::Log(error) => error.code(),
            LogCheckError::Checkpoint(error) => error.code(),
            LogCheckError::Tiles(error) => error.code(),
        }
    }
}

impl Client {
    /// Proves that every checkpoint which this client remembers is a prefix of the public log's newest: what no comparison of
    /// single receipts can. Call it now and then; each call costs some tiles for each checkpoint since the last one.
    ///
    /// A log that stays behind what was signed is `log-shrank` after the patience of `log`, one of another tree
    /// `log-forked`. Cancel safe: what was not proven is compared by the next call.
    pub async fn check_log(&self, log: &PublicLog) -> Result<LogCheck, LogCheckError> {
        let held = self.receipts().held();
        let (newest, key) = self.newest(held, log).await?;
        held.accept(&key, newest.clone()).map_err(Box::new)?;
        let (size, target) = (newest.checkpoint.size, &newest.checkpoint);
        let old = held.to_prove(&newest);
        let wanted: BTreeSet<_> = old.iter().flat_map(|old| tiles_to_compare(old.checkpoint.size, size)).collect();
        let tiles = log.tiles(size, wanted).await?;
        for old in &old {
            if let Comparison::Forked { proof, root } = compare(&tiles, &old.checkpoint, target)? {
                let breach = Breach::fork(&key, old, &newest, root, &proof);
                return Err(Box::new(held.broken(breach).await).into());
            }
        }
        held.proven(&newest, &old);
        Ok(LogCheck { checkpoint: newest.checkpoint, compared: old.len() })
    }

    /// The newest checkpoint, once it is not behind what is remembered.
    async fn newest(&self, held: &Arc<Held>, log: &PublicLog) -> Result<(Note, VerifierKey), LogCheckError> {
        let end = Instant::now() + log.patience();
        loop {
            let bytes = log.checkpoint().await?;
            let (newest, key) = Note::open(self.receipts().keys(), &bytes)?;
            let Some(old) = held.beyond(&newest) else { return Ok((newest, key.clone())) };
            if Instant::now() + BEHIND_PAUSE >= end {
                // its operator has to answer for it, and it may still catch up
                let breach = Breach::shrank(key, &old, &newest);
                return Err(Box::new(held.filed(breach, "the public log").await).into());
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }
}

impl Held {
    /// What is remembered of a larger tree of the same log.
    fn beyond(&self, newest: &Note) -> Option<Note> {
        let logs = self.logs.lock();
        let known = &logs.get(&newest.checkpoint.origin)?.newest;
        (known.checkpoint.size > newest.checkpoint.size).then(|| known.clone())
    }

    /// What has to be a prefix of `newest`.
    fn to_prove(&self, newest: &Note) -> Vec<Note> {
        let logs = self.logs.lock();
        let Some(log) = logs.get(&newest.checkpoint.origin) else { return Vec::new() };
        let size = newest.checkpoint.size;
        log.proven.iter().chain(log.unproven.values()).filter(|old| old.checkpoint.size <= size).cloned().collect()
    }

    fn proven(self: &Arc<Self>, newest: &Note, old: &[Note]) {
        if let Some(log) = self.logs.lock().get_mut(&newest.checkpoint.origin) {
            old.iter().for_each(|old| drop(log.unproven.remove(&old.checkpoint.size)));
            let larger = |proven: &Note| proven.checkpoint.size > newest.checkpoint.size;
            // two checks at once: the larger one has proven the other's
            if !log.proven.as_ref().is_some_and(larger) {
                log.proven = Some(newest.clone());
            }
        }
        self.save_soon();
    }

    /// A fork: nothing of the log is accepted from now on, and it is durable when this returns.
    async fn broken(self: &Arc<Self>, breach: Breach) -> Breach {
        if let Some(log) = self.logs.lock().get_mut(&breach.origin) {
            log.breach.get_or_insert_with(|| breach.clone());
        }
        let (held, unwritten) = (self.clone(), breach.clone());
        let kept = tokio::task::spawn_blocking(move || held.kept(breach)).await;
        kept.unwrap_or_else(|error| Breach { evidence: Evidence::Failed(error.to_string()), ..unwritten })
    }
}
