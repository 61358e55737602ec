use std::ops::{ControlFlow, RangeInclusive};

use bytes::Bytes;
use kho_proto::id::{Seq, Token};

use super::index::{Place, Sides};
use crate::row::{Damaged, Fault};
use crate::table::{Role, Table, joined, seq_key};
use crate::view::{Direction, ReadError, View};

/// Takes a period and a sequence number.
pub type Sent<'v, E> = dyn FnMut(&str, Seq) -> Result<ControlFlow<()>, E> + 'v;

/// A unit that sent something, and the regime that it was under.
pub type Pair = (Token, Token);

/// The next pair that something was sent under, behind one if it is given, of one unit if that is: a single seek.
pub fn sent_pair(view: &dyn View, unit: Option<&Token>, after: Option<&Pair>) -> Result<Option<Pair>, ReadError> {
    let role = [Role::Sender as u8];
    let prefix = joined(&[&role, unit.map_or(&[], AsRef::as_ref)]);
    // no period begins with this byte
    let behind = |(unit, regime): &Pair| joined(&[&role, unit.as_ref(), regime.as_ref(), &[0xff]]);
    let start = after.map_or_else(|| prefix.clone(), behind);
    let Some((key, _)) = view.at_or_after(Table::Index, &prefix, &start)? else { return Ok(None) };
    let token = |from: usize| {
        let damaged = || Damaged::new(Table::Index, &key, Fault::Content { expected: "unit, regime" });
        key.get(from..from + 16).and_then(|bytes| Token::try_from(bytes).ok()).ok_or_else(damaged)
    };
    Ok(Some((token(1)?, token(17)?)))
}

/// Periods and sequence numbers of what a unit sent under a regime: by the periods' texts as bytes, then by sequence number,
/// behind a period and a number in it if they are given. `years` are those of the periods' texts. Keys only: nothing is looked up.
pub fn sent<E: From<ReadError>>(
    view: &dyn View,
    (unit, regime): (&Token, &Token),
    years: RangeInclusive<u16>,
    after: Option<(&str, Seq)>,
    each: &mut Sent<'_, E>,
) -> Result<(), E> {
    let sides = Sides::new(vec![(Role::Sender, *unit)], Bytes::copy_from_slice(regime.as_ref()), Some(years));
    let place = |(period, seq): (&str, Seq)| joined(&[regime.as_ref(), period.as_bytes(), &[0], &seq_key(seq)]);
    let after = after.map(|after| Place(place(after)));
    sides.scan(view, Direction::Forward, after.as_ref(), &mut |place| {
        let (period, seq) = place.read().map_err(|damaged| E::from(damaged.into()))?;
        each(period, seq)
    })
}
