//! Sequence numbers out of the index, in their own order.

use std::ops::ControlFlow;

use super::budget::{Budget, KEY_WORK};
use super::index::Sides;
use super::query::Query;
use crate::view::{Direction, ReadError, View};

/// Index keys that a step may look at before it begins, at most: 400 KiB of sequence numbers. A unit with more records than
/// that is found leaf by leaf as well.
pub const GATHER_KEYS_MAX: usize = 50_000;

/// The sequence numbers that keys speak for, ascending, each once; none if there are too many keys.
pub(super) fn gather(
    view: &dyn View,
    query: &Query,
    sides: &Sides,
    budget: &mut Budget<'_>,
) -> Result<Option<Vec<u64>>, ReadError> {
    let (mut keys, mut found) = (0, Vec::new());
    sides.each_side(view, &mut |place| {
        keys += 1;
        let (period, seq) = place.read()?;
        if query.takes_key(period, seq) {
            found.push(seq.0);
        }
        Ok::<_, ReadError>(if keys > GATHER_KEYS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    budget.spend(keys as u64 * KEY_WORK);
    if keys > GATHER_KEYS_MAX {
        return Ok(None);
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

impl Sides {
    /// Places of one side after the other: without a merge, some more than once.
    fn each_side(
        &self,
        view: &dyn View,
        each: &mut dyn FnMut(super::index::Place) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<(), ReadError> {
        let mut broken = false;
        for side in self.apart() {
            side.scan(view, Direction::Forward, None, &mut |place| {
                let flow = each(place)?;
                broken = flow.is_break();
                Ok::<_, ReadError>(flow)
            })?;
            if broken {
                break;
            }
        }
        Ok(())
    }
}
