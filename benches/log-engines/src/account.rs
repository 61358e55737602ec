//! What a log must show after a loss of power, from what it acknowledged before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{LogId, Meta, Vote};

/// One change of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Entries `first`, and behind it as many as make `count`, of one term; and up to where the log is committed.
    Append {
        /// First entry.
        first: LogId,
        /// So many.
        count: u64,
        /// Last committed entry.
        committed: LogId,
    },
    /// All behind it goes.
    Truncate {
        /// Last that stays.
        last: LogId,
    },
    /// It and all before it goes.
    Purge {
        /// Last that goes.
        upto: LogId,
    },
    /// A vote.
    Vote {
        /// It.
        vote: Vote,
    },
}

/// An entry that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Place.
    pub id: LogId,
    /// Whether its bytes are those that were written.
    pub intact: bool,
}

/// What an engine showed when it was opened again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Beside the entries.
    pub meta: Meta,
    /// All entries, in order.
    pub entries: Vec<Seen>,
}

/// Why a log is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Acknowledged, and gone.
    #[error("expected entries up to {expected} at least, found them up to {found}")]
    Lost {
        /// Last that was acknowledged.
        expected: u64,
        /// Last that is there.
        found: u64,
    },
    /// One is missing in the middle, or between what is purged and the first.
    #[error("expected entry {expected} next, found {found}")]
    Hole {
        /// The next one.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Nobody wrote it, or it was cut off.
    #[error("expected no entry behind {last}, found {found}")]
    Beyond {
        /// Last there may be.
        last: u64,
        /// What is there.
        found: u64,
    },
    /// Another entry stood there before a truncation.
    #[error("expected entry {index} of term {expected}, found one of term {found}")]
    OtherTerm {
        /// Place.
        index: u64,
        /// Term acknowledged.
        expected: u64,
        /// Term found.
        found: u64,
    },
    /// Other bytes.
    #[error("expected the bytes of entry {index} as they were written, found others")]
    Bytes {
        /// Place.
        index: u64,
    },
    /// A vote that went back, or that nobody cast.
    #[error("expected vote {expected:?}, found {found:?}")]
    Vote {
        /// Acknowledged.
        expected: Vote,
        /// Found.
        found: Vote,
    },
    /// A purge that went back, or that nobody asked for.
    #[error("expected the log purged up to {expected}, found {found}")]
    Purged {
        /// Acknowledged.
        expected: u64,
        /// Found.
        found: u64,
    },
    /// Committed went back, or stands above the log.
    #[error("expected entries committed up to {least} to {most}, found {found}")]
    Committed {
        /// At least.
        least: u64,
        /// At most.
        most: u64,
        /// Found.
        found: u64,
    },
}

/// What was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    meta: Meta,
    terms: BTreeMap<u64, u64>,
}

impl Account {
    /// Begins with what was found: what was under way when the power went may have come to anything.
    pub fn of(found: &Found) -> Self {
        Self { meta: found.meta, terms: found.entries.iter().map(|seen| (seen.id.index, seen.id.term)).collect() }
    }

    /// What stands beside the entries.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Last entry; where there is none, the last purged.
    pub fn last(&self) -> u64 {
        self.terms.last_key_value().map_or(self.meta.purged, |(index, _)| *index)
    }

    /// The entry at a place.
    pub fn id(&self, index: u64) -> Option<LogId> {
        self.terms.get(&index).map(|term| LogId { term: *term, index })
    }

    /// A step was acknowledged.
    pub fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { first, count, committed } => {
                self.terms.extend((first.index..first.index + count).map(|index| (index, first.term)));
                self.meta.committed = self.meta.committed.max(committed.index);
            }
            Step::Truncate { last } => drop(self.terms.split_off(&(last.index + 1))),
            Step::Purge { upto } => {
                self.terms = self.terms.split_off(&(upto.index + 1));
                self.meta.purged = upto.index;
            }
            Step::Vote { vote } => self.meta.vote = vote,
        }
    }

    /// Holds what was found against it; `pending` was under way: not at all, as a whole or, of an append, in part.
    pub fn judge(&self, pending: Option<&Step>, found: &Found) -> Result<(), Breach> {
        let mut after = self.clone();
        pending.iter().for_each(|step| after.take(step));
        let (before, meta) = (self.meta, found.meta);
        if ![before.purged, after.meta.purged].contains(&meta.purged) {
            return Err(Breach::Purged { expected: before.purged, found: meta.purged });
        }
        if ![before.vote, after.meta.vote].contains(&meta.vote) {
            return Err(Breach::Vote { expected: before.vote, found: meta.vote });
        }
        let (least, most) = (self.last().min(after.last()), self.last().max(after.last()));
        let mut last = meta.purged;
        for seen in &found.entries {
            self.judge_entry(&after, seen, last + 1, most)?;
            last = seen.id.index;
        }
        // a purge that is pending may have taken all that was there
        if last < least.max(meta.purged) {
            return Err(Breach::Lost { expected: least, found: last });
        }
        if matches!(pending, Some(Step::Truncate { .. })) && last != least && last != most {
            return Err(Breach::Lost { expected: most, found: last });
        }
        let most = after.meta.committed.min(last);
        if meta.committed < before.committed || meta.committed > most {
            return Err(Breach::Committed { least: before.committed, most, found: meta.committed });
        }
        Ok(())
    }

    fn judge_entry(&self, after: &Account, seen: &Seen, expected: u64, most: u64) -> Result<(), Breach> {
        let index = seen.id.index;
        if index > most {
            return Err(Breach::Beyond { last: most, found: index });
        }
        if index != expected {
            return Err(Breach::Hole { expected, found: index });
        }
        // a pending append stands behind all that was acknowledged: no place has two terms
        let term = self.terms.get(&index).or_else(|| after.terms.get(&index));
        match term {
            None => Err(Breach::Beyond { last: most, found: index }),
            Some(term) if *term != seen.id.term => {
                Err(Breach::OtherTerm { index, expected: *term, found: seen.id.term })
            }
            Some(_) if !seen.intact => Err(Breach::Bytes { index }),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
