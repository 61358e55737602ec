use std::ops::{ControlFlow, RangeInclusive};

use bytes::Bytes;
use kho_proto::id::{Seq, Token};

use super::index::{Place, Sides};
use crate::table::{Role, joined};
use crate::view::{Direction, ReadError, View};

/// Takes a period and a sequence number.
pub type Sent<'v, E> = dyn FnMut(&str, Seq) -> Result<ControlFlow<()>, E> + 'v;

/// Periods and sequence numbers of what a unit sent under a regime: by the periods' texts as bytes, then by sequence number,
/// behind a period if one is given. `years` are those of the periods' texts. Keys only: nothing is looked up.
pub fn sent<E: From<ReadError>>(
    view: &dyn View,
    (unit, regime): (&Token, &Token),
    years: RangeInclusive<u16>,
    after: Option<&str>,
    each: &mut Sent<'_, E>,
) -> Result<(), E> {
    let sides = Sides::new(vec![(Role::Sender, *unit)], Bytes::copy_from_slice(regime.as_ref()), Some(years));
    // behind every sequence number of that period
    let after = after.map(|period| Place(joined(&[regime.as_ref(), period.as_bytes(), &[0], &[0xff; 8]])));
    sides.scan(view, Direction::Forward, after.as_ref(), &mut |place| {
        let (period, seq) = place.read().map_err(|damaged| E::from(damaged.into()))?;
        each(period, seq)
    })
}
