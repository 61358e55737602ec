//! The fields of a `Submit`, each checked against its bounds: the same verdict on every node.

use std::collections::BTreeSet;

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{KeyId, RecordId, Token};
use kho_proto::pb::ledger::v1::{SealedCertificate, Submit};

use crate::bounds::{
    ATTACHMENTS_MAX, CHAIN_LENGTH_MAX, PERIOD_LENGTH_MAX, RECEIVERS_MAX, SEALED_CERTIFICATE_LENGTH_MAX,
    SEALED_HEAD_LENGTH_MAX, SEALED_PAYLOAD_LENGTH_MAX,
};
use crate::command::{Stop, fixed, within, wrong};
use crate::row::AttachmentsRow;

/// A `Submit` whose fields keep their rules.
pub(super) struct Fields<'a> {
    pub(super) record_id: RecordId,
    pub(super) key_id: KeyId,
    pub(super) header_digest: Digest,
    pub(super) signature_block_digest: Digest,
    pub(super) sealed_head: &'a Bytes,
    pub(super) sealed_payload: &'a Bytes,
    pub(super) unit_token: Token,
    pub(super) regime_token: Token,
    pub(super) receiver_tokens: Vec<Token>,
    pub(super) series_token: Token,
    pub(super) period: &'a str,
    pub(super) supersedes: Option<RecordId>,
    pub(super) new_certificates: Vec<NewCertificate<'a>>,
    pub(super) certificate_digests: Vec<Digest>,
    pub(super) attachments: AttachmentsRow,
}

/// A certificate that comes with the record.
pub(super) struct NewCertificate<'a> {
    pub(super) digest: Digest,
    pub(super) key_id: KeyId,
    pub(super) sealed: &'a Bytes,
}

impl<'a> Fields<'a> {
    pub(super) fn of(version: u32, command: &'a Submit) -> Result<Self, Stop> {
        within("submit.sealed_head", "bytes", 1, SEALED_HEAD_LENGTH_MAX, command.sealed_head.len())?;
        within("submit.sealed_payload", "bytes", 1, SEALED_PAYLOAD_LENGTH_MAX, command.sealed_payload.len())?;
        let certificate_digests = chain(command)?;
        Ok(Self {
            record_id: fixed("submit.record_id", &command.record_id)?,
            key_id: fixed("submit.key_id", &command.key_id)?,
            header_digest: fixed("submit.header_digest", &command.header_digest)?,
            signature_block_digest: fixed("submit.signature_block_digest", &command.signature_block_digest)?,
            sealed_head: &command.sealed_head,
            sealed_payload: &command.sealed_payload,
            unit_token: fixed("submit.unit_token", &command.unit_token)?,
            regime_token: fixed("submit.regime_token", &command.regime_token)?,
            receiver_tokens: receivers(command)?,
            series_token: fixed("submit.series_token", &command.series_token)?,
            period: period(&command.period)?,
            supersedes: supersedes(&command.supersedes)?,
            new_certificates: new_certificates(command, &certificate_digests)?,
            certificate_digests,
            attachments: attachments(version, command)?,
        })
    }
}

/// Each of `list`, no two alike.
fn distinct<T: Copy + Ord>(field: &str, list: Vec<T>) -> Result<Vec<T>, Stop> {
    let unique: BTreeSet<T> = list.iter().copied().collect();
    if unique.len() == list.len() { Ok(list) } else { Err(wrong(field, "no element twice", "one twice").into()) }
}

fn attachments(version: u32, command: &Submit) -> Result<AttachmentsRow, Stop> {
    let digests = &command.attachment_digests;
    if version < 2 {
        // Nothing in entry version 1 makes sure that the objects are durable.
        let refusal = Refusal::new(Code::AttachmentsUnsupported, "entry version 1 takes no attachments");
        return if digests.is_empty() { Ok(AttachmentsRow::default()) } else { Err(refusal.into()) };
    }
    let field = "submit.object_ids";
    within(field, "ids", 0, ATTACHMENTS_MAX, command.object_ids.len())?;
    within("submit.attachment_digests", "digests", command.object_ids.len(), command.object_ids.len(), digests.len())?;
    let pair = |(id, digest): (&'_ Bytes, &'_ Bytes)| {
        Ok((fixed(field, id)?, fixed::<Digest>("submit.attachment_digests", digest)?))
    };
    command.object_ids.iter().zip(digests).map(pair).collect::<Result<_, Stop>>().map(AttachmentsRow)
}

fn receivers(command: &Submit) -> Result<Vec<Token>, Stop> {
    let field = "submit.receiver_tokens";
    within(field, "tokens", 0, RECEIVERS_MAX, command.receiver_tokens.len())?;
    distinct(field, command.receiver_tokens.iter().map(|token| fixed(field, token)).collect::<Result<_, _>>()?)
}

fn chain(command: &Submit) -> Result<Vec<Digest>, Stop> {
    let field = "submit.certificate_digests";
    within(field, "digests", 1, CHAIN_LENGTH_MAX, command.certificate_digests.len())?;
    distinct(field, command.certificate_digests.iter().map(|digest| fixed(field, digest)).collect::<Result<_, _>>()?)
}

fn new_certificates<'a>(command: &'a Submit, chain: &[Digest]) -> Result<Vec<NewCertificate<'a>>, Stop> {
    let field = "submit.new_certificates";
    within(field, "certificates", 0, chain.len(), command.new_certificates.len())?;
    let new = |new: &'a SealedCertificate| {
        within("submit.new_certificates.sealed", "bytes", 1, SEALED_CERTIFICATE_LENGTH_MAX, new.sealed.len())?;
        let digest: Digest = fixed("submit.new_certificates.digest", &new.digest)?;
        if !chain.contains(&digest) {
            return Err(wrong(field, "certificates of the chain", digest.to_string()).into());
        }
        Ok(NewCertificate {
            digest,
            key_id: fixed("submit.new_certificates.key_id", &new.key_id)?,
            sealed: &new.sealed,
        })
    };
    let list = command.new_certificates.iter().map(new).collect::<Result<Vec<_>, Stop>>()?;
    distinct(field, list.iter().map(|new| new.digest).collect())?;
    Ok(list)
}

/// Visible ASCII: the index needs to know that no zero byte is in it; the grammar is the header's matter.
fn period(period: &str) -> Result<&str, Stop> {
    within("submit.period", "bytes", 1, PERIOD_LENGTH_MAX, period.len())?;
    if period.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(period)
    } else {
        Err(wrong("submit.period", "visible ASCII", "other characters").into())
    }
}

fn supersedes(bytes: &'_ [u8]) -> Result<Option<RecordId>, Stop> {
    if bytes.is_empty() { Ok(None) } else { fixed("submit.supersedes", bytes).map(Some) }
}
