use std::ops::Range;

use kho_proto::id::{Seq, Token};
use kho_proto::period::{Period, PeriodRange};

use crate::row::RecordRow;

/// The tokens of a unit that somebody reads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eyes {
    /// As a sender.
    pub unit: Token,
    /// As a receiver.
    pub receiver: Token,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// One who may see all records.
    All,
    /// One who sees what these units sent or receive.
    These(Vec<Eyes>),
}

impl Audience {
    pub(super) fn sends(&self, unit: &Token) -> bool {
        match self {
            Audience::All => true,
            Audience::These(eyes) => eyes.iter().any(|eye| eye.unit == *unit),
        }
    }

    pub(super) fn receives(&self, receiver: &Token) -> bool {
        match self {
            Audience::All => true,
            Audience::These(eyes) => eyes.iter().any(|eye| eye.receiver == *receiver),
        }
    }

    /// Whether a record is for them.
    pub fn sees(&self, row: &RecordRow) -> bool {
        self.sends(&row.unit_token) || row.receiver_tokens.iter().any(|token| self.receives(token))
    }
}

/// Which periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Periods {
    /// All.
    Any,
    /// One, by its text.
    One(String),
    /// All that lie in a range.
    Within(PeriodRange),
}

impl Periods {
    pub(super) fn take(&self, period: &str) -> bool {
        match self {
            Periods::Any => true,
            Periods::One(one) => one == period,
            // the grammar is the header's matter: what is in a row may be of none
            Periods::Within(range) => period.parse::<Period>().is_ok_and(|period| range.contains(&period)),
        }
    }
}

/// Which revisions, as of the query's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All.
    Any,
    /// The latest of their series.
    Latest,
    /// Those that a later one has superseded.
    Superseded,
}

/// Which record first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The last sequence number.
    Newest,
    /// The first sequence number.
    Oldest,
    /// The least regime token, period text, sequence number, in this order. For queries with a side: a unit, a receiver, or
    /// an audience of some units.
    Index,
    /// The reverse of it.
    IndexDescending,
}

impl Order {
    pub(super) fn descends(self) -> bool {
        matches!(self, Order::Newest | Order::IndexDescending)
    }
}

/// Which records, in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub audience: Audience,
    /// Sent by this unit.
    pub unit: Option<Token>,
    /// Received by this unit.
    pub receiver: Option<Token>,
    /// Of this regime.
    pub regime: Option<Token>,
    /// Of these periods.
    pub periods: Periods,
    /// In this state.
    pub state: State,
    /// With these sequence numbers; none at or behind `size`.
    pub sequences: Range<u64>,
    /// Leaves of the log that the query is about.
    pub size: u64,
    /// In this order.
    pub order: Order,
}

impl Query {
    /// What an index row says of a record.
    pub(super) fn takes_key(&self, period: &str, seq: Seq) -> bool {
        self.sequences.contains(&seq.0) && self.periods.take(period)
    }

    /// All but the state.
    pub fn matches(&self, row: &RecordRow) -> bool {
        self.takes_key(&row.period, row.seq)
            && self.unit.is_none_or(|unit| unit == row.unit_token)
            && self.receiver.is_none_or(|receiver| row.receiver_tokens.contains(&receiver))
            && self.regime.is_none_or(|regime| regime == row.regime_token)
            && self.audience.sees(row)
    }
}
