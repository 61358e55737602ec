//! Reads by id, linearizable from any node.

mod barrier;
pub(crate) mod metric_definitions;
mod open;

use std::sync::Arc;

use kho_ledger::row::RecordRow;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, RecordId};
use kho_proto::pb::v1::{Receipt, SignedRecord};

use tracing::Instrument;

pub use barrier::Barrier;
pub use open::{Error as OpenError, Opener};

use crate::consensus::StateStore;
use crate::identity::{Identity, Party, Role};
use crate::mutants::Mutant;
use crate::write::{Deadline, Receipts, keys_missing};

/// A record as its sender made it, with its first receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The record, certificates too.
    pub record: SignedRecord,
    /// Its first receipt.
    pub receipt: Receipt,
    /// Leaves in the state that the answer reflects.
    pub size: u64,
}

/// Reads records on this node.
pub struct Reader {
    pub(crate) node: NodeId,
    pub(crate) state: StateStore,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) keyed: Option<Keyed>,
}

/// What a node with a keyring can do.
pub(crate) struct Keyed {
    pub opener: Opener,
    pub receipts: Arc<Receipts>,
}

impl Reader {
    /// The record with this id, if the connection's units sent or receive it.
    pub async fn get(&self, identity: &Identity, id: RecordId, deadline: Deadline) -> Result<Found, Refusal> {
        let party = identity.party()?;
        party.require(&[Role::Reader])?;
        let Some(keyed) = &self.keyed else { return Err(keys_missing()) };
        let span = tracing::debug_span!("get", node = self.node.0, record = %id);
        if !Mutant::ReadWithoutBarrier.planted() {
            self.barrier.pass(deadline).instrument(span.clone()).await?;
        }
        span.in_scope(|| self.find(keyed, party, id))
    }

    fn find(&self, keyed: &Keyed, party: &Party, id: RecordId) -> Result<Found, Refusal> {
        let (view, tip) = self.state.read();
        let row: Option<RecordRow> = kho_ledger::record_row(&view, &id).map_err(OpenError::from)?;
        let Some(row) = row else { return Err(unknown(id, tip.size())) };
        let opened = keyed.opener.open(&view, id, &row)?;
        let header = &opened.header;
        // The signed header says who may read, not the row beside it.
        if !party.acts_for(&header.unit) && !header.receivers.iter().any(|unit| party.acts_for(unit)) {
            return Err(unknown(id, tip.size()));
        }
        let receipt = keyed.receipts.first(&view, &tip, row.seq)?;
        Ok(Found { record: opened.record, receipt, size: tip.size() })
    }
}

/// The same for a record that is not there and for one of somebody else.
fn unknown(id: RecordId, log_size: u64) -> Refusal {
    let refusal = Refusal::new(Code::RecordUnknown, "no record of this id that the connection's units sent or receive");
    Refusal { log_size: Some(log_size), ..refusal.expected_found("the id of such a record", id.to_string()) }
}
