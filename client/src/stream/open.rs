//! Records without an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::case::Case;
use crate::draft::{Signed, UnderWay};
use crate::rounds::ATTEMPT_MIN;

/// Number of a record in its stream; what travels as the correlation.
pub(super) type Number = u64;

/// Where a record is.
pub(super) enum Place {
    /// Here, and not before this is it sent.
    Waits(Instant),
    /// With a node, since.
    Sent(Instant, UnderWay),
}

/// A record without an answer.
pub(super) struct Open {
    pub record: Signed,
    pub case: Case,
    pub deadline: Instant,
    pub place: Place,
    /// It went without its certificates, or shall go with them whatever the node may know.
    pub certificates: Certificates,
    /// Its caller's.
    pub permit: OwnedSemaphorePermit,
}

/// How a record's certificates travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificates {
    /// Not decided.
    AsKnown,
    /// Left out: the node has seen them on this stream.
    LeftOut,
    /// With the record: the node said that it lacks them.
    Along,
}

impl Open {
    /// It is with no node any more; the next attempt is made after `pause`.
    pub fn again(&mut self, pause: Duration) {
        self.place = Place::Waits(Instant::now() + pause);
    }

    /// Whether a node has it.
    pub fn is_sent(&self) -> bool {
        matches!(self.place, Place::Sent(..))
    }

    /// The attempt is over; without doubt it was certainly not taken by it.
    pub fn not_taken_unless(&mut self, doubt: bool) {
        let place = std::mem::replace(&mut self.place, Place::Waits(Instant::now()));
        if let Place::Sent(_, under_way) = place
            && !doubt
        {
            under_way.not_taken();
        }
    }
}

/// All of them, in the order in which they were given.
#[derive(Default)]
pub(super) struct Records {
    open: BTreeMap<Number, Open>,
    last: Number,
}

impl Records {
    pub fn add(&mut self, record: Signed, case: Case, permit: OwnedSemaphorePermit, deadline: Duration) -> Number {
        let now = Instant::now();
        self.last += 1;
        let open = Open {
            record,
            case,
            deadline: now + deadline,
            place: Place::Waits(now),
            certificates: Certificates::AsKnown,
            permit,
        };
        self.open.insert(self.last, open);
        self.last
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn get_mut(&mut self, number: Number) -> Option<&mut Open> {
        self.open.get_mut(&number)
    }

    pub fn remove(&mut self, number: Number) -> Option<Open> {
        self.open.remove(&number)
    }

    fn numbers(&self, of: impl Fn(&Open) -> bool) -> Vec<Number> {
        self.open.iter().filter(|(_, open)| of(open)).map(|(number, _)| *number).collect()
    }

    /// The first that may be sent now.
    pub fn ready(&self, now: Instant) -> Option<Number> {
        let ready = |open: &Open| matches!(open.place, Place::Waits(from) if from <= now);
        self.open.iter().find(|(_, open)| ready(open)).map(|(number, _)| *number)
    }

    /// Those that are with a node.
    pub fn sent(&self) -> Vec<Number> {
        self.numbers(|open| matches!(open.place, Place::Sent(..)))
    }

    /// Those that are here.
    pub fn waiting(&self) -> Vec<Number> {
        self.numbers(|open| matches!(open.place, Place::Waits(_)))
    }

    /// Whether one is with a node for longer than `patience`.
    pub fn stalls(&self, now: Instant, patience: Duration) -> bool {
        self.open.values().any(|open| matches!(open.place, Place::Sent(since, _) if since + patience <= now))
    }

    /// Those whose time is up, or too short for another attempt.
    pub fn overdue(&self, now: Instant) -> Vec<Number> {
        self.numbers(|open| match open.place {
            Place::Waits(from) => open.deadline < from.max(now) + ATTEMPT_MIN,
            Place::Sent(..) => open.deadline <= now,
        })
    }

    /// When to look again, if nothing happens before. `overdue` has just been asked.
    pub fn wake(&self, now: Instant, patience: Duration) -> Option<Instant> {
        let of = |open: &Open| match open.place {
            Place::Waits(from) if from > now => from,
            Place::Waits(_) => open.deadline.checked_sub(ATTEMPT_MIN).unwrap_or(now),
            Place::Sent(since, _) => open.deadline.min(since + patience),
        };
        self.open.values().map(of).min()
    }
}
