//! Every receipt is checked before a caller sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kho_proto::checkpoint::{Checkpoint, VerifierKey};
use kho_proto::digest::Digest;
use kho_proto::error::Code;
use kho_proto::id::RecordId;
use kho_proto::leaf::LeafKind;
use kho_proto::pb::v1 as pb;
use kho_proto::receipt::{self, Receipt};
use parking_lot::Mutex;
use prost::Message;

use crate::held::{Breach, Held, Note, Said};
use crate::observe;

/// What receipts are checked against.
#[derive(Debug, Clone)]
pub enum ReceiptCheck {
    /// The log's key, pinned: `kho keys public` prints it.
    Pinned(VerifierKey),
    /// Several of them: of each epoch and site whose receipts may come. A checkpoint's origin says which one it needs.
    PinnedKeys(Vec<VerifierKey>),
    /// Nothing is checked. For tools that check later, and for tests.
    Unchecked,
}

impl ReceiptCheck {
    /// The pinned keys; none: nothing is checked.
    pub fn keys(&self) -> &[VerifierKey] {
        match self {
            ReceiptCheck::Pinned(key) => std::slice::from_ref(key),
            ReceiptCheck::PinnedKeys(keys) => keys,
            ReceiptCheck::Unchecked => &[],
        }
    }
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
    /// It verifies, and contradicts a checkpoint that was signed before: whose tree it stands in is not known.
    #[error(transparent)]
    Breach(#[from] Box<Breach>),
}

impl ReceiptError {
    /// Whether another node may give a better one: of a log that had ended before, no node can.
    pub(crate) fn blames_node(&self) -> bool {
        !matches!(self, ReceiptError::Breach(breach) if breach.said == Said::Before)
    }

    /// Stable code: `receipt-invalid`, or the breach's.
    pub fn code(&self) -> Code {
        match self {
            ReceiptError::Breach(breach) => breach.code,
            ReceiptError::Malformed { .. } | ReceiptError::Invalid(_) | ReceiptError::OtherRecord { .. } => {
                Code::ReceiptInvalid
            }
        }
    }
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

/// Signed checkpoints that were verified and are remembered, at most: all records of one entry have the same, and some
/// entries are answered at once. Some 300 bytes each.
const CHECKPOINTS_MAX: usize = 32;

/// What receipts are checked against, and the checkpoints whose signatures were.
pub(crate) struct Receipts {
    check: ReceiptCheck,
    /// The signed note, byte for byte, and what it says; the newest last.
    opened: Mutex<VecDeque<(Bytes, Checkpoint)>>,
    verified: AtomicU64,
    /// What the logs are held to.
    held: Arc<Held>,
}

impl Receipts {
    pub(crate) fn new(check: ReceiptCheck, held: Arc<Held>) -> Self {
        Self { check, opened: Mutex::default(), verified: AtomicU64::new(0), held }
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    pub(crate) fn keys(&self) -> &[VerifierKey] {
        self.check.keys()
    }

    /// Signatures of checkpoints that were verified.
    pub(crate) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

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
        if matches!(self.check, ReceiptCheck::Unchecked) {
            return Ok(None);
        }
        if receipt.leaf.record_id != record_id {
            return differs("record id");
        }
        if !duplicate {
            receipt.verify_leaf(record)?;
        } else if receipt.leaf.kind != LeafKind::Record {
            return differs("kind");
        } else if receipt.leaf.header_digest != Digest::of(&record.header) {
            return differs("header digest");
        }
        let (note, key) = self.open(&receipt.checkpoint)?;
        receipt.verify_place(&note.checkpoint)?;
        let checkpoint = note.checkpoint.clone();
        match key {
            // only what proves a place is held against the log: nothing that a node made up gets in
            Some(ref key) => self.held.accept(key, note.clone()).map_err(Box::new)?,
            None => self.held.stands(&checkpoint.origin).map_err(Box::new)?,
        }
        if key.is_some() {
            self.remember(note);
        }
        Ok(Some(checkpoint))
    }

    /// Each note is verified once: the same bytes are as true the second time. With the key that has just verified it.
    fn open(&self, note: &Bytes) -> Result<(Note, Option<VerifierKey>), ReceiptError> {
        if let Some((bytes, checkpoint)) = self.opened.lock().iter().rev().find(|(opened, _)| opened == note) {
            return Ok((Note { checkpoint: checkpoint.clone(), bytes: bytes.clone() }, None));
        }
        let (note, key) = Note::open(self.keys(), note).map_err(receipt::Error::from)?;
        self.verified.fetch_add(1, Ordering::Relaxed);
        observe::checkpoint_verified();
        Ok((note, Some(key.clone())))
    }

    fn remember(&self, note: Note) {
        let mut opened = self.opened.lock();
        if opened.len() >= CHECKPOINTS_MAX {
            opened.pop_front();
        }
        opened.push_back((note.bytes, note.checkpoint));
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
