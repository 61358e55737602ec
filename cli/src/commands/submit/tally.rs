//! What became of many reports, counted; and how a command ends that sent them.

use std::collections::BTreeMap;

use crate::exit::Exit;
use crate::lang::{self, Lang};

/// Each report is counted once.
#[derive(Default)]
pub struct Tally {
    /// Accepted in this run.
    pub accepted: u64,
    /// In the store before this run sent it.
    pub duplicates: u64,
    /// Its receipt was there: not sent.
    pub done_before: u64,
    /// By code; without one: what the system said of a file.
    pub refused: BTreeMap<&'static str, u64>,
    /// May or may not be in, or is in without a good receipt.
    pub unknown: u64,
    /// No node was reached: certainly not in.
    pub unreachable: u64,
    /// Refused for now, and certainly not in: a quota, a node without room. A later run brings it as it is.
    pub put_off: u64,
    /// Not sent: an earlier report of the series is in doubt or put off, no node takes any, or the state can't be written.
    pub held: u64,
}

impl Tally {
    fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Certainly not in, and nothing has to be mended.
    fn not_sent(&self) -> u64 {
        self.unreachable + self.put_off + self.held
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        let Tally { accepted, duplicates, done_before, unknown, unreachable, put_off, held, .. } = self;
        accepted + duplicates + done_before + unknown + unreachable + put_off + held + self.refused()
    }

    /// The worst of them: what is in doubt asks most of who reads it.
    pub fn exit(&self) -> Option<Exit> {
        if self.unknown > 0 {
            Some(Exit::Unknown)
        } else if self.not_sent() > 0 {
            Some(Exit::Unreachable)
        } else if self.refused() > 0 {
            Some(Exit::Refused)
        } else {
            None
        }
    }
}

impl Tally {
    /// For people.
    pub fn text(&self, lang: Lang) -> String {
        let mut text = lang::SUMMARY.with(
            lang,
            &[
                ("total", &self.total()),
                ("accepted", &self.accepted),
                ("there", &self.duplicates),
                ("done", &self.done_before),
                ("refused", &self.refused()),
                ("unknown", &self.unknown),
                ("held", &self.not_sent()),
            ],
        );
        for (code, count) in &self.refused {
            text.push_str("\n  ");
            text.push_str(&lang::REFUSED.with(lang, &[("count", count), ("code", code)]));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_how_it_ends() {
        let mut tally = Tally { accepted: 7, duplicates: 1, done_before: 2, ..Tally::default() };
        assert_eq!(tally.exit(), None);
        *tally.refused.entry("report-invalid").or_default() += 2;
        assert_eq!(tally.exit(), Some(Exit::Refused));
        tally.put_off = 1;
        assert_eq!(tally.exit(), Some(Exit::Unreachable));
        tally.held = 1;
        assert_eq!(tally.exit(), Some(Exit::Unreachable));
        tally.unreachable = 1;
        tally.unknown = 1;
        assert_eq!(tally.exit(), Some(Exit::Unknown));
        assert_eq!(
            tally.text(Lang::En),
            "16 reports: 7 accepted, 1 there already, 2 done by an earlier run, 2 refused, 1 unknown, 3 not sent\n  \
             refused: 2 report-invalid"
        );
        assert!(tally.text(Lang::Vi).starts_with("16 báo cáo: 7 được tiếp nhận, 1 đã có"), "{}", tally.text(Lang::Vi));
    }
}
