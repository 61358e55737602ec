//! Records and receipts in JSON. Moments are RFC 3339 with +07:00. Numbers of 64 bits are JSON numbers: the largest of them, a
//! sequence number, is far below 2^53 (a thousand records a second would take 285,000 years).

use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Attachment, Header, SubmittedAt};
use kho_proto::pb::v1::{self as pb, SignedRecord};
use kho_proto::receipt::{self, ReceiptState};
use kho_proto::signature::SignatureBlock;
use schemars::JsonSchema;
use serde::Serialize;

use super::bytes64::Base64;

/// Proof that a record stands in the log. `text/plain` has the same as a C2SP tlog-proof.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Receipt {
    /// `accepted`: on a majority of the site; `mirrored`: cosigned by the other site as well.
    pub state: State,
    /// Index of the leaf in the log's tree.
    pub sequence: u64,
    /// When the record was accepted, as the leaf says.
    pub accepted_at: String,
    /// The leaf: 202 bytes, docs/formats/leaf.md.
    pub leaf: Base64,
    /// RFC 6962 inclusion proof, the leaf's sibling first: 32 bytes each.
    pub inclusion: Vec<Base64>,
    /// Signed checkpoint (C2SP signed note), to be verified with the log's key.
    pub checkpoint: String,
}

/// How durable a record is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Accepted,
    Mirrored,
}

/// What a header says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Fields {
    pub record_id: String,
    pub unit: String,
    pub regime: String,
    pub period: String,
    /// Empty where there is no subject.
    pub series: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    pub receivers: Vec<String>,
    pub submitted_at: String,
    pub media_type: String,
    /// Bytes.
    pub payload_length: u64,
    /// 16 bytes.
    pub salt: Base64,
    /// SHA-256 of salt and payload, 32 bytes.
    pub payload_digest: Base64,
    pub attachments: Vec<AttachmentJson>,
}

/// A file that belongs to a record.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attachment")]
pub(super) struct AttachmentJson {
    pub name: String,
    pub media_type: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256, 32 bytes.
    pub digest: Base64,
}

/// A record, byte for byte as it was signed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Record {
    /// Protobuf kho.v1.Header.
    pub header: Base64,
    /// Protobuf kho.v1.SignatureBlock.
    pub signature_block: Base64,
    pub payload: Base64,
    /// DER, the signer's first.
    pub certificates: Vec<Base64>,
    /// Read from the header, for convenience.
    pub fields: Fields,
    /// Read from the signature block.
    pub algorithm: String,
    /// Read from the signature block.
    pub signature: Base64,
}

/// The node made these bytes or has checked them; if they don't read, its memory or disk is at fault.
fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::RecordDamaged, format!("what is stored does not read: {error}"))
}

/// The receipt, as it stands in an answer.
pub(super) fn receipt(message: Option<&pb::Receipt>) -> Result<receipt::Receipt, Refusal> {
    let message = message.ok_or_else(|| damaged("there is no receipt"))?;
    receipt::Receipt::from_pb(message).map_err(damaged)
}

impl From<&receipt::Receipt> for Receipt {
    fn from(receipt: &receipt::Receipt) -> Self {
        Self {
            state: match receipt.state {
                ReceiptState::Accepted => State::Accepted,
                ReceiptState::Mirrored => State::Mirrored,
            },
            sequence: receipt.sequence.0,
            accepted_at: SubmittedAt::from_unix_ms(receipt.leaf.accepted_at).to_string(),
            leaf: bytes(receipt.leaf.encode()),
            inclusion: receipt.inclusion.iter().map(bytes).collect(),
            checkpoint: String::from_utf8_lossy(&receipt.checkpoint).into_owned(),
        }
    }
}

pub(super) fn bytes(bytes: impl AsRef<[u8]>) -> Base64 {
    Base64(bytes::Bytes::copy_from_slice(bytes.as_ref()))
}

impl From<&Header> for Fields {
    fn from(header: &Header) -> Self {
        Self {
            record_id: header.record_id.to_string(),
            unit: header.unit.to_string(),
            regime: header.regime.to_string(),
            period: header.period.to_string(),
            series: header.series.clone(),
            supersedes: header.supersedes.map(|id| id.to_string()),
            receivers: header.receivers.iter().map(ToString::to_string).collect(),
            submitted_at: header.submitted_at.to_string(),
            media_type: header.media_type.clone(),
            payload_length: header.payload_length,
            salt: bytes(header.salt),
            payload_digest: bytes(header.payload_digest),
            attachments: header.attachments.iter().map(AttachmentJson::from).collect(),
        }
    }
}

impl From<&Attachment> for AttachmentJson {
    fn from(attachment: &Attachment) -> Self {
        Self {
            name: attachment.name.clone(),
            media_type: attachment.media_type.clone(),
            length: attachment.length,
            digest: bytes(attachment.digest),
        }
    }
}

impl Record {
    /// Reads header and signature block.
    pub fn of(record: SignedRecord) -> Result<Self, Refusal> {
        let fields = Fields::from(&Header::decode(&record.header).map_err(damaged)?);
        let block = SignatureBlock::decode(&record.signature_block).map_err(damaged)?;
        Ok(Self {
            header: Base64(record.header),
            signature_block: Base64(record.signature_block),
            payload: Base64(record.payload),
            certificates: record.certificates.into_iter().map(Base64).collect(),
            fields,
            algorithm: block.algorithm.to_string(),
            signature: Base64(block.signature),
        })
    }
}
