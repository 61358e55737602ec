//! Unseals a stored record and holds every byte against its leaf.

use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::row::{Body, ObjectRow, RecordRow};
use kho_ledger::{ReadError, View};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{self, Header};
use kho_proto::id::{ClusterId, KeyId, ObjectId, RecordId, Seq, Token};
use kho_proto::leaf::Leaf;
use kho_proto::pb::v1::SignedRecord;
use kho_proto::sealed::{self, ChunkContext, DataKey, Head, Part, SealContext};
use kho_proto::signature::{self, SignatureBlock};
use kho_proto::tokens::TokenKey;

use super::metric_definitions::DAMAGED;
use crate::keys::{self, DataKeys};

/// Why a stored record can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state can't be read.
    #[error("state: {0}")]
    State(#[from] ReadError),
    /// A row that must be there is not.
    #[error("record {id}: expected its {what}, found none")]
    Missing {
        /// The record.
        id: RecordId,
        /// Which row.
        what: &'static str,
    },
    /// Bytes differ from what the leaf says.
    #[error("record {id}: expected {what} {expected}, found {found}")]
    Differs {
        /// The record.
        id: RecordId,
        /// Which part.
        what: &'static str,
        /// Digest in the leaf.
        expected: Digest,
        /// Digest of the stored bytes.
        found: Digest,
    },
    /// A sealed part does not open.
    #[error(transparent)]
    Sealed(#[from] sealed::Error),
    /// The opened header is of another record than its rows.
    #[error("record {id}: expected the unit, receivers and regime that its row stands for, found others in its header")]
    Rows {
        /// The record.
        id: RecordId,
    },
    /// The opened header is none, or the payload is not its.
    #[error(transparent)]
    Header(#[from] header::Error),
    /// The opened signature block is none.
    #[error(transparent)]
    Signature(#[from] signature::Error),
    /// The data key can't be used.
    #[error(transparent)]
    Keys(#[from] keys::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let code = match &error {
            Error::State(_) => Code::StorageFailed,
            Error::Keys(error) => error.code(),
            Error::Missing { .. }
            | Error::Differs { .. }
            | Error::Rows { .. }
            | Error::Sealed(_)
            | Error::Header(_)
            | Error::Signature(_) => {
                metrics::counter!(DAMAGED).increment(1);
                Code::RecordDamaged
            }
        };
        tracing::error!(%error, code = code.as_str(), "a record can't be served");
        // The details are for the operator's log.
        Refusal::new(code, "the stored record can't be served; ask another node")
    }
}

/// An unsealed record whose bytes match its leaf.
pub(crate) struct Opened {
    pub header: Header,
    pub record: SignedRecord,
}

fn differs(id: RecordId, what: &'static str, expected: Digest, bytes: &[u8]) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == expected { Ok(()) } else { Err(Error::Differs { id, what, expected, found }) }
}

/// A sealed record whose head is open.
struct OpenHead {
    head: Head,
    header: Header,
    key: Arc<DataKey>,
    context: SealContext,
}

/// Unseals with the keys of a keyring.
pub struct Opener {
    cluster: ClusterId,
    keys: Arc<DataKeys>,
}

impl Opener {
    /// With the keys of `keys`.
    pub fn new(cluster: ClusterId, keys: Arc<DataKeys>) -> Self {
        Self { cluster, keys }
    }

    /// Makes the tokens of rows, and keys of page tokens.
    pub(crate) fn tokens(&self) -> &TokenKey {
        self.keys.provider().token_key()
    }

    /// The header only: the payload stays sealed. And the bytes that were read for it.
    pub(super) fn header(&self, view: &dyn View, seq: Seq, leaf: &Leaf) -> Result<(Header, usize), Error> {
        let missing = Error::Missing { id: leaf.record_id, what: "body" };
        let body = kho_ledger::body(view, seq)?.ok_or(missing)?;
        let read = body.sealed_head.len() + body.sealed_payload.len();
        Ok((self.head(view, leaf, &body)?.header, read))
    }

    /// Opens the head and holds it against the leaf.
    fn head(&self, view: &dyn View, leaf: &Leaf, body: &Body) -> Result<OpenHead, Error> {
        let id = leaf.record_id;
        differs(id, "sealed head", leaf.sealed_head_digest, &body.sealed_head)?;
        let key = self.key(view, leaf.key_id, id)?;
        let context = SealContext {
            cluster_id: self.cluster,
            key_id: leaf.key_id,
            record_id: id,
            header_digest: leaf.header_digest,
            signature_block_digest: leaf.signature_block_digest,
        };
        let head = Head::from_plaintext(sealed::open(&context, Part::Head, &key, &body.sealed_head)?)?;
        differs(id, "header", leaf.header_digest, &head.header)?;
        differs(id, "signature block", leaf.signature_block_digest, &head.signature_block)?;
        let header = Header::decode(&head.header)?;
        Ok(OpenHead { head, header, key, context })
    }

    /// Where the chunks of an object belong.
    pub(super) fn chunks(&self, object_id: ObjectId, object: &ObjectRow) -> ChunkContext {
        ChunkContext { cluster_id: self.cluster, key_id: object.key_id, object_id, length: object.length }
    }

    pub(crate) fn open(&self, view: &dyn View, id: RecordId, row: &RecordRow) -> Result<Opened, Error> {
        let missing = |what| Error::Missing { id, what };
        let leaf = kho_ledger::leaf(view, row.seq)?.ok_or_else(|| missing("leaf"))?;
        let body = kho_ledger::body(view, row.seq)?.ok_or_else(|| missing("body"))?;
        differs(id, "sealed payload", leaf.sealed_payload_digest, &body.sealed_payload)?;
        let OpenHead { head, header, key, context } = self.head(view, &leaf, &body)?;
        let payload = sealed::open(&context, Part::Payload, &key, &body.sealed_payload)?;
        header.check_payload(&payload)?;
        let block = SignatureBlock::decode(&head.signature_block)?;
        let certificates = block
            .certificate_digests
            .iter()
            .map(|digest| self.certificate(view, id, row.unit_token, *digest))
            .collect::<Result<Vec<_>, _>>()?;
        let record = SignedRecord {
            header: head.header,
            signature_block: head.signature_block,
            payload: payload.into(),
            certificates,
        };
        Ok(Opened { header, record })
    }

    pub(super) fn key(&self, view: &dyn View, key_id: KeyId, id: RecordId) -> Result<Arc<DataKey>, Error> {
        let found = kho_ledger::data_key_by_id(view, &key_id)?;
        let (owner, row) = found.ok_or(Error::Missing { id, what: "data key" })?;
        Ok(self.keys.open(owner.unit_token, &row)?)
    }

    fn certificate(&self, view: &dyn View, id: RecordId, unit: Token, digest: Digest) -> Result<Bytes, Error> {
        let row = kho_ledger::certificate(view, &unit, &digest)?.ok_or(Error::Missing { id, what: "certificate" })?;
        let key = self.key(view, row.key_id, id)?;
        let context = SealContext::certificate(self.cluster, row.key_id, digest);
        let der = sealed::open(&context, Part::Certificate, &key, &row.sealed)?;
        let found = Digest::of(&der);
        if found != digest {
            return Err(Error::Differs { id, what: "certificate", expected: digest, found });
        }
        Ok(der.into())
    }
}
