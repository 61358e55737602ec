//! Cells: what a unit was to send under a regime for a period, beside what it sent. They are walked record by record, so that a
//! step may end inside of one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::iter::Peekable;
use std::ops::ControlFlow;

use kho_catalogue::{Due, Duty};
use kho_ledger::ReadError;
use kho_ledger::select::{Budget, KEY_WORK, ROW_WORK, first_accepted_from, sent};
use kho_proto::error::Refusal;
use kho_proto::id::{RegimeCode, Seq, UnitCode, UnixMs};
use kho_proto::pb::v1::{StatsBy, StatsCounts};
use kho_proto::period::Period;

use super::super::list::Stop;
use super::super::open::Error;
use super::place::Behind;
use super::tally::{DUTY_WORK, Rows, Tally};

/// Cells of duties as of a moment.
pub(super) struct Cells<'a> {
    tally: &'a Tally<'a>,
    /// Leaves that had been accepted before the moment.
    size: u64,
    /// How many leaves were accepted before a deadline's end; deadlines are few.
    boundaries: RefCell<HashMap<UnixMs, u64>>,
}

/// The cell that records are counted in.
struct Cell {
    period: String,
    /// Its deadline.
    ends: Option<UnixMs>,
    counts: StatsCounts,
    /// A correction was counted, by this step or by one before.
    corrected: bool,
}

/// A walk along one duty.
struct Walk<'a, I: Iterator<Item = (String, Due)>> {
    cells: &'a Cells<'a>,
    duty: &'a Duty,
    /// What is expected and was not come to yet, in the order of the periods' texts, as the index has them.
    expected: Peekable<I>,
    open: Option<Cell>,
    rows: &'a mut Rows,
}

impl<'a> Cells<'a> {
    pub fn of(tally: &'a Tally<'a>, size: u64) -> Self {
        Self { tally, size, boundaries: RefCell::default() }
    }

    /// Counts what there is of a duty behind what was counted. How far it came, if the step ended within.
    pub fn duty(
        &self,
        duty: &Duty,
        behind: Option<&Behind>,
        rows: &mut Rows,
        budget: &mut Budget<'_>,
    ) -> Result<Option<Behind>, Refusal> {
        budget.spend(DUTY_WORK);
        let expected = self.tally.catalogue.expected(duty, self.tally.question.days, self.tally.size);
        let expected = expected.into_iter().map(|one| (one.period.to_string(), one.due)).peekable();
        let mut walk = Walk { cells: self, duty, expected, open: None, rows };
        let after = walk.resume(behind);
        let mut stopped = None;
        if let (Ok(unit), Ok(regime)) = (duty.unit.parse::<UnitCode>(), duty.regime.parse::<RegimeCode>()) {
            let tokens = (&self.tally.tokens.unit(&unit), &self.tally.tokens.regime(&regime));
            sent::<Stop>(self.tally.view, tokens, self.tally.question.years(), after, &mut |period, seq| {
                stopped = walk.record(period, seq, budget)?;
                Ok(if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        if stopped.is_none() {
            stopped = walk.close(budget);
        }
        match stopped {
            None => Ok(walk.unsent(|_| true, budget)),
            stopped => Ok(stopped),
        }
    }

    fn accepted_before(&self, end: UnixMs) -> Result<u64, Refusal> {
        if let Some(known) = self.boundaries.borrow().get(&end) {
            return Ok(*known);
        }
        let found = first_accepted_from(self.tally.view, self.tally.size, end).map_err(Error::from)?.0;
        self.boundaries.borrow_mut().insert(end, found);
        Ok(found)
    }

    /// Whether a record takes the place of another.
    fn is_correction(&self, seq: Seq) -> Result<bool, Refusal> {
        let leaf = kho_ledger::leaf(self.tally.view, seq).map_err(Error::from)?;
        let Some(leaf) = leaf else { return Ok(false) };
        let row =
            kho_ledger::record_row(self.tally.view, &leaf.record_id).map_err(|error: ReadError| Error::from(error))?;
        Ok(row.is_some_and(|row| row.revision > 1))
    }
}

impl<I: Iterator<Item = (String, Due)>> Walk<'_, I> {
    /// Leaves out what was counted. Behind which record the keys begin that were not.
    fn resume<'b>(&mut self, behind: Option<&'b Behind>) -> Option<(&'b str, Seq)> {
        let (period, seq) = match behind? {
            Behind::Duty => return None,
            Behind::Period(period) => (period, Seq(u64::MAX)),
            Behind::Record { period, seq, .. } => (period, *seq),
        };
        let mut last = None;
        while let Some((text, due)) = self.expected.next_if(|(text, _)| text <= period) {
            last = (text == *period).then_some(due);
        }
        if let Some(Behind::Record { corrected, .. }) = behind
            && self.is_asked(period)
        {
            let ends = last.and_then(|due| due.ends);
            let counts = StatsCounts::default();
            self.open = Some(Cell { period: period.clone(), ends, counts, corrected: *corrected });
        }
        Some((period, seq))
    }

    /// Counts a record. How far the walk came, if that is enough.
    fn record(&mut self, period: &str, seq: Seq, budget: &mut Budget<'_>) -> Result<Option<Behind>, Refusal> {
        budget.spend(KEY_WORK);
        if seq.0 >= self.cells.size {
            // not there yet, like all that follow it for this period
            return Ok(budget.over().then(|| self.skip(period, budget)));
        }
        let corrected = match self.open.as_mut().filter(|open| open.period == period) {
            Some(open) => {
                budget.spend(2 * ROW_WORK);
                let correction = self.cells.is_correction(seq)?;
                open.counts.superseded += u64::from(correction);
                open.counts.corrected += u64::from(correction && !open.corrected);
                open.counts.records += 1;
                open.corrected |= correction;
                open.corrected
            }
            None => {
                // what is expected before it, too, where it is of another range: the next step leaves all of that out
                let stopped = self.close(budget).or_else(|| self.unsent(|text| text < period, budget));
                if stopped.is_some() {
                    return Ok(stopped);
                }
                if self.is_asked(period) {
                    self.begin(period, seq)?;
                }
                false
            }
        };
        if !budget.over() {
            return Ok(None);
        }
        self.write();
        Ok(Some(Behind::Record { period: period.to_owned(), seq, corrected }))
    }

    fn is_asked(&self, period: &str) -> bool {
        period.parse::<Period>().is_ok_and(|period| self.cells.tally.question.range.contains(&period))
    }

    /// Opens a cell with its first record.
    fn begin(&mut self, period: &str, first: Seq) -> Result<(), Refusal> {
        let due = self.expected.next_if(|(text, _)| text == period).map(|(_, due)| due);
        let ends = due.and_then(|due| due.ends);
        let mut counts = StatsCounts { records: 1, ..StatsCounts::default() };
        if due.is_some() {
            let late = ends.map(|ends| self.cells.accepted_before(ends)).transpose()?.is_some_and(|end| first.0 >= end);
            (counts.expected, counts.late, counts.on_time) = (1, u64::from(late), u64::from(!late));
        } else {
            counts.unscheduled = 1;
        }
        self.open = Some(Cell { period: period.to_owned(), ends, counts, corrected: false });
        Ok(())
    }

    /// Ends the open cell. How far the walk came, if that is enough.
    fn close(&mut self, budget: &mut Budget<'_>) -> Option<Behind> {
        let period = self.write()?;
        self.is_enough(budget).then_some(Behind::Period(period))
    }

    /// Writes down what was counted of the open cell, if there is one: which it was.
    fn write(&mut self) -> Option<String> {
        let Cell { period, ends, counts, .. } = self.open.take()?;
        // behind the last record of the step before there may be none
        if counts.records > 0 {
            self.rows.count(self.cells.tally.question.by, self.duty, &period, counts, ends);
        }
        Some(period)
    }

    /// Ends the step behind all that was sent for a period, or before it, if the open cell is one of the rows and that is enough.
    fn skip(&mut self, period: &str, budget: &mut Budget<'_>) -> Behind {
        let stopped = self.close(budget).or_else(|| self.unsent(|text| text <= period, budget));
        stopped.unwrap_or_else(|| Behind::Period(period.to_owned()))
    }

    /// Counts what is expected for these periods, and was not sent. How far the walk came, if that is enough.
    fn unsent(&mut self, is_asked: impl Fn(&str) -> bool, budget: &mut Budget<'_>) -> Option<Behind> {
        let now = self.cells.tally.as_of;
        while let Some((period, due)) = self.expected.next_if(|(period, _)| is_asked(period)) {
            budget.spend(KEY_WORK);
            // nothing is expected before its time has begun
            if due.begins <= now {
                let over = due.ends.is_some_and(|ends| ends <= now);
                let (missing, open) = (u64::from(over), u64::from(!over));
                let counts = StatsCounts { expected: 1, missing, open, ..StatsCounts::default() };
                self.rows.count(self.cells.tally.question.by, self.duty, &period, counts, due.ends);
            }
            if self.is_enough(budget) {
                return Some(Behind::Period(period));
            }
        }
        None
    }

    fn is_enough(&self, budget: &mut Budget<'_>) -> bool {
        let question = self.cells.tally.question;
        let full = question.by == StatsBy::UnitRegimePeriod && self.rows.len() >= question.rows_max;
        full || budget.over()
    }
}

#[cfg(test)]
mod tests;
