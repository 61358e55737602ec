//! What every [`View`] must answer: one suite for the store and for its fakes. For tests.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::change::{Change, Changes};
use crate::table::Table;
use crate::view::{Direction, Row, View};

/// Keys that lie on both sides of prefixes, with bytes that a careless successor or comparison gets wrong.
const KEYS: &[&[u8]] =
    &[&[0], &[0, 0], &[0, 255], &[1], &[1, 0], &[1, 1, 1], &[1, 255], &[1, 255, 255], &[2], &[255], &[255, 255, 0]];

/// Bounds and prefixes to ask with; keys need not be inside the prefix.
const ASKED: &[&[u8]] =
    &[&[], &[0], &[0, 1], &[1], &[1, 0, 0], &[1, 255], &[1, 255, 255, 0], &[2], &[3], &[254], &[255], &[255; 9]];

/// Writes rows through `open` and panics where the view that it returns answers otherwise than the rows say.
pub fn check_view<V: View>(open: impl FnOnce(&Changes) -> V) {
    let mut changes = Changes::default();
    for key in KEYS {
        // A neighbour table with the same keys must not shine through; the last table stays empty.
        for table in [Table::Records, Table::Index] {
            changes.put(table, Bytes::from_static(key), value(table, key));
        }
    }
    changes.put(Table::Series, Bytes::from_static(&[1]), Bytes::new());
    let view = open(&changes);
    for table in [Table::Records, Table::Index, Table::Series, Table::Tiles] {
        for asked in ASKED.iter().chain(KEYS) {
            let get = view.get(table, asked).expect("the view answers");
            assert_eq!(get, rows(&changes, table, &[]).into_iter().find(|row| row.0 == *asked).map(|row| row.1));
            for prefix in ASKED.iter().chain(KEYS) {
                let rows = rows(&changes, table, prefix);
                let found = view.at_or_after(table, prefix, asked).expect("the view answers");
                let expect = rows.iter().find(|row| row.0.as_ref() >= *asked);
                assert_eq!(found.as_ref(), expect, "first row of {prefix:?} in {table:?} at or after {asked:?}");
                let found = view.before(table, prefix, asked).expect("the view answers");
                let expect = rows.iter().rev().find(|row| row.0.as_ref() < *asked);
                assert_eq!(found.as_ref(), expect, "last row of {prefix:?} in {table:?} before {asked:?}");
                check_scans(&view, table, prefix, asked, &rows);
            }
        }
    }
}

/// Whole scans, and some that break off after two rows.
fn check_scans(view: &dyn View, table: Table, prefix: &[u8], asked: &[u8], rows: &[Row]) {
    for direction in [Direction::Forward, Direction::Backward] {
        let expect: Vec<Row> = match direction {
            Direction::Forward => rows.iter().filter(|row| row.0.as_ref() >= asked).cloned().collect(),
            Direction::Backward => rows.iter().rev().filter(|row| row.0.as_ref() < asked).cloned().collect(),
        };
        for limit in [usize::MAX, 2] {
            let mut found = Vec::new();
            let each = &mut |row| {
                found.push(row);
                if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            view.scan(table, prefix, asked, direction, each).expect("the view answers");
            let expect = &expect[..expect.len().min(limit)];
            assert_eq!(found, expect, "{direction:?} scan of {prefix:?} in {table:?} from {asked:?}");
        }
    }
}

fn value(table: Table, key: &[u8]) -> Bytes {
    [table.name().as_bytes(), key].concat().into()
}

/// Rows of a table under a prefix, in order: the keys above are.
fn rows(changes: &Changes, table: Table, prefix: &[u8]) -> Vec<Row> {
    let row = |change: &Change| match change {
        Change::Put { table: of, key, value } if *of == table && key.starts_with(prefix) => {
            Some((key.clone(), value.clone()))
        }
        _ => None,
    };
    changes.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use crate::memory::Memory;

    #[test]
    fn the_state_in_memory_is_a_view() {
        super::check_view(|changes| {
            let mut memory = Memory::new();
            memory.write(changes);
            memory
        });
    }
}
