//! What must hold whatever happens: one file each, pure judgements over what was seen, so that each can be
//! proven by a planted breach.

pub mod durable;
pub mod exactly_once;
pub mod fail_stop;
pub mod linearizable;
pub mod live;
pub mod log;
pub mod merkle;
pub mod one_leader;
pub mod receipts;
pub mod recorded;

use kho_proto::pb::v1::SignedRecord;

use crate::auditor::{Hash, sha256};

/// A record that was acknowledged, with what the sender then had in hand.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// UUIDv7.
    pub record_id: String,
    /// As it was sent.
    pub record: SignedRecord,
    /// The receipt's text form (C2SP tlog-proof).
    pub receipt: String,
    /// The sender was told that the record was there before.
    pub duplicate: bool,
}

impl Acknowledged {
    /// SHA-256 of the header: the record's identity.
    pub fn digest(&self) -> Hash {
        sha256(&[&self.record.header])
    }

    /// The id's 16 bytes.
    pub fn id_bytes(&self) -> Vec<u8> {
        hex::decode(self.record_id.replace('-', "")).unwrap_or_default()
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} broken: {what}")]
pub struct Breach {
    /// `I1`...
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// Fails the test with all breaches, if there are any.
pub fn must_hold(breaches: impl IntoIterator<Item = Breach>) {
    const SHOWN_MAX: usize = 20;
    let breaches: Vec<_> = breaches.into_iter().collect();
    let shown: Vec<_> = breaches.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), shown.join("\n"));
}

#[cfg(test)]
mod tests;
