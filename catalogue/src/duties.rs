//! Which reports are expected: one for each unit, regime and period, as the catalogue has it on the period's last day.

use std::collections::BTreeSet;

use kho_proto::period::Period;

use crate::calendar::{Due, periods};
use crate::day::Day;
use crate::document::{Frequency, Kind};
use crate::entry::Entry;
use crate::regime::Regime;
use crate::store::Catalogue;

/// A unit that reports under a regime, at some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duty {
    /// Code of the regime.
    pub regime: String,
    /// Code of the unit.
    pub unit: String,
}

/// A report that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Of which period.
    pub period: Period,
    /// From and to when.
    pub due: Due,
}

impl Catalogue {
    fn regimes(&self, code: &str, size: u64) -> impl Iterator<Item = &Regime> {
        self.latest(Kind::Regime, code, size).filter_map(|version| match &*version.entry {
            Entry::Regime(regime) => Some(&**regime),
            Entry::Unit(..) | Entry::Policy(_) => None,
        })
    }

    /// Units that report under a regime by any of its versions, in the order of their codes.
    pub fn reporters(&self, regime: &str, size: u64) -> BTreeSet<String> {
        let mut reporters = BTreeSet::new();
        for version in self.regimes(regime, size) {
            let asked = &version.document.reporters;
            reporters.extend(asked.units.iter().cloned());
            if asked.unit_kinds.is_empty() {
                continue;
            }
            for unit in self.codes(Kind::Unit, None) {
                let of_kind = self.latest(Kind::Unit, unit, size).any(|version| match &*version.entry {
                    Entry::Unit(document, _) => asked.unit_kinds.contains(&document.unit_kind),
                    Entry::Regime(_) | Entry::Policy(_) => false,
                });
                if of_kind {
                    reporters.insert(unit.to_owned());
                }
            }
        }
        reporters
    }

    /// Whether a unit receives a regime's reports, by any of its versions.
    pub fn receives(&self, unit: &str, regime: &str, size: u64) -> bool {
        self.regimes(regime, size).any(|version| version.document.receivers.iter().any(|receiver| receiver == unit))
    }

    /// Reports that are expected of a unit for periods that lie wholly between two days, in order.
    pub fn expected(&self, duty: &Duty, (first, last): (Day, Day), size: u64) -> Vec<Expected> {
        let frequencies: Vec<Frequency> = {
            let mut found = Vec::new();
            for regime in self.regimes(&duty.regime, size) {
                if !found.contains(&regime.document.frequency) {
                    found.push(regime.document.frequency);
                }
            }
            found
        };
        let mut expected: Vec<Expected> = frequencies
            .into_iter()
            .flat_map(|frequency| periods(frequency, first, last).map(move |period| (frequency, period)))
            .filter_map(|(frequency, period)| {
                let day = Day::last_of(&period);
                let (regime, valid) = self.regime(&duty.regime, day, size)?;
                let (unit, unit_valid) = self.unit(&duty.unit, day, size)?;
                let asked = valid && unit_valid && regime.document.frequency == frequency;
                let asked = asked && regime.asks(&duty.unit, &unit.unit_kind);
                asked.then(|| Expected { period, due: regime.due(&period) })
            })
            .collect();
        expected.sort_by_cached_key(|expected| expected.period.to_string());
        expected
    }
}
