//! I4: receipts verify offline, at issue and at the end, with code that is not the server's.

use super::{Acknowledged, Breach};
use crate::auditor::{self, Record, VerifierKey};

/// Holds a receipt against the log's key and against the record as it was sent.
pub fn judge(key: &VerifierKey, acknowledged: &Acknowledged) -> Option<Breach> {
    let record = Record {
        id: &acknowledged.id_bytes(),
        header: &acknowledged.record.header,
        signature_block: &acknowledged.record.signature_block,
    };
    let verdict = auditor::verify(key, &acknowledged.receipt).and_then(|proven| proven.is_of(record));
    verdict.err().map(|rejected| Breach {
        invariant: "I4",
        what: format!("the receipt of record {} does not verify: {rejected}", acknowledged.record_id),
    })
}
