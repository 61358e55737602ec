use kho_proto::id::{Seq, UnixMs};

use crate::read;
use crate::row::{Damaged, Fault};
use crate::table::{self, Table};
use crate::view::{ReadError, View};

/// The first of `size` leaves that was accepted at `at` or later; `size` if there is none. Accepted-at never goes back, so
/// some twenty leaves are read.
pub fn first_accepted_from(view: &dyn View, size: u64, at: UnixMs) -> Result<Seq, ReadError> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        let missing = || Damaged::new(Table::Leaves, &table::seq_key(Seq(middle)), Fault::Missing);
        let leaf = read::leaf(view, Seq(middle))?.ok_or_else(missing)?;
        if leaf.accepted_at < at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Seq(low))
}
