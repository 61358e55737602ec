//! Which records, on the command line.

use std::str::FromStr;

use kho_client::{Filter, StateFilter};
use kho_proto::header::SubmittedAt;
use kho_proto::id::{RegimeCode, UnitCode};
use kho_proto::period::{Period, PeriodRange};

use crate::exit::Failure;
use crate::lang;

/// A moment in Vietnam's zone; a day alone is its first moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(SubmittedAt);

impl Moment {
    /// As the client takes it.
    pub fn at(self) -> SubmittedAt {
        self.0
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = match text.len() {
            10 => format!("{text}T00:00:00.000+07:00"),
            19 => format!("{text}.000+07:00"),
            _ => text.to_owned(),
        };
        whole
            .parse()
            .map(Moment)
            .map_err(|_| "expected 2020-06-12, 2020-06-12T08:30:00 or 2020-06-12T08:30:00.000+07:00".to_owned())
    }
}

/// States, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// All revisions.
    All,
    /// The latest of each series.
    Latest,
    /// Those that a later one superseded.
    Superseded,
}

/// Options of every command that selects records.
#[derive(Debug, Clone, clap::Args)]
pub struct FilterArgs {
    /// Sent by this unit.
    #[arg(long, value_name = "CODE")]
    unit: Option<UnitCode>,
    /// Received by this unit.
    #[arg(long, value_name = "CODE")]
    receiver: Option<UnitCode>,
    /// Of this regime.
    #[arg(long, value_name = "CODE")]
    regime: Option<RegimeCode>,
    /// Of exactly this period.
    #[arg(long, value_name = "PERIOD", conflicts_with_all = ["from", "to"])]
    period: Option<Period>,
    /// Of periods, of whatever kind, that lie between the first day of this one...
    #[arg(long, value_name = "PERIOD")]
    from: Option<Period>,
    /// ...and the last day of this one.
    #[arg(long, value_name = "PERIOD")]
    to: Option<Period>,
    /// On exactly this subject; '' for records without one.
    #[arg(long, value_name = "TEXT")]
    series: Option<String>,
    /// Accepted at this moment or later.
    #[arg(long, value_name = "MOMENT")]
    accepted_from: Option<Moment>,
    /// Accepted before this moment.
    #[arg(long, value_name = "MOMENT")]
    accepted_before: Option<Moment>,
    /// Submitted at this moment or later.
    #[arg(long, value_name = "MOMENT")]
    submitted_from: Option<Moment>,
    /// Submitted before this moment.
    #[arg(long, value_name = "MOMENT")]
    submitted_before: Option<Moment>,
}

/// The second of two periods may not end before the first begins.
pub fn check_range(from: Option<&Period>, to: Option<&Period>) -> crate::exit::Result {
    if PeriodRange::new(from, to).is_some() {
        return Ok(());
    }
    let text = |period: Option<&Period>| period.map(ToString::to_string).unwrap_or_default();
    Err(Failure::usage(lang::FROM_AFTER_TO.with(lang::current(), &[("from", &text(from)), ("to", &text(to))])))
}

impl FilterArgs {
    /// Whether it names what a list by period is read along: a regime, and a unit that sends or receives.
    pub fn has_side(&self) -> bool {
        self.regime.is_some() && (self.unit.is_some() || self.receiver.is_some())
    }

    /// As the client takes it.
    pub fn filter(&self, state: State) -> crate::exit::Result<Filter> {
        check_range(self.from.as_ref(), self.to.as_ref())?;
        let moment = |moment: Option<Moment>| moment.map(|Moment(at)| at);
        Ok(Filter {
            unit: self.unit.clone(),
            receiver: self.receiver.clone(),
            regime: self.regime.clone(),
            period: self.period,
            period_from: self.from,
            period_to: self.to,
            series: self.series.clone(),
            state: match state {
                State::All => StateFilter::Any,
                State::Latest => StateFilter::Latest,
                State::Superseded => StateFilter::Superseded,
            },
            accepted_from: moment(self.accepted_from),
            accepted_before: moment(self.accepted_before),
            submitted_from: moment(self.submitted_from),
            submitted_before: moment(self.submitted_before),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_short() {
        let moment = |text: &str| text.parse::<Moment>().map(|Moment(at)| at.to_string()).ok();
        assert_eq!(moment("2020-06-12").as_deref(), Some("2020-06-12T00:00:00.000+07:00"));
        assert_eq!(moment("2020-06-12T08:30:00").as_deref(), Some("2020-06-12T08:30:00.000+07:00"));
        assert_eq!(moment("2020-06-12T08:30:00.250+07:00").as_deref(), Some("2020-06-12T08:30:00.250+07:00"));
        for bad in ["", "2020", "2020-06-31", "2020-06-12T08:30:00Z", "12.06.2020"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
