//! A log in use until its power is cut: appends, truncations, purges and votes as a seed draws them.

use anyhow::{Context, Result};

use crate::account::{Account, Step};
use crate::body::{self, Chance};
use crate::engine::{Entry, LogEngine, LogId, Vote};
use crate::task::{self, Said};

/// Entries of one append, at most.
const TOGETHER: u64 = 4;

/// Says what is there, then each step before and after it.
pub fn run(mut log: Box<dyn LogEngine>, seed: u64, term: u64) -> Result<()> {
    let (found, read) = task::found(&mut *log, None);
    read.context("reading what is there")?;
    let mut account = Account::of(&found);
    let terms = found.entries.iter().map(|seen| seen.id.term).chain([term, found.meta.vote.term]);
    let mut drawn = Draw { chance: Chance::new(seed), term: terms.max().unwrap_or_default() + 1 };
    task::say(&Said::Found(found))?;
    loop {
        let step = drawn.step(&account);
        task::say(&Said::Will(step))?;
        carry_out(&mut *log, &step)?;
        task::say(&Said::Did)?;
        account.take(&step);
    }
}

fn carry_out(log: &mut dyn LogEngine, step: &Step) -> Result<()> {
    match *step {
        Step::Append { first, count, committed } => {
            let ids = (first.index..first.index + count).map(|index| LogId { term: first.term, index });
            let entries: Vec<Entry> = ids.map(|id| body::entry(id, None)).collect();
            log.append(&entries, (committed.index > 0).then_some(committed))
        }
        Step::Truncate { last } => log.truncate_after(last),
        Step::Purge { upto } => log.purge(upto),
        Step::Vote { vote } => log.save_vote(vote),
    }
}

struct Draw {
    chance: Chance,
    term: u64,
}

impl Draw {
    /// What raft may ask for next: nothing committed is cut off, nothing else is purged, a place that was cut off is
    /// taken by an entry of a higher term.
    fn step(&mut self, account: &Account) -> Step {
        let (meta, last) = (account.meta(), account.last());
        let within = |chance: &mut Chance, from: u64, to: u64| account.id(from + chance.below(to + 1 - from));
        match self.chance.below(100) {
            0..6 => {
                self.term = self.term.max(meta.vote.term) + 1;
                return Step::Vote { vote: Vote { term: self.term, node: 1 + self.chance.below(3) } };
            }
            6..12 if meta.committed > meta.purged => {
                if let Some(upto) = within(&mut self.chance, meta.purged + 1, meta.committed) {
                    return Step::Purge { upto };
                }
            }
            12..22 if last > meta.committed.max(meta.purged) => {
                if let Some(last) = within(&mut self.chance, meta.committed.max(meta.purged), last - 1) {
                    self.term += 1;
                    return Step::Truncate { last };
                }
            }
            _ => {}
        }
        let committed = meta.committed + self.chance.below(last.saturating_sub(meta.committed).min(8) + 1);
        Step::Append {
            first: LogId { term: self.term, index: last + 1 },
            count: 1 + self.chance.below(TOGETHER),
            committed: account.id(committed).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_to_what_raft_may_ask_for_and_all_kinds_come() {
        let (mut account, mut kinds) = (Account::default(), [0; 4]);
        let mut drawn = Draw { chance: Chance::new(7), term: 1 };
        for _ in 0..5_000 {
            let step = drawn.step(&account);
            let (meta, last) = (account.meta(), account.last());
            match step {
                Step::Append { first, committed, .. } => {
                    assert_eq!(first.index, last + 1);
                    assert!(committed.index <= last && first.term >= account.id(last).unwrap_or_default().term);
                    kinds[0] += 1;
                }
                Step::Truncate { last: kept } => {
                    assert!(kept.index < last && kept.index >= meta.committed && account.id(kept.index) == Some(kept));
                    kinds[1] += 1;
                }
                Step::Purge { upto } => {
                    assert!(upto.index > meta.purged && upto.index <= meta.committed);
                    kinds[2] += 1;
                }
                Step::Vote { vote } => {
                    assert!(vote > meta.vote);
                    kinds[3] += 1;
                }
            }
            account.take(&step);
        }
        assert!(kinds.iter().all(|count| *count > 50), "{kinds:?}");
    }
}
