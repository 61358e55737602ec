//! Every receipt is checked before a caller sees it.

use kho_proto::checkpoint::{Checkpoint, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::id::RecordId;
use kho_proto::leaf::LeafKind;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::receipt::{self, Receipt};

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

impl ReceiptCheck {
    /// Checks the receipt of `record`. A `duplicate` may have been taken in under another valid signature of the
    /// same header: then the signature block is not compared.
    pub(crate) fn check(
        &self,
        receipt: &Receipt,
        record_id: RecordId,
        record: &SignedRecord,
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

pub(crate) fn parse(receipt: Option<kho_proto::pb::v1::Receipt>) -> Result<Receipt, ReceiptError> {
    let receipt = receipt.ok_or_else(|| ReceiptError::Malformed { found: "none".to_owned() })?;
    Receipt::from_pb(&receipt).map_err(|error| ReceiptError::Malformed { found: error.to_string() })
}
