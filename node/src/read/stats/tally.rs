//! Duties in the order of their codes, and the rows that they make.

use std::collections::{BTreeMap, HashMap};

use kho_catalogue::{Catalogue, Duty, Kind};
use kho_ledger::View;
use kho_ledger::select::{Budget, first_accepted_from};
use kho_proto::error::Refusal;
use kho_proto::header::SubmittedAt;
use kho_proto::id::UnixMs;
use kho_proto::pb::v1::{StatsBy, StatsCounts, StatsRow};
use kho_proto::tokens::TokenKey;

use super::super::open::Error;
use super::ask::Question;
use super::cells::Cells;
use super::place::{Behind, Last};

/// Work of beginning a duty: a seek.
pub(super) const DUTY_WORK: u64 = 16;

pub(super) struct Tally<'a> {
    pub view: &'a dyn View,
    pub tokens: &'a TokenKey,
    pub catalogue: &'a Catalogue,
    pub question: &'a Question,
    /// Leaves of the log.
    pub size: u64,
    /// What is taken for now.
    pub as_of: UnixMs,
}

/// Rows under way.
#[derive(Default)]
pub(super) struct Rows {
    /// One for each cell, as they come.
    cells: Vec<StatsRow>,
    /// Those that are added up, by regime and unit.
    sums: BTreeMap<[String; 2], StatsCounts>,
    /// Texts of deadlines: many units have the same.
    deadlines: HashMap<UnixMs, String>,
}

fn add(to: &mut StatsCounts, more: &StatsCounts) {
    to.expected += more.expected;
    to.on_time += more.on_time;
    to.late += more.late;
    to.missing += more.missing;
    to.open += more.open;
    to.corrected += more.corrected;
    to.superseded += more.superseded;
    to.unscheduled += more.unscheduled;
    to.records += more.records;
}

impl Rows {
    /// Counts a cell, or a part of one.
    pub fn count(&mut self, by: StatsBy, duty: &Duty, period: &str, counts: StatsCounts, deadline: Option<UnixMs>) {
        let (unit, regime) = (duty.unit.as_str(), duty.regime.as_str());
        let [regime, unit] = match by {
            StatsBy::UnitRegimePeriod => {
                let deadline = match deadline {
                    None => String::new(),
                    Some(ends) => {
                        let text = || SubmittedAt::from_unix_ms(ends).to_string();
                        self.deadlines.entry(ends).or_insert_with(text).clone()
                    }
                };
                let [unit, regime, period] = [unit, regime, period].map(str::to_owned);
                self.cells.push(StatsRow { unit, regime, period, counts: Some(counts), deadline });
                return;
            }
            StatsBy::UnitRegime => [regime, unit],
            StatsBy::ByUnit => ["", unit],
            StatsBy::ByRegime => [regime, ""],
            StatsBy::Total => ["", ""],
        };
        add(self.sums.entry([regime, unit].map(str::to_owned)).or_default(), &counts);
    }

    pub fn len(&self) -> usize {
        self.cells.len() + self.sums.len()
    }

    fn into_vec(self) -> Vec<StatsRow> {
        let sums = self.sums.into_iter().map(|([regime, unit], counts)| StatsRow {
            unit,
            regime,
            counts: Some(counts),
            ..StatsRow::default()
        });
        self.cells.into_iter().chain(sums).collect()
    }
}

impl Tally<'_> {
    /// Rows behind what was counted last, and the last that was counted if there is more.
    pub fn run(&self, after: Option<Last>, budget: &mut Budget<'_>) -> Result<(Vec<StatsRow>, Option<Last>), Refusal> {
        let mut rows = Rows::default();
        // what was accepted at or after the moment is not there yet
        let size = first_accepted_from(self.view, self.size, self.as_of).map_err(Error::from)?.0;
        let cells = Cells::of(self, size);
        for regime in self.catalogue.codes(Kind::Regime, None) {
            if !self.question.asks_regime(regime) || after.as_ref().is_some_and(|after| regime < after.regime.as_str())
            {
                continue;
            }
            for unit in self.question.units(self.catalogue, regime, self.size) {
                let behind = match &after {
                    Some(after) if after.regime == regime && unit < after.unit => continue,
                    Some(after) if after.regime == regime && unit == after.unit => Some(&after.behind),
                    _ => None,
                };
                if behind == Some(&Behind::Duty) {
                    continue;
                }
                let duty = Duty { regime: regime.to_owned(), unit };
                let stopped = cells.duty(&duty, behind, &mut rows, budget)?;
                let full = rows.len() >= self.question.rows_max || budget.over();
                if let Some(behind) = stopped.or(full.then_some(Behind::Duty)) {
                    let last = Last { regime: duty.regime, unit: duty.unit, behind };
                    return Ok((rows.into_vec(), Some(last)));
                }
            }
        }
        Ok((rows.into_vec(), None))
    }
}
