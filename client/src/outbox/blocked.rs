//! When waiting alone brings nothing more in: each record that waits does so for somebody who mends the sender.

use std::collections::BTreeMap;

use kho_proto::error::Code;

use super::Pace;
use super::state::{Queued, State};
use super::store::Number;
use super::verdict::{Of, of, of_the_sender};

/// How draining ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what ended it says whether everything is in"]
pub enum Drained {
    /// Nothing waits any more: all is delivered or refused.
    Empty,
    /// What waits is in order and stays, until somebody changes the sender's certificate or its rights: why, and of how
    /// many records it was said. What comes behind them, or was not tried since nobody's record fared better, is not counted.
    Sender(BTreeMap<Code, u64>),
    /// Its `shutdown` was done.
    Stopped,
}

/// What this turn was told of a record, if somebody has to mend the sender. What will be given up is not kept so.
fn told(queued: &Queued, pace: Pace) -> Option<Code> {
    let given_up = pace.rounds_max.is_some() && queued.row.doubt_ms == 0;
    // a turn begins with no pauses: one that has none was not sent in it yet
    let told = queued.not_before.filter(|_| !given_up).and_then(|_| Code::parse(&queued.row.code));
    told.filter(|code| of_the_sender(*code))
}

impl State {
    /// None: something is to be sent, or may be taken later as the sender is.
    pub fn drained(&self, pace: Pace) -> Option<Drained> {
        if self.queue.is_empty() {
            return Some(Drained::Empty);
        }
        let mut codes = BTreeMap::new();
        for code in self.queue.values().filter_map(|queued| told(queued, pace)) {
            *codes.entry(code).or_default() += 1;
        }
        let nobodys = codes.keys().any(|code| of(*code) == Of::All);
        let stays = |(number, queued)| {
            told(queued, pace).is_some() || self.is_behind(number, queued) || (nobodys && queued.not_before.is_none())
        };
        (!codes.is_empty() && self.queue.iter().map(|(number, queued)| (*number, queued)).all(stays))
            .then_some(Drained::Sender(codes))
    }

    /// Whether another record goes first.
    fn is_behind(&self, number: Number, queued: &Queued) -> bool {
        self.first_of(&queued.row.series) != Some(number) || self.waits_before(number, &queued.row.supersedes)
    }
}
