//! The path of a write, one straight line: [`Writer::submit`].
//!
//! Types carry what was proven: [`Authenticated`] (the connection may submit for the unit that the header names),
//! [`Verified`] (the sender signed these bytes), [`Sealed`] (only ciphertext, digests and tokens are left). Each has one
//! constructor, in the module of its step.

pub mod attach;
mod authenticate;
pub mod batch;
mod chains;
pub mod deadline;
mod entry;
mod forward;
mod lookup;
mod many;
mod members;
pub(crate) mod metric_definitions;
pub(crate) mod propose;
mod quota;
mod receipt;
pub mod revocation;
mod room;
mod route;
mod seal;
mod verify;

use std::sync::Arc;

use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;
use kho_proto::pb::v1::{Receipt, SignedRecord, SubmitRequest};
use prost::Message;
use tracing::Instrument;

pub use attach::Uploads;
pub use authenticate::Authenticated;
pub(crate) use batch::PROPOSALS_MAX;
pub use batch::{Queue, RETRY_AFTER_OVERLOAD};
pub use deadline::{DEADLINE_MAX, Deadline};
pub use forward::{MESSAGE_LENGTH_MAX, Peers};
pub(crate) use forward::{PROPOSE_TIMEOUT, to_wire};
pub(crate) use members::Members;
pub use propose::{Answer, Error as ProposeError};
pub use quota::{Quotas, Rate};
pub use receipt::Receipts;
pub use revocation::Revocations;
pub use room::{Room, Taken};
pub use route::Route;
pub use seal::{Sealed, Sealer};
pub use verify::{Verified, Verifier};

use crate::catalogue::{Follower, check_not_reserved};
use crate::consensus::StateStore;
use crate::disk::Disk;
use crate::identity::Identity;
use crate::kill_points::KillPoint;
use metric_definitions::Hop;

/// Verdicts on a signer, at most, while lists of revoked certificates are installed at the same time.
const VERDICTS_MAX: usize = 3;

/// What a sender gets for a record that stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledged {
    /// The first receipt.
    pub receipt: Receipt,
    /// The record stood there before this request.
    pub duplicate: bool,
}

/// Takes records in on this node, whichever leads.
pub struct Writer {
    /// This node, for traces.
    pub(crate) node: NodeId,
    /// Committed state.
    pub(crate) state: StateStore,
    /// What needs keys; none on a node without a keyring.
    pub(crate) keyed: Option<Keyed>,
    /// Room on this node's disk.
    pub(crate) disk: Arc<Disk>,
    /// How much each unit may send.
    pub(crate) quotas: Quotas,
    /// Rules for senders' signatures.
    pub(crate) verifier: Arc<Verifier>,
    /// The way to the log.
    pub(crate) queue: Queue,
}

/// What a node with a keyring can do.
pub(crate) struct Keyed {
    pub sealer: Sealer,
    pub receipts: Arc<Receipts>,
    /// None: no catalogue is kept.
    pub catalogue: Option<Arc<Follower>>,
}

impl Writer {
    /// The whole way of a record.
    pub async fn submit(
        &self,
        identity: &Identity,
        record: SignedRecord,
        deadline: Deadline,
    ) -> Result<Acknowledged, Refusal> {
        self.submit_charged(identity, record, deadline, Charge::Due).await
    }

    async fn submit_charged(
        &self,
        identity: &Identity,
        record: SignedRecord,
        deadline: Deadline,
        mut charge: Charge,
    ) -> Result<Acknowledged, Refusal> {
        let span = tracing::debug_span!("submit", node = self.node.0, record = tracing::field::Empty);
        async {
            let mut verdicts = 0;
            loop {
                let prepared = self.prepare(identity, record.clone(), deadline, charge).await?;
                charge = Charge::Paid;
                let answer = match prepared {
                    Prepared::Known(receipt) => return Ok(Acknowledged { receipt, duplicate: true }),
                    Prepared::Sealed(sealed) => {
                        Hop::Propose.time_async(self.queue.propose(sealed.into_command(), deadline)).await?
                    }
                };
                verdicts += 1;
                if !answer.is_outdated() || verdicts == VERDICTS_MAX {
                    return answer.try_into();
                }
                self.catch_up(deadline).await?;
            }
        }
        .instrument(span)
        .await
    }

    /// Before a signer is judged again: by lists of revoked certificates that came in between.
    async fn catch_up(&self, deadline: Deadline) -> Result<(), Refusal> {
        match &self.keyed {
            Some(keyed) => keyed.sealer.catch_up(deadline).await,
            None => Err(keys_missing()),
        }
    }

    /// All that comes before the log, on the node that was asked.
    async fn prepare(
        &self,
        identity: &Identity,
        record: SignedRecord,
        deadline: Deadline,
        charge: Charge,
    ) -> Result<Prepared, Refusal> {
        let Some(Keyed { sealer, receipts, catalogue }) = &self.keyed else { return Err(keys_missing()) };
        receipts.ready()?;
        let authenticated = Hop::Authenticate.time(|| authenticate::authenticate(identity, record))?;
        tracing::Span::current().record("record", tracing::field::display(authenticated.header().record_id));
        let first = Hop::Lookup.time(|| lookup::lookup(&self.state, sealer, receipts, &authenticated))?;
        if let Some(receipt) = first {
            return Ok(Prepared::Known(receipt));
        }
        self.disk.check()?;
        if charge == Charge::Due {
            self.quotas.charge(&authenticated.header().unit, authenticated.record().encoded_len())?;
        }
        let authenticated = sealer.complete(&self.state, authenticated)?;
        let verified = Hop::Verify.time(|| self.verifier.verify(&authenticated))?;
        Hop::Judge.time_async(judge(catalogue.as_ref(), &verified, deadline)).await?;
        let sealed = Hop::Seal.time_async(sealer.seal(&self.state, &self.queue, verified, deadline)).await?;
        Ok(Prepared::Sealed(Box::new(sealed)))
    }
}

/// Whether a record counts against its unit's quota: once, however often it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charge {
    Due,
    Paid,
}

/// Whether a record is as the catalogue has it.
async fn judge(catalogue: Option<&Arc<Follower>>, verified: &Verified, deadline: Deadline) -> Result<(), Refusal> {
    let record = verified.record();
    match catalogue {
        Some(catalogue) => catalogue.judge(record.header(), &record.record().payload, deadline).await,
        None => check_not_reserved(record.header()),
    }
}

/// A record before the log.
enum Prepared {
    /// It stands there already, and this is its first receipt.
    Known(Receipt),
    /// It may be proposed.
    Sealed(Box<Sealed>),
}

impl TryFrom<Answer> for Acknowledged {
    type Error = Refusal;

    fn try_from(answer: Answer) -> Result<Self, Refusal> {
        match answer {
            Answer::Accepted { receipt, duplicate } => {
                KillPoint::Unacknowledged.reached();
                Ok(Acknowledged { receipt, duplicate })
            }
            Answer::Refused(refusal) => Err(refusal),
            Answer::Done => Err(ProposeError::Unknown.into()),
        }
    }
}

/// The verdict on an encoded `kho.v1.SubmitRequest`, as [`Writer::submit`] comes to it: for fuzzing.
#[doc(hidden)]
pub fn verdict(verifier: &Verifier, identity: &Identity, request: &[u8]) -> Result<Verified, Refusal> {
    let malformed = |text: String| Refusal::new(Code::RequestMalformed, text);
    let request = SubmitRequest::decode(request).map_err(|error| malformed(error.to_string()))?;
    let record = request.record.ok_or_else(|| malformed("no record".to_owned()))?;
    Ok(verifier.verify(&authenticate::authenticate(identity, record)?)?)
}

/// What a node without a keyring answers.
pub(crate) fn keys_missing() -> Refusal {
    Refusal::new(Code::KeysMissing, "this node has no keyring and takes no records; ask another")
        .expected_found("a keyring", "none")
}
