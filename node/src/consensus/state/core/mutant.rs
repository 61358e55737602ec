//! Planted bugs of the state.

use bytes::Bytes;
use kho_ledger::Table;
use kho_proto::pb::ledger::v1::Entry;
use prost::Message;

use super::put_last;
use crate::consensus::types::LogId;
use crate::mutants::Mutant;
use crate::seams::Clock;
use crate::storage::Batch;

/// Into a state that begins as a snapshot offered as `named`.
pub(super) fn installed(batch: &mut Batch, named: Option<LogId>) {
    if let Some(named) = named.filter(|_| Mutant::SnapshotMislabelled.planted()) {
        put_last(batch, &named);
    }
    if Mutant::SnapshotForgetsRecords.planted() {
        batch.delete_range(Table::Records.name(), &[][..], &[u8::MAX; 17][..]);
    }
}

/// An entry, with this node's time.
pub(super) fn restamped(entry: &Bytes, clock: &dyn Clock) -> Bytes {
    match Entry::decode(entry.clone()) {
        Ok(mut entry) if Mutant::ApplyOwnClock.planted() => {
            entry.proposed_at_ms = clock.now().0;
            entry.encode_to_vec().into()
        }
        _ => entry.clone(),
    }
}
