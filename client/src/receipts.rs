//! Every receipt is checked before a caller sees it.

use kho_proto::checkpoint::{Checkpoint, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::RecordId;
use kho_proto::leaf::LeafKind;
use kho_proto::pb::v1 as pb;
use kho_proto::receipt::{self, Receipt};
use prost::Message;

/// What receipts are checked against.
#[derive(Debug, Clone)]
pub enum ReceiptCheck {
    /// The log's key, pinned: `kho keys public` prints it.
    Pinned(VerifierKey),
    /// Nothing is checked. For tools that check later, and for tests.
    Unchecked,
}

/// Why a receipt is no proof. Keep it: a node that signs a wrong receipt has to answer for it.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The answer holds none, or one that does not parse.
    #[error("expected a receipt, found {found}")]
    Malformed {
        /// What is wrong with it.
        found: String,
    },
    /// Inclusion or checkpoint do not verify.
    #[error(transparent)]
    Invalid(#[from] receipt::Error),
    /// It is of another record.
    #[error("receipt of record {expected}: its leaf's {field} is not the record's")]
    OtherRecord {
        /// The record.
        expected: RecordId,
        /// Where they differ.
        field: &'static str,
    },
}

/// A receipt that was rejected, as the node sent it.
#[derive(Debug, Clone)]
pub struct Rejected(Option<pb::Receipt>);

impl Rejected {
    /// As it travelled; none where the answer held none.
    pub fn receipt(&self) -> Option<&pb::Receipt> {
        self.0.as_ref()
    }

    /// Its file form, `ID.tlog-proof.rejected`: a tlog-proof, on which `kho verify` shows what is wrong, or the bytes
    /// of `kho.v1.Receipt` where it does not parse.
    pub fn to_file(&self) -> Option<Vec<u8>> {
        let receipt = self.0.as_ref()?;
        Some(match Receipt::from_pb(receipt) {
            Ok(receipt) => receipt.to_tlog_proof().into_bytes(),
            Err(_) => receipt.encode_to_vec(),
        })
    }
}

impl ReceiptCheck {
    /// Checks the receipt of `record`. A `duplicate` may have been taken in under another valid signature of the
    /// same header: then the signature block is not compared.
    pub(crate) fn check(
        &self,
        receipt: &Receipt,
        record_id: RecordId,
        record: &pb::SignedRecord,
        duplicate: bool,
    ) -> Result<Option<Checkpoint>, ReceiptError> {
        let differs = |field| Err(ReceiptError::OtherRecord { expected: record_id, field });
        let ReceiptCheck::Pinned(key) = self else { return Ok(None) };
        if receipt.leaf.record_id != record_id {
            return differs("record id");
        }
        if !duplicate {
            return Ok(Some(receipt.verify_record(key, record)?));
        }
        if receipt.leaf.kind != LeafKind::Record {
            return differs("kind");
        }
        if receipt.leaf.header_digest != Digest::of(&record.header) {
            return differs("header digest");
        }
        Ok(Some(receipt.verify(key)?))
    }
}

/// Reads a receipt, and checks it by `check`; else what is wrong, and the receipt as evidence.
pub(crate) fn accept<T>(
    receipt: Option<pb::Receipt>,
    check: impl FnOnce(&Receipt) -> Result<T, ReceiptError>,
) -> Result<(Receipt, T), (ReceiptError, Box<Rejected>)> {
    let accepted = parse(receipt.as_ref()).and_then(|receipt| {
        let checked = check(&receipt)?;
        Ok((receipt, checked))
    });
    accepted.map_err(|error| (error, Box::new(Rejected(receipt))))
}

fn parse(receipt: Option<&pb::Receipt>) -> Result<Receipt, ReceiptError> {
    let receipt = receipt.ok_or_else(|| ReceiptError::Malformed { found: "none".to_owned() })?;
    Receipt::from_pb(receipt).map_err(|error| ReceiptError::Malformed { found: error.to_string() })
}
