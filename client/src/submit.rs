//! Submitting: the same bytes again and again until a node gives a definite answer or time is up.

use std::time::{Duration, Instant};

use kho_proto::checkpoint::Checkpoint;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId, RecordId};
use kho_proto::pb::v1::{self as pb, SubmitRequest, SubmitResponse};
use kho_proto::receipt::Receipt;

use crate::attempt::sentence;
use crate::case::Case;
use crate::client::Client;
use crate::draft::Signed;
use crate::nodes::Node;
use crate::observe;
use crate::passage;
use crate::receipts::{self, ReceiptError, Rejected};
use crate::rounds::{Next, Rounds};

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
    #[error("record {record_id} {}: {}", if .refusal.code.retry() { "not taken now" } else { "refused" }, sentence(.refusal))]
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
    /// What answered at every address is no Kho node, or one of another protocol version.
    #[error("record {record_id}: the answer of {address} is not Kho's: {status}")]
    Foreign {
        /// Which record.
        record_id: RecordId,
        /// Who answered last.
        address: String,
        /// What it said.
        status: String,
    },
    /// A node says it has the record, but its receipt proves nothing: neither that the record is in nor that it is not. With
    /// [`ReceiptError::Breach`] it verifies, in a log that has signed two trees.
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
            SubmitError::Receipt { source, .. } => source.code(),
        }
    }

    /// Whether to submit the same record again: what is unknown is settled by that, and what was not taken now (nobody was
    /// reached, nobody leads, a quota is used up) may be taken then. Everything else wants a person first: a receipt that
    /// proves nothing is to be kept before its record is submitted again.
    pub fn retry(&self) -> bool {
        self.code().retry()
    }

    /// How long a node asked to be left alone before that.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SubmitError::Refused { refusal, .. } => refusal.retry_after,
            _ => None,
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
    /// Certificates that the store has from an earlier record of the unit are left out; it names them by their digests.
    /// Retries with the same bytes, on other nodes, until the deadline. When it ends without a definite answer,
    /// and any attempt may have been taken, the error is [`SubmitError::Unknown`]: never a failure. An attempt of an
    /// earlier call with the same [`Signed`] counts, and one that somebody may have made before
    /// [`Signed::from_record`].
    ///
    /// Dropped while it waits, the attempt under way leaves its doubt with the [`Signed`]: submit the same again.
    pub async fn submit(&self, record: &Signed) -> Result<Acknowledged, SubmitError> {
        observe::call("submit", Some(record.record_id()), SubmitError::code, self.submit_once(record)).await
    }

    async fn submit_once(&self, record: &Signed) -> Result<Acknowledged, SubmitError> {
        let mut rounds = Rounds::new(self.timing(), self.seed());
        let mut case = Case::of(record, self.nodes().count());
        while let Next::Ask { node, budget } = rounds.next(self.nodes()).await {
            // the store keeps what an earlier record brought, and says so if it does not
            let short = self.chains().knows(record.chain());
            let mut sent = record.record().clone();
            if short {
                sent.certificates.clear();
            }
            let message = SubmitRequest { record: Some(sent) };
            let mut store = node.store();
            let under_way = record.send();
            case.attempt();
            let attempt = passage::attempt(budget, message, |request| async move { store.submit(request).await });
            let failed = match observe::attempt(node, case.attempts(), attempt).await {
                Ok(response) => return self.answered(record, response, node, case.attempts()),
                Err(failed) => failed,
            };
            if short && failed.answer().is_some_and(|refusal| refusal.code == Code::CertificateMissing) {
                self.chains().forget(record.chain());
                under_way.not_taken();
                continue;
            }
            if failed.rests_node() {
                node.unwell(Instant::now());
            }
            if !failed.leaves_doubt() {
                under_way.not_taken();
            }
            rounds.failed(&failed);
            if let Some(error) = case.failed(&node.address, failed) {
                return Err(error);
            }
            self.nodes().move_on();
        }
        Err(case.over(self.nodes()))
    }

    fn answered(
        &self,
        record: &Signed,
        response: SubmitResponse,
        node: &Node,
        attempts: u32,
    ) -> Result<Acknowledged, SubmitError> {
        let SubmitResponse { receipt, duplicate, node_id, epoch, leader_id } = response;
        let from = Answered { node: NodeId(node_id), leader: NodeId(leader_id), epoch: Epoch(epoch), attempts };
        self.acknowledged(record, receipt, duplicate, from, node).inspect(|_| {
            // its hints are worth as much as its receipt
            self.nodes().learn(node, from.node, from.leader);
        })
    }

    /// Checks the receipt of a record that a node says it has. A node whose receipt is no proof is asked last for a while.
    pub(crate) fn acknowledged(
        &self,
        record: &Signed,
        receipt: Option<pb::Receipt>,
        duplicate: bool,
        from: Answered,
        node: &Node,
    ) -> Result<Acknowledged, SubmitError> {
        let record_id = record.record_id();
        let check = |receipt: &Receipt| self.receipts().check(receipt, record_id, record.record(), duplicate);
        let (receipt, checkpoint) = receipts::accept(receipt, check).map_err(|(source, rejected)| {
            node.distrust(&source);
            SubmitError::Receipt { record_id, address: node.address.clone(), source, rejected }
        })?;
        self.chains().learn(record.chain());
        let Answered { node, leader, epoch, attempts } = from;
        Ok(Acknowledged { record_id, receipt, checkpoint, duplicate, node, leader, epoch, attempts })
    }
}

/// Who answered, and after how many attempts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answered {
    pub node: NodeId,
    pub leader: NodeId,
    pub epoch: Epoch,
    pub attempts: u32,
}
