//! Chains of certificates that the store has from this client: later records name them and leave them out.

use std::collections::BTreeSet;

use kho_proto::digest::Digest;
use kho_proto::pb::v1::SignedRecord;
use parking_lot::Mutex;

/// Chains remembered, at most; beyond it they go along each time.
const CHAINS_MAX: usize = 1024;

/// What is known to be stored: (unit, signature block's digests) as one digest.
#[derive(Debug, Default)]
pub(crate) struct Chains(Mutex<BTreeSet<Digest>>);

/// A record's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain(Option<Digest>);

impl Chain {
    /// Of a record of this unit: the store keeps certificates for each unit by itself.
    pub fn of(unit: &str, record: &SignedRecord) -> Self {
        if record.certificates.is_empty() {
            return Self(None);
        }
        let mut parts = vec![unit.as_bytes(), &[0]];
        parts.extend(record.certificates.iter().map(AsRef::as_ref));
        Self(Some(Digest::of_parts(&parts)))
    }
}

impl Chains {
    /// The store has it.
    pub fn learn(&self, chain: Chain) {
        let mut known = self.0.lock();
        if known.len() < CHAINS_MAX {
            known.extend(chain.0);
        }
    }

    /// A node says that it does not.
    pub fn forget(&self, chain: Chain) {
        if let Some(chain) = chain.0 {
            self.0.lock().remove(&chain);
        }
    }

    /// Whether a record of this chain may leave it out.
    pub fn knows(&self, chain: Chain) -> bool {
        chain.0.is_some_and(|chain| self.0.lock().contains(&chain))
    }
}
