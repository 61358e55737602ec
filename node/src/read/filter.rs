//! A filter off the wire: checked, and as the ledger takes it.

use std::ops::Range;
use std::str::FromStr;

use kho_ledger::row::RecordRow;
use kho_ledger::select::{Order, Periods, Query, State, first_accepted_from};
use kho_ledger::{ReadError, View};
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::header::{Header, SERIES_LENGTH_MAX, SubmittedAt};
use kho_proto::id::{RegimeCode, UnitCode, UnixMs};
use kho_proto::pb::v1 as pb;
use kho_proto::period::{Period, PeriodRange};
use kho_proto::tokens::TokenKey;

use super::caller::Caller;

/// Moments from the first on, before the second.
type Moments = (Option<SubmittedAt>, Option<SubmittedAt>);

/// Which records, in names.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    unit: Option<UnitCode>,
    receiver: Option<UnitCode>,
    regime: Option<RegimeCode>,
    periods: Periods,
    series: Option<String>,
    state: State,
    accepted: Moments,
    submitted: Moments,
}

fn wrong(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
    let refusal = Refusal::new(Code::RequestMalformed, format!("{field} of the filter breaks its rule"));
    refusal.expected_found(expected, found)
}

fn code<T: FromStr>(field: &str, text: &str) -> Result<Option<T>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let rule = "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit";
    text.parse().map(Some).map_err(|_| wrong(field, rule, excerpt(text)))
}

fn period(field: &str, text: &str) -> Result<Option<Period>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: kho_proto::period::Error| {
        let refusal = Refusal::new(error.code(), format!("{field} of the filter: {error}"));
        refusal.expected_found("a period of the grammar", excerpt(text))
    })
}

fn moments(field: &str, from: &str, before: &str) -> Result<Moments, Refusal> {
    let moment = |end: &str, text: &str| match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| wrong(&format!("{field}_{end}"), "YYYY-MM-DDTHH:MM:SS.mmm+07:00", excerpt(text))),
    };
    let moments: Moments = (moment("from", from)?, moment("before", before)?);
    match moments {
        (Some(from), Some(before)) if from >= before => {
            Err(wrong(&format!("{field}_before"), format!("a moment after {from}"), before.to_string()))
        }
        moments => Ok(moments),
    }
}

fn periods(filter: &pb::Filter) -> Result<Periods, Refusal> {
    let (from, to) = (period("period_from", &filter.period_from)?, period("period_to", &filter.period_to)?);
    match (period("period", &filter.period)?, from, to) {
        (None, None, None) => Ok(Periods::Any),
        (Some(one), None, None) => Ok(Periods::One(one.to_string())),
        (Some(_), _, _) => Err(wrong("period", "either a period or a range", "both")),
        (None, from, to) => PeriodRange::new(from.as_ref(), to.as_ref()).map(Periods::Within).ok_or_else(|| {
            wrong("period_to", format!("a period that ends after {} begins", filter.period_from), &filter.period_to)
        }),
    }
}

impl Filter {
    /// Checks every field, and that the caller may ask for it.
    pub(super) fn of(filter: &pb::Filter, caller: &Caller) -> Result<Self, Refusal> {
        let state = match filter.state() {
            _ if pb::RecordState::try_from(filter.state).is_err() => {
                return Err(wrong("state", "ANY, LATEST or SUPERSEDED", filter.state.to_string()));
            }
            pb::RecordState::Any => State::Any,
            pb::RecordState::Latest => State::Latest,
            pb::RecordState::Superseded => State::Superseded,
        };
        if let Some(series) = &filter.series
            && series.len() > SERIES_LENGTH_MAX
        {
            let found = format!("{} bytes", series.len());
            return Err(wrong("series", format!("at most {SERIES_LENGTH_MAX} bytes"), found));
        }
        let checked = Self {
            unit: code("unit", &filter.unit)?,
            receiver: code("receiver", &filter.receiver)?,
            regime: code("regime", &filter.regime)?,
            periods: periods(filter)?,
            series: filter.series.clone(),
            state,
            accepted: moments("accepted", &filter.accepted_from, &filter.accepted_before)?,
            submitted: moments("submitted", &filter.submitted_from, &filter.submitted_before)?,
        };
        let by_time = pb::Filter {
            accepted_from: filter.accepted_from.clone(),
            accepted_before: filter.accepted_before.clone(),
            ..pb::Filter::default()
        };
        if matches!(caller, Caller::Auditor) && *filter != by_time {
            // what a filter lets through says something of the records, too
            let refusal = Refusal::new(Code::RoleNotPermitted, "an auditor sees leaves, by time of acceptance only");
            return Err(refusal.expected_found("accepted_from and accepted_before", "other fields of the filter"));
        }
        Ok(checked)
    }

    /// Whether revisions that were superseded are what is asked for.
    pub(super) fn wants_superseded(&self) -> bool {
        self.state == State::Superseded
    }

    /// Whether the index is in the order of periods for this filter.
    pub(super) fn has_side_and_regime(&self) -> bool {
        self.regime.is_some() && (self.unit.is_some() || self.receiver.is_some())
    }

    /// The same in tokens, of the first `size` leaves.
    pub(super) fn query(
        &self,
        view: &dyn View,
        caller: &Caller,
        tokens: &TokenKey,
        size: u64,
        order: Order,
    ) -> Result<Query, ReadError> {
        let at = |moment: Option<SubmittedAt>, none: u64| match moment {
            Some(moment) => first_accepted_from(view, size, moment.unix_ms()).map(|seq| seq.0),
            None => Ok(none),
        };
        Ok(Query {
            audience: caller.audience(tokens),
            unit: self.unit.as_ref().map(|unit| tokens.unit(unit)),
            receiver: self.receiver.as_ref().map(|unit| tokens.receiver(unit)),
            regime: self.regime.as_ref().map(|regime| tokens.regime(regime)),
            periods: self.periods.clone(),
            state: self.state,
            sequences: at(self.accepted.0, 0)?..at(self.accepted.1, size)?,
            size,
            order,
        })
    }

    /// What else a row has to pass. None: nothing.
    pub(super) fn series_test<'a>(&'a self, tokens: &'a TokenKey) -> Option<impl Fn(&RecordRow) -> bool + 'a> {
        let (unit, regime, series) = (self.unit.as_ref()?, self.regime.as_ref()?, self.series.as_ref()?);
        Some(move |row: &RecordRow| {
            let period = row.period.parse::<Period>();
            period.is_ok_and(|period| tokens.series(unit, regime, &period, series) == row.series_token)
        })
    }

    /// Whether only the head says if a record is asked for.
    pub(super) fn needs_head(&self) -> bool {
        let by_token = self.unit.is_some() && self.regime.is_some();
        self.submitted != (None, None) || (self.series.is_some() && !by_token)
    }

    /// Whether a row that passed still has to be looked at.
    pub(super) fn looks_beyond_rows(&self) -> bool {
        self.series.is_some() || self.needs_head()
    }

    /// Whether a head is that of a record asked for; of rows that were so already.
    pub(super) fn takes(&self, header: &Header) -> bool {
        let submitted = header.submitted_at;
        self.series.as_ref().is_none_or(|series| *series == header.series)
            && self.submitted.0.is_none_or(|from| from <= submitted)
            && self.submitted.1.is_none_or(|before| submitted < before)
    }

    /// Whether the names in a head are those that its row's tokens stood for.
    pub(super) fn agrees(&self, header: &Header) -> bool {
        self.unit.as_ref().is_none_or(|unit| *unit == header.unit)
            && self.receiver.as_ref().is_none_or(|receiver| header.receivers.contains(receiver))
            && self.regime.as_ref().is_none_or(|regime| *regime == header.regime)
    }

    /// Sequence numbers of a watch: acceptance is judged leaf by leaf, since it goes on in the future.
    pub(super) fn takes_accepted(&self, at: UnixMs) -> bool {
        let at = SubmittedAt::from_unix_ms(at);
        self.accepted.0.is_none_or(|from| from <= at) && self.accepted.1.is_none_or(|before| at < before)
    }

    /// For a watch from `sequences` on.
    pub(super) fn watched(&self, caller: &Caller, tokens: &TokenKey, sequences: Range<u64>) -> Query {
        Query {
            audience: caller.audience(tokens),
            unit: self.unit.as_ref().map(|unit| tokens.unit(unit)),
            receiver: self.receiver.as_ref().map(|unit| tokens.receiver(unit)),
            regime: self.regime.as_ref().map(|regime| tokens.regime(regime)),
            periods: self.periods.clone(),
            // each is the latest of its series when it comes
            state: State::Any,
            size: sequences.end,
            sequences,
            order: Order::Oldest,
        }
    }
}
