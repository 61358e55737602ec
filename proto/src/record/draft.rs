//! The sender's side: from fields and payload to a signed record.

use bytes::Bytes;

use crate::certificate::CHAIN_LENGTH_MAX;
use crate::digest::Digest;
use crate::dsse;
use crate::header::{self, Attachment, Header, SubmittedAt, payload_digest};
use crate::id::{RecordId, RegimeCode, UnitCode};
use crate::pb::v1::SignedRecord;
use crate::period::Period;
use crate::signature::{Algorithm, SignatureBlock};

/// A header before its payload is known: all that the sender chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// UUIDv7; the same for every retry.
    pub record_id: RecordId,
    /// The signer's unit.
    pub unit: UnitCode,
    /// Report regime.
    pub regime: RegimeCode,
    /// What the report covers.
    pub period: Period,
    /// Subject; empty where there is only one.
    pub series: String,
    /// The revision before.
    pub supersedes: Option<RecordId>,
    /// In any order; repetitions are dropped.
    pub receivers: Vec<UnitCode>,
    /// Now, by the sender's clock.
    pub submitted_at: SubmittedAt,
    /// Of the payload.
    pub media_type: String,
    /// 16 random bytes, fresh for every record.
    pub salt: [u8; 16],
}

impl Draft {
    /// The header for a payload; checked, so that a mistake shows before anything is signed.
    pub fn header(self, payload: &[u8]) -> Result<Header, header::Error> {
        self.header_with(payload, Vec::new())
    }

    /// The same for a payload and attachments, which are uploaded before the record is sent.
    pub fn header_with(self, payload: &[u8], attachments: Vec<Attachment>) -> Result<Header, header::Error> {
        let mut receivers = self.receivers;
        receivers.sort_unstable();
        receivers.dedup();
        let header = Header {
            record_id: self.record_id,
            unit: self.unit,
            regime: self.regime,
            period: self.period,
            series: self.series,
            supersedes: self.supersedes,
            receivers,
            submitted_at: self.submitted_at,
            media_type: self.media_type,
            payload_length: payload.len() as u64,
            payload_digest: payload_digest(&self.salt, payload),
            salt: self.salt,
            attachments,
        };
        header.check_payload(payload)?;
        header.check()?;
        Ok(header)
    }
}

/// Why a draft was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError<E> {
    /// The header or the payload breaks a rule.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// No certificate, or too many.
    #[error("certificates: expected 1 to {CHAIN_LENGTH_MAX}, found {found}")]
    ChainLength {
        /// How many.
        found: usize,
    },
    /// The signer failed.
    #[error("signer: {0}")]
    Signer(E),
}

/// Signs a record. `sign` gets the bytes to sign ([`dsse::signed_bytes`]) and answers with the signature of
/// `algorithm`; `chain` is DER, the signer's certificate first, without the root.
pub fn sign<E>(
    draft: Draft,
    payload: Bytes,
    algorithm: Algorithm,
    chain: &[Bytes],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<SignedRecord, SignError<E>> {
    if !(1..=CHAIN_LENGTH_MAX).contains(&chain.len()) {
        return Err(SignError::ChainLength { found: chain.len() });
    }
    let header = draft.header(&payload)?.encode();
    let signature = sign(&dsse::signed_bytes(&header)).map_err(SignError::Signer)?;
    Ok(assemble(header, payload, algorithm, signature.into(), chain))
}

/// Puts a record together from its encoded header and a signature that was made elsewhere.
pub fn assemble(
    header: Bytes,
    payload: Bytes,
    algorithm: Algorithm,
    signature: Bytes,
    chain: &[Bytes],
) -> SignedRecord {
    let certificate_digests = chain.iter().map(|der| Digest::of(der)).collect();
    let signature_block = SignatureBlock { algorithm, signature, certificate_digests }.encode();
    SignedRecord { header, signature_block, payload, certificates: chain.to_vec() }
}
