//! A report before and after it is signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kho_proto::digest::Digest;
use kho_proto::dsse;
use kho_proto::error::Code;
use kho_proto::header::{self, Attachment, Header, SubmittedAt};
use kho_proto::id::{RecordId, RegimeCode, UnitCode};
use kho_proto::nfc::nfc;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::period::Period;
use kho_proto::record;
use kho_proto::report::Report;

use crate::chains::Chain;
use crate::clock::Surroundings;
use crate::signer::{SignError, Signer};

/// What a sender says; the rest of the header is made when it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// UUIDv7; a fresh one if absent. Give one only where it was written down before.
    pub record_id: Option<RecordId>,
    /// Reporting unit: the signer's.
    pub unit: UnitCode,
    /// Report regime.
    pub regime: RegimeCode,
    /// Reported period.
    pub period: Period,
    /// Subject within unit, regime and period; empty where there is only one.
    pub series: String,
    /// The revision that this one replaces.
    pub supersedes: Option<RecordId>,
    /// Units that may read the record besides the sender; order and repetition don't matter.
    pub receivers: Vec<UnitCode>,
    /// Of the payload.
    pub media_type: String,
    /// The report itself.
    pub payload: Bytes,
}

impl From<Report> for Draft {
    /// A report document, as `kho submit` reads it.
    fn from(report: Report) -> Self {
        Self {
            record_id: report.id,
            unit: report.unit,
            regime: report.regime,
            period: report.period,
            series: report.series,
            supersedes: report.supersedes,
            receivers: report.receivers,
            media_type: report.media_type,
            payload: report.payload,
        }
    }
}

/// Why a draft was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignDraftError {
    /// A field or the payload breaks its rule: no node would take it.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The signer did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl SignDraftError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            SignDraftError::Header(error) => error.code(),
            SignDraftError::Sign(_) => Code::SignatureInvalid,
        }
    }
}

impl Draft {
    /// Gives the report its id, its salt and its time, and has it signed: once. Whatever happens afterwards, the
    /// same bytes are sent. Series and names of attachments are written in NFC: they are compared as bytes.
    pub async fn sign(self, signer: &dyn Signer, surroundings: &dyn Surroundings) -> Result<Signed, SignDraftError> {
        self.sign_with(Vec::new(), signer, surroundings).await
    }

    /// The same for a report with attachments, which are uploaded before it is sent ([`Client::upload`](crate::Client::upload)).
    pub async fn sign_with(
        self,
        attachments: Vec<Attachment>,
        signer: &dyn Signer,
        surroundings: &dyn Surroundings,
    ) -> Result<Signed, SignDraftError> {
        let (mut salt, mut random) = ([0; 16], [0; 10]);
        surroundings.fill(&mut salt);
        surroundings.fill(&mut random);
        let now = surroundings.now();
        let draft = record::Draft {
            record_id: self.record_id.unwrap_or_else(|| RecordId::new_v7(now.0, &random)),
            unit: self.unit,
            regime: self.regime,
            period: self.period,
            series: nfc(&self.series),
            supersedes: self.supersedes,
            receivers: self.receivers,
            submitted_at: SubmittedAt::from_unix_ms(now),
            media_type: self.media_type,
            salt,
        };
        let attachments = attachments.into_iter().map(|one| Attachment { name: nfc(&one.name), ..one }).collect();
        let header = draft.header_with(&self.payload, attachments)?;
        let bytes = header.encode();
        let signature = signer.sign(&dsse::signed_bytes(&bytes)).await?;
        let record = record::assemble(bytes, self.payload, signer.algorithm(), signature, signer.certificates());
        Ok(Signed::of(&header, record, Arc::default()))
    }
}

/// A signed record, ready to be sent any number of times. Clones are the same record: what one call leaves in doubt
/// is in doubt for all of them.
#[derive(Debug, Clone)]
pub struct Signed {
    record_id: RecordId,
    record: SignedRecord,
    chain: Chain,
    doubt: Arc<AtomicBool>,
}

impl Signed {
    /// A record from a file or a queue; only its header is looked at, the nodes check the rest.
    ///
    /// Whoever wrote it down may have sent it, too. So a call with it never ends as *certainly not in*: where nobody
    /// gives a definite answer, it is [`SubmitError::Unknown`](crate::SubmitError::Unknown).
    pub fn from_record(record: SignedRecord) -> Result<Self, header::Error> {
        let doubt = Arc::new(AtomicBool::new(true));
        Ok(Self::of(&Header::decode(&record.header)?, record, doubt))
    }

    /// A record that was written down and certainly never sent: by whoever keeps account of that. A refusal of it is
    /// final at once. If it was sent after all, a call may say *refused* of a record that is in: where you don't know,
    /// take [`Signed::from_record`].
    pub fn never_sent(record: SignedRecord) -> Result<Self, header::Error> {
        Ok(Self::of(&Header::decode(&record.header)?, record, Arc::default()))
    }

    fn of(header: &Header, record: SignedRecord, doubt: Arc<AtomicBool>) -> Self {
        let chain = Chain::of(header.unit.as_str(), &record);
        Self { record_id: header.record_id, record, chain, doubt }
    }

    /// Whose certificates it carries.
    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    /// Its id.
    pub fn record_id(&self) -> RecordId {
        self.record_id
    }

    /// As it travels; its file form is `ID.record`.
    pub fn record(&self) -> &SignedRecord {
        &self.record
    }

    /// SHA-256 of the header: the record's identity.
    pub fn header_digest(&self) -> Digest {
        Digest::of(&self.record.header)
    }

    /// Whether somebody may have taken it already.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubt.load(Ordering::Relaxed)
    }

    /// It is about to be sent.
    pub(crate) fn send(&self) -> UnderWay {
        UnderWay { doubt: Some(self.doubt.clone()) }
    }
}

/// An attempt that leaves doubt behind unless it proves to have done nothing: also where the caller gives up waiting
/// and drops the call.
pub(crate) struct UnderWay {
    doubt: Option<Arc<AtomicBool>>,
}

impl UnderWay {
    /// This attempt was certainly not taken.
    pub(crate) fn not_taken(mut self) {
        self.doubt = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(doubt) = &self.doubt {
            doubt.store(true, Ordering::Relaxed);
        }
    }
}
