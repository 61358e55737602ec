//! Receipts: proof that a record stands in the log, checked without any server. `docs/formats/receipt.md`.

mod error;
#[cfg(test)]
mod tests;
mod text;

use bytes::Bytes;

pub use error::Error;
pub use text::RECEIPT_TEXT_LENGTH_MAX;

use crate::checkpoint::{self, Checkpoint, NOTE_LENGTH_MAX, VerifierKey};
use crate::digest::Digest;
use crate::header::Header;
use crate::id::Seq;
use crate::leaf::{Leaf, LeafKind};
use crate::merkle::verify_inclusion;
use crate::pb::v1 as pb;

/// Hashes of an inclusion proof, at most: one for each bit of a size.
pub const INCLUSION_LENGTH_MAX: usize = 64;

/// How durable the record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptState {
    /// On a majority of this site.
    Accepted,
    /// Cosigned by the other site as well.
    Mirrored,
}

/// Proof that a record stands in the log. Nothing is verified until [`Receipt::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What stands in the log for the record.
    pub leaf: Leaf,
    /// Index of the leaf.
    pub sequence: Seq,
    /// RFC 6962 inclusion proof, the leaf's sibling first.
    pub inclusion: Vec<Digest>,
    /// C2SP signed note.
    pub checkpoint: Bytes,
    /// As the node said; the text form does not carry it.
    pub state: ReceiptState,
}

impl Receipt {
    /// From the wire.
    pub fn from_pb(message: &pb::Receipt) -> Result<Receipt, Error> {
        let state = match message.state() {
            pb::ReceiptState::Accepted => ReceiptState::Accepted,
            pb::ReceiptState::Mirrored => ReceiptState::Mirrored,
            pb::ReceiptState::Unspecified => return Err(Error::State { found: message.state }),
        };
        if message.checkpoint.len() > NOTE_LENGTH_MAX {
            return Err(Error::TooLong { expected: NOTE_LENGTH_MAX, found: message.checkpoint.len() });
        }
        if std::str::from_utf8(&message.checkpoint).is_err() {
            return Err(checkpoint::Error::Note { expected: "utf-8 text" }.into());
        }
        check_length(message.inclusion.len())?;
        let inclusion = message
            .inclusion
            .iter()
            .map(|hash| Digest::try_from(hash.as_ref()).map_err(|error| Error::Hash { found: error.found }))
            .collect::<Result<_, _>>()?;
        Ok(Receipt {
            leaf: Leaf::decode(&message.leaf)?,
            sequence: Seq(message.sequence),
            inclusion,
            checkpoint: message.checkpoint.clone(),
            state,
        })
    }

    /// For the wire.
    pub fn to_pb(&self) -> pb::Receipt {
        let state = match self.state {
            ReceiptState::Accepted => pb::ReceiptState::Accepted,
            ReceiptState::Mirrored => pb::ReceiptState::Mirrored,
        };
        pb::Receipt {
            leaf: Bytes::copy_from_slice(&self.leaf.encode()),
            sequence: self.sequence.0,
            inclusion: self.inclusion.iter().map(|hash| Bytes::copy_from_slice(hash.as_ref())).collect(),
            checkpoint: self.checkpoint.clone(),
            state: state.into(),
        }
    }

    /// Verifies the checkpoint's signature and that the leaf stands at its place in the tree.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, Error> {
        let checkpoint = key.open(&self.checkpoint)?;
        self.verify_place(&checkpoint)?;
        Ok(checkpoint)
    }

    /// Verifies that the leaf stands at its place in the tree of a checkpoint: the receipt's own, whose signature somebody
    /// has verified.
    pub fn verify_place(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        Ok(verify_inclusion(&self.leaf.hash(), self.sequence.0, checkpoint.size, &self.inclusion, &checkpoint.root)?)
    }

    /// Verifies the receipt, and that it is this record's: id, header, signature block and payload. The sender's
    /// own signature is [`crate::record::verify_record`]'s to check.
    pub fn verify_record(&self, key: &VerifierKey, record: &pb::SignedRecord) -> Result<Checkpoint, Error> {
        let checkpoint = self.verify(key)?;
        self.verify_leaf(record)?;
        Ok(checkpoint)
    }

    /// Verifies that the leaf is this record's. Says nothing about the tree.
    pub fn verify_leaf(&self, record: &pb::SignedRecord) -> Result<(), Error> {
        if self.leaf.kind != LeafKind::Record {
            return Err(Error::NotARecord);
        }
        let same = |what, expected: Digest, bytes: &[u8]| {
            let found = Digest::of(bytes);
            if found == expected { Ok(()) } else { Err(Error::OtherRecord { what, expected, found }) }
        };
        same("header", self.leaf.header_digest, &record.header)?;
        same("signature block", self.leaf.signature_block_digest, &record.signature_block)?;
        let header = Header::decode(&record.header)?;
        if header.record_id != self.leaf.record_id {
            return Err(Error::OtherId { expected: self.leaf.record_id, found: header.record_id });
        }
        header.check_payload(&record.payload)?;
        Ok(())
    }
}

fn check_length(found: usize) -> Result<(), Error> {
    if found > INCLUSION_LENGTH_MAX { Err(Error::ProofTooLong { found }) } else { Ok(()) }
}
