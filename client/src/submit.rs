//! Submitting: the same bytes again and again until a node gives a definite answer or time is up.

use std::time::Instant;

use kho_proto::checkpoint::Checkpoint;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId, RecordId};
use kho_proto::pb::v1::{SubmitRequest, SubmitResponse};
use kho_proto::receipt::Receipt;

use crate::attempt::{Failed, sentence};
use crate::client::Client;
use crate::draft::Signed;
use crate::receipts::{self, ReceiptError, Rejected};
use crate::rounds::{Next, Rounds, within};

/// The store has the record, and here is the proof.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// Which record.
    pub record_id: RecordId,
    /// The receipt; verified, unless the client was told not to.
    pub receipt: Receipt,
    /// What the receipt's signature covers; `None` when nothing was verified.
    pub checkpoint: Option<Checkpoint>,
    /// The record was there already: a retry, or somebody sent it before.
    pub duplicate: bool,
    /// The node that answered.
    pub node: NodeId,
    /// Who led when it answered, as far as that node knew; 0: nobody.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Attempts it took.
    pub attempts: u32,
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The record may or may not have been taken. Submit the same record again, or ask for it.
    #[error("outcome unknown for record {record_id} after {attempts} attempts: {last}")]
    Unknown {
        /// Which record.
        record_id: RecordId,
        /// Attempts made.
        attempts: u32,
        /// What the last one said.
        last: String,
    },
    /// A node refused it, and no attempt of this or an earlier call can have been taken.
    #[error("record {record_id} refused: {}", sentence(.refusal))]
    Refused {
        /// Which record.
        record_id: RecordId,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// No node was reached: the record is certainly not in.
    #[error("no node reached for record {record_id} (tried {tried}): {last}")]
    Unreachable {
        /// Which record.
        record_id: RecordId,
        /// Addresses tried.
        tried: String,
        /// What the last one said.
        last: String,
    },
    /// What answered is no Kho node, or one of another protocol version.
    #[error("record {record_id}: the answer of {address} is not Kho's: {status}")]
    Foreign {
        /// Which record.
        record_id: RecordId,
        /// Who answered.
        address: String,
        /// What it said.
        status: String,
    },
    /// A node says it has the record, but its receipt proves nothing: neither that the record is in nor that it is not.
    #[error("record {record_id}: receipt from {address} does not verify: {source}")]
    Receipt {
        /// Which record.
        record_id: RecordId,
        /// Who answered.
        address: String,
        /// What is wrong with it.
        source: ReceiptError,
        /// The evidence: keep it.
        rejected: Box<Rejected>,
    },
}

impl SubmitError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            SubmitError::Unknown { .. } => Code::OutcomeUnknown,
            SubmitError::Refused { refusal, .. } => refusal.code,
            SubmitError::Unreachable { .. } => Code::NoLeader,
            SubmitError::Foreign { .. } => Code::RequestMalformed,
            SubmitError::Receipt { .. } => Code::ReceiptInvalid,
        }
    }

    /// Whether the record may be in all the same.
    pub fn is_unknown(&self) -> bool {
        matches!(self, SubmitError::Unknown { .. })
    }
}

impl Client {
    /// Submits a signed record and returns its verified receipt.
    ///
    /// Retries with the same bytes, on other nodes, until the deadline. When it ends without a definite answer,
    /// and any attempt may have been taken, the error is [`SubmitError::Unknown`]: never a failure. An attempt of an
    /// earlier call with the same [`Signed`] counts, and one that somebody may have made before
    /// [`Signed::from_record`].
    pub async fn submit(&self, record: &Signed) -> Result<Acknowledged, SubmitError> {
        let record_id = record.record_id();
        let mut rounds = Rounds::new(self.timing(), self.seed());
        // an attempt whose fate is not known, and what was said of it
        let mut doubt = record.is_doubtful().then(|| "an earlier call may have sent it".to_owned());
        let mut last = Failed::Unreached("no attempt was made".to_owned());
        // says more than the absence of the nodes that were asked after it
        let mut refused = None;
        while let Next::Ask { node, budget } = rounds.next(self.nodes()).await {
            let request = within(budget, SubmitRequest { record: Some(record.record().clone()) });
            let mut store = node.store.clone();
            let under_way = record.send();
            let failed = match tokio::time::timeout(budget, store.submit(request)).await {
                Ok(Ok(response)) => {
                    return self.acknowledged(record, response.into_inner(), node, rounds.attempts());
                }
                Ok(Err(status)) => Failed::of(&status),
                Err(_) => Failed::timed_out(budget),
            };
            tracing::debug!(record = %record_id, node = %node.address, %failed, "attempt failed");
            if failed.rests_node() {
                node.unwell(Instant::now());
            }
            if failed.leaves_doubt() {
                doubt = Some(format!("{}: {failed}", node.address));
            } else {
                under_way.not_taken();
            }
            if !failed.retry() && (doubt.is_none() || failed.settles()) {
                return Err(definite(record_id, &node.address, failed));
            }
            self.nodes().move_on();
            rounds.failed(&failed);
            if let Failed::Refused(refusal) = &failed {
                refused = Some(refusal.clone());
            }
            last = failed;
        }
        Err(match (doubt, refused.map_or(last, Failed::Refused)) {
            (Some(doubt), last) => {
                // the last answer settles nothing, and yet it is what the sender has to know
                let last = if last.leaves_doubt() { doubt } else { format!("{doubt}; another attempt: {last}") };
                SubmitError::Unknown { record_id, attempts: rounds.attempts(), last }
            }
            (None, Failed::Unreached(last)) => {
                let tried = self.nodes().addresses().collect::<Vec<_>>().join(", ");
                SubmitError::Unreachable { record_id, tried, last }
            }
            (None, last) => definite(record_id, "", last),
        })
    }

    fn acknowledged(
        &self,
        record: &Signed,
        response: SubmitResponse,
        node: &crate::nodes::Node,
        attempts: u32,
    ) -> Result<Acknowledged, SubmitError> {
        let record_id = record.record_id();
        self.nodes().learn(node, NodeId(response.node_id), NodeId(response.leader_id));
        let check =
            |receipt: &Receipt| self.receipt_check().check(receipt, record_id, record.record(), response.duplicate);
        let (receipt, checkpoint) = receipts::accept(response.receipt, check).map_err(|(source, rejected)| {
            SubmitError::Receipt { record_id, address: node.address.clone(), source, rejected }
        })?;
        Ok(Acknowledged {
            record_id,
            receipt,
            checkpoint,
            duplicate: response.duplicate,
            node: NodeId(response.node_id),
            leader: NodeId(response.leader_id),
            epoch: Epoch(response.epoch),
            attempts,
        })
    }
}

fn definite(record_id: RecordId, address: &str, failed: Failed) -> SubmitError {
    match failed {
        Failed::Refused(refusal) => SubmitError::Refused { record_id, refusal: Box::new(refusal) },
        Failed::Foreign(status) => SubmitError::Foreign { record_id, address: address.to_owned(), status },
        Failed::Unreached(last) => SubmitError::Unreachable { record_id, tried: address.to_owned(), last },
        failed @ (Failed::Unknown(_) | Failed::Admitted(_)) => {
            SubmitError::Unknown { record_id, attempts: 1, last: failed.to_string() }
        }
    }
}
