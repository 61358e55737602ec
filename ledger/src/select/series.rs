use std::ops::ControlFlow;

use kho_proto::id::Token;

use crate::command::submit::FIRST_REVISION;
use crate::read;
use crate::row::{Damaged, RecordRow, SeriesRow, split_key};
use crate::table::{self, AFTER_ALL, Table};
use crate::view::{Direction, ReadError, View};

/// Whether a later revision stands among the first `size` leaves.
pub fn superseded(view: &dyn View, row: &RecordRow, size: u64) -> Result<bool, ReadError> {
    let Some(next) = row.revision.checked_add(1) else { return Ok(false) };
    Ok(read::revision(view, &row.series_token, next)?.is_some_and(|next| next.seq.0 < size))
}

/// Revisions of a series among the first `size` leaves, behind revision `after`, one after the other until `each` breaks.
pub fn revisions<E: From<ReadError>>(
    view: &dyn View,
    series: &Token,
    size: u64,
    direction: Direction,
    after: Option<u32>,
    each: &mut dyn FnMut(SeriesRow) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let from = match (direction, after) {
        (Direction::Forward, None) => table::series_key(series, FIRST_REVISION),
        (Direction::Forward, Some(u32::MAX)) => return Ok(()),
        (Direction::Forward, Some(after)) => table::series_key(series, after + 1),
        (Direction::Backward, None) => table::joined(&[series.as_ref(), AFTER_ALL]),
        (Direction::Backward, Some(after)) => table::series_key(series, after),
    };
    let mut failed = None;
    let scanned = view.scan(Table::Series, series.as_ref(), &from, direction, &mut |(key, value)| {
        let row = split_key::<16, 4>(Table::Series, &key).and_then(|(_, revision)| {
            let row = SeriesRow::decode(u32::from_be_bytes(revision), value);
            row.map_err(|fault| Damaged::new(Table::Series, &key, fault))
        });
        let row = match row {
            Ok(row) if row.seq.0 >= size => return ControlFlow::Continue(()),
            Ok(row) => row,
            Err(damaged) => {
                failed = Some(E::from(damaged.into()));
                return ControlFlow::Break(());
            }
        };
        each(row).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    });
    scanned.map_err(|error| E::from(error.into()))?;
    failed.map_or(Ok(()), Err)
}
