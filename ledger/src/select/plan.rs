//! Which rows to look at.

use bytes::Bytes;
use kho_proto::id::Token;

use super::index::Sides;
use super::query::{Audience, Order, Periods, Query, State};
use crate::table::Role;

/// Where records are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// Along the index: its order is the one asked for, or none was.
    Index(Sides),
    /// All keys of the index first, in the order of their sequence numbers; if there are too many, leaf by leaf.
    Gather(Sides),
    /// Leaf by leaf.
    Leaves,
}

/// How a query is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) path: Path,
    /// An index key, or that there is a leaf, says all that is asked: the record need not be looked up.
    pub(super) by_key: bool,
}

impl Plan {
    /// For a list.
    pub(super) fn of(query: &Query) -> Plan {
        let Some(sides) = sides(query) else { return Plan { path: Path::Leaves, by_key: asks_nothing(query) } };
        // within one period the index is in the order of sequence numbers
        let one_period = query.regime.is_some() && matches!(query.periods, Periods::One(_));
        let in_order = one_period || matches!(query.order, Order::Index | Order::IndexDescending);
        let path = if in_order { Path::Index(sides) } else { Path::Gather(sides) };
        Plan { path, by_key: by_key(query) }
    }

    /// For a count, where order does not matter.
    pub(super) fn of_count(query: &Query) -> Plan {
        match Plan::of(query) {
            Plan { path: Path::Gather(sides), by_key } => Plan { path: Path::Index(sides), by_key },
            plan => plan,
        }
    }
}

/// Whose index rows hold all that is asked. Where only some units' records may be seen it is always rows of theirs: how
/// long an answer takes must not tell of others'.
fn sides(query: &Query) -> Option<Sides> {
    let audience = &query.audience;
    let units: Vec<(Role, Token)> = match (query.unit, query.receiver, audience) {
        (Some(unit), _, _) if audience.sends(&unit) => vec![(Role::Sender, unit)],
        (_, Some(receiver), _) if audience.receives(&receiver) => vec![(Role::Receiver, receiver)],
        (_, _, Audience::All) => return None,
        (unit, _, Audience::These(eyes)) => {
            // what another unit sent is seen by those who receive it
            let sent = eyes.iter().filter(|_| unit.is_none()).map(|eye| (Role::Sender, eye.unit));
            sent.chain(eyes.iter().map(|eye| (Role::Receiver, eye.receiver))).collect()
        }
    };
    let mut rest = Vec::new();
    let mut years = None;
    if let Some(regime) = &query.regime {
        rest.extend_from_slice(regime.as_ref());
        match &query.periods {
            Periods::Any => {}
            Periods::One(period) => {
                rest.extend_from_slice(period.as_bytes());
                rest.push(0);
            }
            Periods::Within(range) => years = Some(range.years()),
        }
    }
    Some(Sides::new(units, Bytes::from(rest), years))
}

fn asks_nothing(query: &Query) -> bool {
    let Query { audience, unit, receiver, regime, periods, state, .. } = query;
    *audience == Audience::All
        && unit.is_none()
        && receiver.is_none()
        && regime.is_none()
        && *periods == Periods::Any
        && *state == State::Any
}

fn by_key(query: &Query) -> bool {
    let audience = &query.audience;
    query.state == State::Any
        && match (query.unit, query.receiver) {
            (Some(_), Some(_)) => false,
            (Some(unit), None) => audience.sends(&unit),
            (None, Some(receiver)) => audience.receives(&receiver),
            (None, None) => true,
        }
}
