//! Duties, periods, keys: one walk, and what is counted on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use kho_catalogue::{Catalogue, Due, Duty, Expected, Kind};
use kho_ledger::select::{Budget, KEY_WORK, ROW_WORK, first_accepted_from, sent};
use kho_ledger::{ReadError, View};
use kho_proto::error::Refusal;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RegimeCode, Seq, UnitCode, UnixMs};
use kho_proto::pb::v1::{StatsBy, StatsCounts, StatsRow};
use kho_proto::period::Period;
use kho_proto::tokens::TokenKey;

use super::super::list::Stop;
use super::super::open::Error;
use super::ask::Question;

/// Behind every period's text: a duty that is done.
const DONE: &str = "~";
/// Work of beginning a duty: a seek.
pub(super) const DUTY_WORK: u64 = 16;

/// Regime, unit and period of the last cell that was counted.
type Last = [String; 3];

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

/// What a unit sent under a regime for a period.
struct Sent {
    period: String,
    /// Ascending.
    seqs: Vec<Seq>,
}

/// Takes what was sent for a period, or the end of all that; says whether it is enough.
type Take<'v> = dyn FnMut(Option<Sent>, &mut Budget<'_>) -> Result<bool, Refusal> + 'v;

/// Rows under way.
#[derive(Default)]
struct Rows {
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
    fn count(&mut self, by: StatsBy, duty: &Duty, period: &str, counts: StatsCounts, deadline: Option<UnixMs>) {
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

    fn len(&self) -> usize {
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
    /// Rows behind a cell, and the last one that was counted if there are more.
    pub fn run(&self, after: Option<Last>, budget: &mut Budget<'_>) -> Result<(Vec<StatsRow>, Option<Last>), Refusal> {
        let mut rows = Rows::default();
        // what was accepted at or after the moment is not there yet
        let size = first_accepted_from(self.view, self.size, self.as_of).map_err(Error::from)?.0;
        let cells = Cells { tally: self, size, boundaries: RefCell::default() };
        let after = after.as_ref().map(|[regime, unit, period]| (regime.as_str(), unit.as_str(), period.as_str()));
        for regime in self.catalogue.codes(Kind::Regime, None) {
            if !self.question.asks_regime(regime) || after.is_some_and(|(done, ..)| regime < done) {
                continue;
            }
            for unit in self.question.units(self.catalogue, regime, self.size) {
                let behind = match after {
                    Some((of, done, _)) if of == regime && *unit < *done => continue,
                    Some((of, done, period)) if of == regime && unit == done => Some(period),
                    _ => None,
                };
                if behind == Some(DONE) {
                    continue;
                }
                let duty = Duty { regime: regime.to_owned(), unit };
                let stopped = cells.duty(&duty, behind, &mut rows, budget)?;
                let full = rows.len() >= self.question.rows_max || budget.over();
                if let Some(period) = stopped.or(full.then(|| DONE.to_owned())) {
                    return Ok((rows.into_vec(), Some([duty.regime, duty.unit, period])));
                }
            }
        }
        Ok((rows.into_vec(), None))
    }
}

/// Cells of duties as of a moment.
struct Cells<'a> {
    tally: &'a Tally<'a>,
    /// Leaves that had been accepted before the moment.
    size: u64,
    /// How many leaves were accepted before a deadline's end; deadlines are few.
    boundaries: RefCell<HashMap<UnixMs, u64>>,
}

impl Cells<'_> {
    /// Counts the cells of a duty behind a period. The last one's period, if the step ended within.
    fn duty(
        &self,
        duty: &Duty,
        after: Option<&str>,
        rows: &mut Rows,
        budget: &mut Budget<'_>,
    ) -> Result<Option<String>, Refusal> {
        let question = self.tally.question;
        budget.spend(DUTY_WORK);
        let expected = self.tally.catalogue.expected(duty, question.days, self.tally.size);
        let behind = |expected: &Expected| after.is_none_or(|after| expected.period.to_string().as_str() > after);
        let mut expected = expected.into_iter().filter(behind).map(|e| (e.period.to_string(), e.due)).peekable();
        let mut ended = None;
        // in the order of the periods' texts, as the index has them
        let mut cell =
            |period: &str, due: Option<Due>, seqs: &[Seq], budget: &mut Budget<'_>| -> Result<bool, Refusal> {
                budget.spend(KEY_WORK);
                if let Some(counts) = self.counts(due, seqs, budget)? {
                    rows.count(question.by, duty, period, counts, due.and_then(|due| due.ends));
                }
                let full = question.by == StatsBy::UnitRegimePeriod && rows.len() >= question.rows_max;
                if full || budget.over() {
                    ended = Some(period.to_owned());
                }
                Ok(ended.is_some())
            };
        let mut take = |sent: Option<Sent>, budget: &mut Budget<'_>| -> Result<bool, Refusal> {
            let bound = sent.as_ref().map(|sent| sent.period.as_str());
            while let Some((period, due)) =
                expected.next_if(|(period, _)| bound.is_none_or(|bound| period.as_str() < bound))
            {
                if cell(&period, Some(due), &[], budget)? {
                    return Ok(true);
                }
            }
            let Some(sent) = sent else { return Ok(false) };
            let due = expected.next_if(|(period, _)| *period == sent.period).map(|(_, due)| due);
            cell(&sent.period, due, &sent.seqs, budget)
        };
        let stopped = self.each_sent(duty, after, budget, &mut take)?;
        if !stopped {
            take(None, budget)?;
        }
        Ok(ended)
    }

    /// What a unit sent, period by period, until `take` says that it is enough.
    fn each_sent(
        &self,
        duty: &Duty,
        after: Option<&str>,
        budget: &mut Budget<'_>,
        take: &mut Take<'_>,
    ) -> Result<bool, Refusal> {
        let (Ok(unit), Ok(regime)) = (duty.unit.parse::<UnitCode>(), duty.regime.parse::<RegimeCode>()) else {
            return Ok(false);
        };
        let tokens = (&self.tally.tokens.unit(&unit), &self.tally.tokens.regime(&regime));
        let question = self.tally.question;
        let mut waiting: Option<Sent> = None;
        let mut stopped = false;
        sent::<Stop>(self.tally.view, tokens, question.years(), after, &mut |period, seq| {
            budget.spend(KEY_WORK);
            if seq.0 >= self.size {
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(waiting) = waiting.as_mut().filter(|waiting| waiting.period == period) {
                waiting.seqs.push(seq);
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(done) = waiting.take()
                && take(Some(done), budget)?
            {
                stopped = true;
                return Ok(ControlFlow::Break(()));
            }
            if period.parse::<Period>().is_ok_and(|period| question.range.contains(&period)) {
                waiting = Some(Sent { period: period.to_owned(), seqs: vec![seq] });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match waiting {
            Some(done) if !stopped => take(Some(done), budget),
            _ => Ok(stopped),
        }
    }

    /// What a cell counts for; nothing if nothing was expected yet and nothing came.
    fn counts(&self, due: Option<Due>, seqs: &[Seq], budget: &mut Budget<'_>) -> Result<Option<StatsCounts>, Refusal> {
        let mut counts = StatsCounts { records: seqs.len() as u64, ..StatsCounts::default() };
        let now = self.tally.as_of;
        let Some(first) = seqs.first() else {
            let Some(due) = due.filter(|due| due.begins <= now) else { return Ok(None) };
            let over = due.ends.is_some_and(|ends| ends <= now);
            (counts.expected, counts.missing, counts.open) = (1, u64::from(over), u64::from(!over));
            return Ok(Some(counts));
        };
        match due {
            None => counts.unscheduled = 1,
            Some(due) => {
                let late =
                    due.ends.map(|ends| self.accepted_before(ends)).transpose()?.is_some_and(|end| first.0 >= end);
                (counts.expected, counts.late, counts.on_time) = (1, u64::from(late), u64::from(!late));
            }
        }
        for seq in &seqs[1..] {
            budget.spend(2 * ROW_WORK);
            counts.superseded += u64::from(self.is_correction(*seq)?);
        }
        counts.corrected = u64::from(counts.superseded > 0);
        Ok(Some(counts))
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
