//! The newest checkpoint: one signature for each size at which somebody asks, each extending the last.

use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::Prover;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use parking_lot::Mutex;

use crate::consensus::StateStore;
use crate::keys::GuardError;
use crate::write::Receipts;

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub size: u64,
    pub root: Digest,
    pub note: Bytes,
}

impl Signed {
    /// The same on every node, as the note is.
    pub fn tag(&self) -> String {
        format!("\"{}-{}\"", self.size, self.root)
    }
}

/// Signs for those who read the log.
pub(super) struct Newest {
    receipts: Arc<Receipts>,
    last: Mutex<Option<Signed>>,
}

impl Newest {
    /// With the notary of receipts, which remembers what it has signed.
    pub fn new(receipts: Arc<Receipts>) -> Self {
        Self { receipts, last: Mutex::new(None) }
    }

    /// The checkpoint of the size that is applied now. What this process has once published, the next one extends: held
    /// against the tree once for each size, so that a state that went wrong is never signed for.
    pub fn sign(&self, state: &StateStore) -> Result<Signed, Refusal> {
        // one at a time: others ask for the same size, or for one that comes just after
        let mut last = self.last.lock();
        let (view, tip) = state.read();
        if let Some(last) = &*last {
            if (last.size, last.root) == (tip.size(), tip.root()) {
                return Ok(last.clone());
            }
            let under = Prover::new(&view, &tip).root_at(last.size);
            if !matches!(under, Ok(root) if root == last.root) {
                tracing::error!(size = last.size, root = %last.root, now = tip.size(), "the tree does not extend what was published");
                let text = "the log here does not extend what was published before; ask another node";
                return Err(Refusal::new(Code::StorageFailed, text));
            }
        }
        if tip.size() == 0 {
            return Err(GuardError::NotFormed.into());
        }
        let note = self.receipts.checkpoint(&view, &tip)?;
        let signed = Signed { size: tip.size(), root: tip.root(), note };
        *last = Some(signed.clone());
        Ok(signed)
    }
}
