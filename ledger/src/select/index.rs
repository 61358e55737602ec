//! The index, along one or more of its sides at once.

use std::ops::{ControlFlow, RangeInclusive};

use bytes::Bytes;
use kho_proto::id::{Seq, Token};

use crate::row::{Damaged, Fault};
use crate::table::{Role, Table, joined};
use crate::view::{Direction, ReadError, View};

/// Bytes of role and token, with which a key begins.
const SIDE_LENGTH: usize = 17;
/// Bytes of the regime's token, which comes next.
const REGIME_LENGTH: usize = 16;
/// Behind every key with the same beginning: the longest token, period and sequence number.
const AFTER: &[u8] = &[0xff; 96];

/// Parts of the index: what some units sent or receive, with the same regime and period if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sides {
    sides: Vec<Bytes>,
    rest: Bytes,
    /// Behind the side, inclusive and exclusive.
    bounds: (Bytes, Bytes),
}

/// What stands behind the side of an index key: the same record has the same under each of its sides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) Bytes);

impl Place {
    /// Period and sequence number.
    pub(super) fn read(&self) -> Result<(&str, Seq), Damaged> {
        let damaged = || Damaged::new(Table::Index, &self.0, Fault::Content { expected: "regime, period, sequence" });
        let behind = self.0.get(REGIME_LENGTH..).ok_or_else(damaged)?;
        let (period, seq) = behind.split_last_chunk::<8>().ok_or_else(damaged)?;
        let period = period.strip_suffix(&[0]).and_then(|period| std::str::from_utf8(period).ok());
        Ok((period.ok_or_else(damaged)?, Seq(u64::from_be_bytes(*seq))))
    }
}

impl Sides {
    /// `rest` is what all keys have behind their side; `years` those of their periods, if `rest` is a regime.
    pub(super) fn new(units: Vec<(Role, Token)>, rest: Bytes, years: Option<RangeInclusive<u16>>) -> Self {
        let mut sides: Vec<Bytes> =
            units.iter().map(|(role, token)| joined(&[&[*role as u8], token.as_ref()])).collect();
        sides.sort();
        sides.dedup();
        let bounds = match years {
            None => (rest.clone(), joined(&[&rest, AFTER])),
            Some(years) => {
                let first = format!("{:04}", years.start());
                // of the last year, whatever stands behind its digits
                let last = format!("{:04}", years.end());
                (joined(&[&rest, first.as_bytes()]), joined(&[&rest, last.as_bytes(), AFTER]))
            }
        };
        Self { sides, rest, bounds }
    }

    /// Each side by itself.
    pub(super) fn apart(&self) -> impl Iterator<Item = Sides> + '_ {
        self.sides.iter().map(|side| Sides { sides: vec![side.clone()], ..self.clone() })
    }

    /// Places behind `after`, each once, in order, until `each` breaks.
    pub(super) fn scan<E: From<ReadError>>(
        &self,
        view: &dyn View,
        direction: Direction,
        after: Option<&Place>,
        each: &mut dyn FnMut(Place) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        match &self.sides[..] {
            [] => Ok(()),
            [side] => self.scan_one(view, side, direction, after, each),
            sides => self.scan_merged(view, sides, direction, after, each),
        }
    }

    /// Where reading a side begins.
    fn start(&self, direction: Direction, after: Option<&Place>) -> Bytes {
        match (direction, after) {
            (Direction::Forward, None) => self.bounds.0.clone(),
            (Direction::Forward, Some(Place(after))) => joined(&[after, &[0]]),
            (Direction::Backward, None) => self.bounds.1.clone(),
            (Direction::Backward, Some(Place(after))) => after.clone(),
        }
    }

    fn ends(&self, place: &[u8], direction: Direction) -> bool {
        match direction {
            Direction::Forward => place >= self.bounds.1.as_ref(),
            Direction::Backward => place < self.bounds.0.as_ref(),
        }
    }

    fn scan_one<E: From<ReadError>>(
        &self,
        view: &dyn View,
        side: &[u8],
        direction: Direction,
        after: Option<&Place>,
        each: &mut dyn FnMut(Place) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let (prefix, start) = (joined(&[side, &self.rest]), joined(&[side, &self.start(direction, after)]));
        let mut failed = None;
        let scanned = view.scan(Table::Index, &prefix, &start, direction, &mut |(key, _)| {
            let place = key.slice(SIDE_LENGTH..);
            if self.ends(&place, direction) {
                return ControlFlow::Break(());
            }
            each(Place(place)).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            })
        });
        scanned.map_err(|error| E::from(error.into()))?;
        failed.map_or(Ok(()), Err)
    }

    /// The next of all sides each time. A record that several of them hold comes once.
    fn scan_merged<E: From<ReadError>>(
        &self,
        view: &dyn View,
        sides: &[Bytes],
        direction: Direction,
        after: Option<&Place>,
        each: &mut dyn FnMut(Place) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let next = |side: &Bytes, after: Option<&Place>| -> Result<Option<Place>, E> {
            let (prefix, start) = (joined(&[side, &self.rest]), joined(&[side, &self.start(direction, after)]));
            let row = match direction {
                Direction::Forward => view.at_or_after(Table::Index, &prefix, &start),
                Direction::Backward => view.before(Table::Index, &prefix, &start),
            };
            let row = row.map_err(|error| E::from(error.into()))?;
            Ok(row.map(|(key, _)| Place(key.slice(SIDE_LENGTH..))).filter(|place| !self.ends(&place.0, direction)))
        };
        let mut heads = sides.iter().map(|side| next(side, after)).collect::<Result<Vec<_>, E>>()?;
        loop {
            let waiting = heads.iter().flatten();
            let first = match direction {
                Direction::Forward => waiting.min(),
                Direction::Backward => waiting.max(),
            };
            let Some(first) = first.cloned() else { return Ok(()) };
            for (head, side) in heads.iter_mut().zip(sides) {
                if head.as_ref() == Some(&first) {
                    *head = next(side, Some(&first))?;
                }
            }
            if each(first)?.is_break() {
                return Ok(());
            }
        }
    }
}
