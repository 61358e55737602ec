//! Reads: by id, lists, counts, histories and watches, from any node, linearizable unless the caller wants it otherwise.
//!
//! A list's way: `caller` (who asks) -> `filter` (what for) -> `page` (where it goes on) -> `moment` (of which state) ->
//! `scans` (in turn, within a budget) -> `kho_ledger::select` (rows) -> `entry` (the head, opened for what rows let through).

mod attachment;
mod barrier;
mod caller;
mod catalogue;
mod entry;
mod filter;
#[doc(hidden)]
pub mod fuzz;
mod history;
mod list;
pub(crate) mod metric_definitions;
mod moment;
mod open;
mod page;
mod places;
mod scans;
mod stats;
mod watch;

use std::sync::Arc;

use kho_ledger::row::RecordRow;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{NodeId, RecordId};
use kho_proto::pb::v1::{Receipt, SignedRecord};
use kho_proto::tokens::PageKey;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use attachment::{Content, DOWNLOADS_MAX};
pub use barrier::Barrier;
pub use catalogue::Entries as CatalogueEntries;
pub use list::{Counted, Listed, PAGE_BYTES_MAX, PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX};
pub use open::{Error as OpenError, Opener};
pub use page::{TOKEN_AGE_MS_MAX, TOKEN_LENGTH_MAX};
pub use places::{Places, WATCHES_MAX, WATCHES_PER_CONNECTION_MAX};
pub use stats::{LeftOut, STATS_ROWS_DEFAULT, STATS_ROWS_MAX, STATS_YEARS_MAX, Tallied};
pub use watch::{AGE_MAX, ALIVE_INTERVAL, FIRST_RECORD};

use attachment::Downloads;
use places::Watches;
use scans::Scans;

use crate::catalogue::Follower;
use crate::consensus::{Consensus, StateStore};
use crate::identity::{Identity, Party, Role};
use crate::mutants::Mutant;
use crate::seams::{Clock, Seams};
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
    node: NodeId,
    consensus: Consensus,
    state: StateStore,
    barrier: Arc<Barrier>,
    keyed: Option<Arc<Keyed>>,
    clock: Arc<dyn Clock>,
    scans: Scans,
    downloads: Downloads,
    watches: Watches,
    stopping: CancellationToken,
    /// None: no catalogue is kept, or the node has no keys.
    catalogue: Option<Arc<Follower>>,
}

/// What a node with a keyring can do.
pub(crate) struct Keyed {
    opener: Opener,
    receipts: Arc<Receipts>,
    pages: PageKey,
}

impl Keyed {
    /// Opens records, makes their receipts, goes on with lists.
    pub fn new(opener: Opener, receipts: Arc<Receipts>) -> Self {
        let pages = opener.tokens().pages();
        Self { opener, receipts, pages }
    }
}

impl Reader {
    /// Over one log. `stopping` ends watches.
    pub(crate) fn new(
        node: NodeId,
        (consensus, state): (Consensus, StateStore),
        barrier: Arc<Barrier>,
        keyed: Option<Keyed>,
        seams: &Seams,
        stopping: CancellationToken,
        catalogue: Option<Arc<Follower>>,
    ) -> Self {
        Self {
            node,
            consensus,
            state,
            barrier,
            keyed: keyed.map(Arc::new),
            clock: seams.clock.clone(),
            scans: Scans::new(seams.tasks.clone(), seams.clock.clone()),
            downloads: Downloads::new(seams.tasks.clone()),
            watches: Watches::new(),
            stopping,
            catalogue,
        }
    }

    /// The record with this id, if the connection's units sent or receive it.
    pub async fn get(&self, identity: &Identity, id: RecordId, deadline: Deadline) -> Result<Found, Refusal> {
        let party = identity.party()?;
        party.require(&[Role::Reader])?;
        let keyed = self.keyed()?;
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
        let public = self.catalogue.as_ref().is_some_and(|catalogue| catalogue.is_entry(header));
        if !party.sees(header) && !public {
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
