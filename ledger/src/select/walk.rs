//! One step along a path.

use std::ops::ControlFlow;

use bytes::Bytes;
use kho_proto::id::Seq;
use kho_proto::leaf::{Leaf, LeafKind};

use super::budget::{Budget, KEY_WORK, ROW_WORK};
use super::gather::gather;
use super::index::{Place, Sides};
use super::plan::{Path, Plan};
use super::query::{Query, State};
use super::series::superseded;
use crate::read;
use crate::row::{Damaged, Fault, RecordRow, number_key};
use crate::table::{self, AFTER_ALL, Table};
use crate::view::{Direction, ReadError, View};

/// The last record that a step looked at; the next one begins behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Of the index: token of the regime, period, 0x00, sequence number.
    Index(Bytes),
    /// Of sequence numbers out of the index.
    Gathered(Seq),
    /// Of leaves.
    Leaf(Seq),
}

/// A record that a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its leaf.
    pub leaf: Leaf,
    /// Where it stands and whose it is.
    pub row: RecordRow,
}

/// A record that a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It is one of those asked for, as far as rows say.
    Record(Box<Candidate>),
    /// The same, by its index key or leaf alone.
    Key(Seq),
}

/// Looks at a record that rows let through, and may spend more of the budget on it.
pub type Look<'v, T, E> = dyn FnMut(Candidate, &mut Budget<'_>) -> Result<T, E> + 'v;

/// Records behind `after`, until `visit` breaks or the budget is spent. Where to go on; none: that was all.
pub fn select<E: From<ReadError>>(
    view: &dyn View,
    query: &Query,
    after: Option<&Cursor>,
    budget: &mut Budget<'_>,
    visit: &mut Look<'_, ControlFlow<()>, E>,
) -> Result<Option<Cursor>, E> {
    let plan = Plan { by_key: false, ..Plan::of(query) };
    Walk { view, query, by_key: false }.run(plan, after, budget, &mut |found, budget| match found {
        Found::Record(candidate) => visit(*candidate, budget),
        Found::Key(_) => Ok(ControlFlow::Continue(())),
    })
}

/// The same in the order of sequence numbers, leaf by leaf, whoever asks: for those who look at each record once.
pub fn follow<E: From<ReadError>>(
    view: &dyn View,
    query: &Query,
    budget: &mut Budget<'_>,
    visit: &mut Look<'_, ControlFlow<()>, E>,
) -> Result<Option<Cursor>, E> {
    Walk { view, query, by_key: false }.leaves::<E>(None, budget, &mut |found, budget| match found {
        Found::Record(candidate) => visit(*candidate, budget),
        Found::Key(_) => Ok(ControlFlow::Continue(())),
    })
}

/// How many records stand behind `after`, as far as the budget goes, and where to go on. With `accept` each is looked at.
pub fn count<E: From<ReadError>>(
    view: &dyn View,
    query: &Query,
    after: Option<&Cursor>,
    budget: &mut Budget<'_>,
    mut accept: Option<&mut Look<'_, bool, E>>,
) -> Result<(u64, Option<Cursor>), E> {
    let plan = Plan::of_count(query);
    let by_key = plan.by_key && accept.is_none();
    let mut counted = 0;
    let next = Walk { view, query, by_key }.run::<E>(plan, after, budget, &mut |found, budget| {
        let taken = match (found, &mut accept) {
            (Found::Record(candidate), Some(accept)) => accept(*candidate, budget)?,
            (Found::Record(_) | Found::Key(_), _) => true,
        };
        counted += u64::from(taken);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((counted, next))
}

type Visit<'v, E> = dyn FnMut(Found, &mut Budget<'_>) -> Result<ControlFlow<()>, E> + 'v;

struct Walk<'a> {
    view: &'a dyn View,
    query: &'a Query,
    /// Whether to leave records alone whose key says enough.
    by_key: bool,
}

impl Walk<'_> {
    fn run<E: From<ReadError>>(
        &self,
        plan: Plan,
        after: Option<&Cursor>,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<Option<Cursor>, E> {
        if self.query.sequences.is_empty() {
            return Ok(None);
        }
        match (plan.path, after) {
            (Path::Index(sides), after) => {
                let after = match after {
                    Some(Cursor::Index(place)) => Some(Place(place.clone())),
                    _ => None,
                };
                self.index(&sides, after.as_ref(), budget, visit)
            }
            (Path::Gather(_), Some(Cursor::Leaf(after))) => self.leaves(Some(*after), budget, visit),
            (Path::Gather(sides), after) => {
                let after = match after {
                    Some(Cursor::Gathered(after)) => Some(*after),
                    _ => None,
                };
                match gather(self.view, self.query, &sides, budget)? {
                    Some(found) => self.gathered(&found, after, budget, visit),
                    None => self.leaves(after, budget, visit),
                }
            }
            (Path::Leaves, Some(Cursor::Leaf(after))) => self.leaves(Some(*after), budget, visit),
            (Path::Leaves, _) => self.leaves(None, budget, visit),
        }
    }

    fn direction(&self) -> Direction {
        if self.query.order.descends() { Direction::Backward } else { Direction::Forward }
    }

    fn index<E: From<ReadError>>(
        &self,
        sides: &Sides,
        after: Option<&Place>,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<Option<Cursor>, E> {
        let mut last = None;
        sides.scan::<E>(self.view, self.direction(), after, &mut |place| {
            budget.spend(KEY_WORK);
            let (period, seq) = place.read().map_err(|damaged| E::from(damaged.into()))?;
            let flow = if !self.query.takes_key(period, seq) {
                ControlFlow::Continue(())
            } else if self.by_key {
                visit(Found::Key(seq), budget)?
            } else {
                self.look_up(seq, None, budget, visit)?
            };
            let flow = if budget.over() { ControlFlow::Break(()) } else { flow };
            if flow.is_break() {
                last = Some(Cursor::Index(place.0));
            }
            Ok(flow)
        })?;
        Ok(last)
    }

    fn gathered<E: From<ReadError>>(
        &self,
        found: &[u64],
        after: Option<Seq>,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<Option<Cursor>, E> {
        let mut each = |seq: u64| -> Result<Option<Cursor>, E> {
            let flow = self.look_up(Seq(seq), None, budget, visit)?;
            Ok((flow.is_break() || budget.over()).then_some(Cursor::Gathered(Seq(seq))))
        };
        let rest: Box<dyn Iterator<Item = &u64>> = match (self.direction(), after) {
            (Direction::Forward, None) => Box::new(found.iter()),
            (Direction::Forward, Some(after)) => Box::new(found[found.partition_point(|seq| *seq <= after.0)..].iter()),
            (Direction::Backward, None) => Box::new(found.iter().rev()),
            (Direction::Backward, Some(after)) => {
                Box::new(found[..found.partition_point(|seq| *seq < after.0)].iter().rev())
            }
        };
        for seq in rest {
            if let Some(cursor) = each(*seq)? {
                return Ok(Some(cursor));
            }
        }
        Ok(None)
    }

    fn leaves<E: From<ReadError>>(
        &self,
        after: Option<Seq>,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<Option<Cursor>, E> {
        let (direction, range) = (self.direction(), &self.query.sequences);
        let from = match (direction, after) {
            (Direction::Forward, after) => {
                after.map_or(range.start, |after| after.0.saturating_add(1)).max(range.start)
            }
            (Direction::Backward, after) => after.map_or(range.end, |after| after.0).min(range.end),
        };
        let key = match u64::MAX {
            last if last == from => AFTER_ALL.to_vec(),
            _ => table::seq_key(Seq(from)).to_vec(),
        };
        let (mut last, mut failed) = (None, None);
        let scanned = self.view.scan(Table::Leaves, &[], &key, direction, &mut |(key, value)| {
            let mut step = || -> Result<ControlFlow<()>, E> {
                let seq = number_key(Table::Leaves, &key).map_err(|damaged| E::from(damaged.into()))?;
                if !range.contains(&seq) {
                    return Ok(ControlFlow::Break(()));
                }
                budget.spend(KEY_WORK);
                let not_a_leaf = |_| Damaged::new(Table::Leaves, &key, Fault::Content { expected: "leaf v1" });
                let leaf = Leaf::decode(&value).map_err(|error| E::from(not_a_leaf(error).into()))?;
                let flow = self.leaf(Seq(seq), leaf, budget, visit)?;
                let flow = if budget.over() { ControlFlow::Break(()) } else { flow };
                if flow.is_break() {
                    last = Some(Cursor::Leaf(Seq(seq)));
                }
                Ok(flow)
            };
            step().unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            })
        });
        scanned.map_err(|error| E::from(error.into()))?;
        failed.map_or(Ok(last), Err)
    }

    fn leaf<E: From<ReadError>>(
        &self,
        seq: Seq,
        leaf: Leaf,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<ControlFlow<()>, E> {
        if leaf.kind != LeafKind::Record {
            return Ok(ControlFlow::Continue(()));
        }
        if self.by_key {
            return visit(Found::Key(seq), budget);
        }
        self.look_up(seq, Some(leaf), budget, visit)
    }

    fn look_up<E: From<ReadError>>(
        &self,
        seq: Seq,
        leaf: Option<Leaf>,
        budget: &mut Budget<'_>,
        visit: &mut Visit<'_, E>,
    ) -> Result<ControlFlow<()>, E> {
        match self.candidate(seq, leaf, budget)? {
            Some(candidate) => visit(Found::Record(Box::new(candidate)), budget),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// The record of a leaf, if it is one of those asked for.
    fn candidate(&self, seq: Seq, leaf: Option<Leaf>, budget: &mut Budget<'_>) -> Result<Option<Candidate>, ReadError> {
        let damaged = |table, key: &[u8], fault| ReadError::from(Damaged::new(table, key, fault));
        let leaf = match leaf {
            Some(leaf) => leaf,
            None => {
                budget.spend(ROW_WORK);
                let missing = || damaged(Table::Leaves, &table::seq_key(seq), Fault::Missing);
                read::leaf(self.view, seq)?.ok_or_else(missing)?
            }
        };
        budget.spend(ROW_WORK);
        let id = leaf.record_id;
        let row = read::record_row(self.view, &id)?;
        let row = row.ok_or_else(|| damaged(Table::Records, id.as_ref(), Fault::Missing))?;
        if row.seq != seq {
            let fault = Fault::Content { expected: "the sequence number of its leaf" };
            return Err(damaged(Table::Records, id.as_ref(), fault));
        }
        if !self.query.matches(&row) {
            return Ok(None);
        }
        if self.query.state != State::Any {
            budget.spend(ROW_WORK);
            let wanted = self.query.state == State::Superseded;
            if superseded(self.view, &row, self.query.size)? != wanted {
                return Ok(None);
            }
        }
        Ok(Some(Candidate { leaf, row }))
    }
}
