//! Reading a record back: linearizable, from any node, with its receipt checked.

use kho_proto::checkpoint::Checkpoint;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId, RecordId};
use kho_proto::pb::v1::{GetRequest, GetResponse, SignedRecord};
use kho_proto::receipt::Receipt;

use crate::ask::NoAnswer;
use crate::attempt::sentence;
use crate::client::Client;
use crate::held::{Answer, Breach};
use crate::nodes::{Node, Store};
use crate::observe;
use crate::receipts::{self, ReceiptError, Rejected};

/// A record as its sender made it, and its receipt.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The record.
    pub record: SignedRecord,
    /// Its receipt; verified, unless the client was told not to.
    pub receipt: Receipt,
    /// What the receipt's signature covers; `None` when nothing was verified.
    pub checkpoint: Option<Checkpoint>,
    /// Size of the log that the answer reflects.
    pub size: u64,
    /// The node that answered.
    pub node: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// A node answered that it will not or cannot.
    #[error("record {record_id}: {}", sentence(.refusal))]
    Refused {
        /// Which record.
        record_id: RecordId,
        /// The refusal.
        refusal: Box<Refusal>,
        /// It is `record-unknown`, of a log that is known and that has all that was signed before the call began. With several
        /// sites it never is: a node speaks for its own site.
        absent: bool,
    },
    /// No node answered in time.
    #[error("record {record_id}: no answer from {tried}: {last}")]
    Unreachable {
        /// Which record.
        record_id: RecordId,
        /// Addresses tried.
        tried: String,
        /// What the last one said.
        last: String,
    },
    /// The answer does not prove itself.
    #[error("record {record_id} from {address} does not verify: {source}")]
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
    /// The answer reflects less of the log than was signed before it was asked for.
    #[error("record {record_id}: {breach}")]
    Breach {
        /// Which record.
        record_id: RecordId,
        /// What is known of it.
        breach: Box<Breach>,
    },
}

impl GetError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            GetError::Refused { refusal, .. } => refusal.code,
            GetError::Unreachable { .. } => Code::NoLeader,
            GetError::Receipt { source, .. } => source.code(),
            GetError::Breach { breach, .. } => breach.code,
        }
    }

    /// Whether it proves that the store does not have the record, for a question that was asked once nothing was on its way any more.
    pub fn proves_absence(&self) -> bool {
        matches!(self, GetError::Refused { absent: true, .. })
    }
}

impl Client {
    /// Reads a record. An answer reflects every write acknowledged before the call.
    ///
    /// A node that does not answer for a while gets company ([`Timing::hedge`](crate::Timing)): the first good answer is
    /// taken. Cancel safe: dropping it changes nothing.
    pub async fn get(&self, record_id: RecordId) -> Result<Fetched, GetError> {
        observe::call("get", Some(record_id), GetError::code, self.get_once(record_id)).await
    }

    async fn get_once(&self, record_id: RecordId) -> Result<Fetched, GetError> {
        let question = GetRequest { record_id: record_id.as_bytes().to_vec().into() };
        let floor = self.receipts().held().floor();
        let call = |mut store: Store, request| async move { store.get(request).await };
        let answer = self.ask_hedged(question, self.timing().hedge, call).await;
        let behind = |breach| GetError::Breach { record_id, breach };
        let (response, node) = match answer {
            Ok(answered) => answered,
            Err(NoAnswer::Unreachable { tried, last }) => {
                return Err(GetError::Unreachable { record_id, tried, last });
            }
            Err(NoAnswer::Refused(refusal, node)) => {
                let mut absent = false;
                if let Some(size) = refusal.log_size.filter(|_| refusal.code == Code::RecordUnknown) {
                    let answer = Answer { address: &node.address, node: node.id(), epoch: None, size };
                    self.reflects(&floor, &answer, node).await.map_err(behind)?;
                    absent = floor.is_within(size) && self.nodes().sites() == 1;
                }
                return Err(GetError::Refused { record_id, refusal, absent });
            }
        };
        let answer = Answer {
            address: &node.address,
            node: NodeId(response.node_id),
            epoch: Some(Epoch(response.epoch)),
            size: response.size,
        };
        self.reflects(&floor, &answer, node).await.map_err(behind)?;
        self.fetched(record_id, response, node)
    }

    fn fetched(&self, record_id: RecordId, response: GetResponse, node: &Node) -> Result<Fetched, GetError> {
        let wrong = |(source, rejected)| {
            node.distrust(&source);
            GetError::Receipt { record_id, address: node.address.clone(), source, rejected }
        };
        let (receipt, (record, checkpoint)) = receipts::accept(response.receipt, |receipt| {
            let no_record = || ReceiptError::Malformed { found: "an answer without a record".to_owned() };
            let record = response.record.ok_or_else(no_record)?;
            let checkpoint = self.receipts().check(receipt, record_id, &record, false)?;
            Ok((record, checkpoint))
        })
        .map_err(wrong)?;
        self.nodes().learn(node, NodeId(response.node_id), NodeId(0));
        Ok(Fetched {
            record,
            receipt,
            checkpoint,
            size: response.size,
            node: NodeId(response.node_id),
            epoch: Epoch(response.epoch),
        })
    }
}
