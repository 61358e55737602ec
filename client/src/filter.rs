//! Which records are asked for.

use kho_proto::header::SubmittedAt;
use kho_proto::id::{RegimeCode, UnitCode};
use kho_proto::pb::v1 as pb;
use kho_proto::period::Period;

/// Whether a later revision has taken a record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateFilter {
    /// All revisions.
    #[default]
    Any,
    /// The latest of their series.
    Latest,
    /// Those that were superseded.
    Superseded,
}

/// Which record comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The last accepted.
    #[default]
    Newest,
    /// The first accepted.
    Oldest,
    /// By the text of the period, then by sequence number. Needs a regime, and a unit or a receiver.
    Period,
    /// The reverse of it.
    PeriodDescending,
}

/// Which records; every field that is given must hold. Empty: all that the client's certificate lets it see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Who sent it.
    pub unit: Option<UnitCode>,
    /// Who receives it.
    pub receiver: Option<UnitCode>,
    /// Its regime.
    pub regime: Option<RegimeCode>,
    /// Exactly this period.
    pub period: Option<Period>,
    /// Periods that begin with this one or later...
    pub period_from: Option<Period>,
    /// ...and end with this one or earlier, of whatever kind.
    pub period_to: Option<Period>,
    /// Its subject; `Some("")`: none.
    pub series: Option<String>,
    /// Its state.
    pub state: StateFilter,
    /// Accepted at or after.
    pub accepted_from: Option<SubmittedAt>,
    /// Accepted before.
    pub accepted_before: Option<SubmittedAt>,
    /// Submitted at or after.
    pub submitted_from: Option<SubmittedAt>,
    /// Submitted before.
    pub submitted_before: Option<SubmittedAt>,
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

impl Filter {
    pub(crate) fn to_pb(&self) -> pb::Filter {
        let state = match self.state {
            StateFilter::Any => pb::RecordState::Any,
            StateFilter::Latest => pb::RecordState::Latest,
            StateFilter::Superseded => pb::RecordState::Superseded,
        };
        pb::Filter {
            unit: text(self.unit.as_ref()),
            receiver: text(self.receiver.as_ref()),
            regime: text(self.regime.as_ref()),
            period: text(self.period.as_ref()),
            period_from: text(self.period_from.as_ref()),
            period_to: text(self.period_to.as_ref()),
            series: self.series.clone(),
            state: state.into(),
            accepted_from: text(self.accepted_from.as_ref()),
            accepted_before: text(self.accepted_before.as_ref()),
            submitted_from: text(self.submitted_from.as_ref()),
            submitted_before: text(self.submitted_before.as_ref()),
        }
    }
}

impl Order {
    pub(crate) fn to_pb(self) -> i32 {
        let order = match self {
            Order::Newest => pb::Order::Newest,
            Order::Oldest => pb::Order::Oldest,
            Order::Period => pb::Order::Period,
            Order::PeriodDescending => pb::Order::PeriodDescending,
        };
        order.into()
    }
}
