//! From a verified record to a command of ciphertext, digests and tokens. Nothing in clear goes on from here.

use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::row::DataKeyRow;
use kho_ledger::{FIRST_GENERATION, ReadError, View};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Attachment, Header};
use kho_proto::id::{ClusterId, KeyId, ObjectId, Token};
use kho_proto::pb::ledger::v1::{Command, CreateDataKey, SealedCertificate, Submit, command::Kind};
use kho_proto::sealed::{ChunkContext, DataKey, Head, NONCE_LENGTH, Part, SealContext, WrapContext};
use kho_proto::tokens::TokenKey;
use zeroize::Zeroizing;

use super::authenticate::Authenticated;
use super::batch::Queue;
use super::chains::Chains;
use super::deadline::Deadline;
use super::propose::{self, Answer};
use super::verify::Verified;
use crate::consensus::StateStore;
use crate::keys::{self, DataKeys};
use crate::mutants::Mutant;
use crate::read::Barrier;
use crate::seams::Entropy;

/// Requests that need a new data key wait for each other by unit; units share so many places.
const CREATING_PLACES: usize = 64;
/// Rounds of creating a data key and looking for it, at most: apply keeps the first, so that one is enough.
const CREATE_ROUNDS_MAX: usize = 3;

/// A command that holds a record as ciphertext.
pub struct Sealed(Command);

impl Sealed {
    /// For proposing.
    pub fn into_command(self) -> Command {
        self.0
    }
}

/// Why a record was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data key can't be used.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The state can't be read.
    #[error("state: {0}")]
    State(#[from] ReadError),
    /// A certificate of the state does not open.
    #[error("a stored certificate: {0}")]
    Certificate(#[from] kho_proto::sealed::Error),
    /// The data key could not be created.
    #[error(transparent)]
    Propose(#[from] propose::Error),
    /// The state refused the data key, or this node did not see it in time.
    #[error(transparent)]
    Refused(Refusal),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Keys(ref keys) => Refusal::new(keys.code(), error.to_string()),
            Error::State(_) | Error::Certificate(_) => Refusal::new(Code::StorageFailed, error.to_string()),
            // Of the data key only: the record itself was surely not proposed.
            Error::Propose(propose::Error::Unknown) => Refusal::new(
                Code::KeyNotApplied,
                "the unit's data key was not created in time; the record was not proposed",
            ),
            Error::Propose(error) => error.into(),
            Error::Refused(refusal) => refusal,
        }
    }
}

/// Seals with data keys of the state.
pub struct Sealer {
    cluster: ClusterId,
    keys: Arc<DataKeys>,
    entropy: Arc<dyn Entropy>,
    barrier: Arc<Barrier>,
    chains: Chains,
    creating: [tokio::sync::Mutex<()>; CREATING_PLACES],
}

impl Sealer {
    /// With the keys of `keys`; `barrier` waits until a new data key is visible here.
    pub fn new(cluster: ClusterId, keys: Arc<DataKeys>, entropy: Arc<dyn Entropy>, barrier: Arc<Barrier>) -> Self {
        let creating = std::array::from_fn(|_| tokio::sync::Mutex::new(()));
        Self { cluster, keys, entropy, barrier, chains: Chains::new(cluster), creating }
    }

    /// Waits until this node's state holds all that was committed before the call.
    pub(super) async fn catch_up(&self, deadline: Deadline) -> Result<(), Refusal> {
        self.barrier.pass(deadline).await
    }

    /// Makes tokens.
    pub fn tokens(&self) -> &TokenKey {
        self.keys.provider().token_key()
    }

    /// A record that came without certificates with those that the state has.
    pub(super) fn complete(&self, state: &StateStore, authenticated: Authenticated) -> Result<Authenticated, Error> {
        authenticated.completed(|header, record| {
            let unit = self.tokens().unit(&header.unit);
            self.chains.complete(&self.keys, &state.read().0, unit, record)
        })
    }

    pub(super) async fn seal(
        &self,
        state: &StateStore,
        queue: &Queue,
        verified: Verified,
        deadline: Deadline,
    ) -> Result<Sealed, Error> {
        let unit_token = self.tokens().unit(&verified.record().header().unit);
        let key = self.unit_key(state, queue, unit_token, deadline).await?;
        let attachments = self.attachments(state, verified.record().header(), &key, deadline).await?;
        let (view, _) = state.read();
        let mut submit = self.submit(&view, verified, unit_token, &key)?;
        for (id, digest) in attachments {
            submit.object_ids.push(copied(id.as_ref()));
            submit.attachment_digests.push(copied(digest.as_ref()));
        }
        Ok(Sealed(Command { kind: Some(Kind::Submit(submit)) }))
    }

    /// The unit's data key, made if it has none yet.
    pub(super) async fn unit_key(
        &self,
        state: &StateStore,
        queue: &Queue,
        unit_token: Token,
        deadline: Deadline,
    ) -> Result<UnitKey, Error> {
        let existing = self.find_key(&state.read().0, unit_token)?;
        match existing {
            Some(key) => Ok(key),
            None => self.create_key(state, queue, unit_token, deadline).await,
        }
    }

    /// Objects of the record's attachments, which were uploaded before, perhaps through another node.
    async fn attachments(
        &self,
        state: &StateStore,
        header: &Header,
        key: &UnitKey,
        deadline: Deadline,
    ) -> Result<Vec<(ObjectId, Digest)>, Error> {
        let find = |view: &dyn View, attachment: &Attachment| -> Result<_, Error> {
            let id = ObjectId::of(&key.key, &attachment.digest, attachment.length);
            Ok(kho_ledger::complete_object(view, &id)?.map(|complete| (id, complete.sealed_digest)))
        };
        let find_all = |view: &dyn View| -> Result<Vec<_>, Error> {
            header.attachments.iter().map(|attachment| find(view, attachment)).collect()
        };
        let mut found = find_all(&state.view())?;
        if found.iter().any(Option::is_none) {
            self.barrier.pass(deadline).await.map_err(Error::Refused)?;
            found = find_all(&state.view())?;
        }
        found
            .into_iter()
            .zip(&header.attachments)
            .map(|(found, attachment)| found.ok_or_else(|| missing(attachment)))
            .collect()
    }

    /// The cluster that sealed bytes are bound to.
    pub(super) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// A chunk of an attachment, sealed.
    pub(super) fn seal_chunk(&self, context: &ChunkContext, key: &DataKey, index: u32, plaintext: &[u8]) -> Bytes {
        if Mutant::NoSealing.planted() {
            return copied(plaintext);
        }
        context.seal(key, index, self.nonce(), plaintext)
    }

    fn submit(&self, view: &dyn View, verified: Verified, unit_token: Token, key: &UnitKey) -> Result<Submit, Error> {
        let crl_version = verified.judged_by();
        let verified = verified.record();
        let (header, record) = (verified.header(), verified.record());
        let context = SealContext {
            cluster_id: self.cluster,
            key_id: key.id,
            record_id: header.record_id,
            header_digest: verified.header_digest(),
            signature_block_digest: verified.block_digest(),
        };
        let head = Head { header: record.header.clone(), signature_block: record.signature_block.clone() };
        let head = Zeroizing::new(head.to_plaintext());
        let tokens = self.tokens();
        let digests = &verified.block().certificate_digests;
        Ok(Submit {
            record_id: copied(header.record_id.as_ref()),
            key_id: copied(key.id.as_ref()),
            header_digest: copied(context.header_digest.as_ref()),
            signature_block_digest: copied(context.signature_block_digest.as_ref()),
            sealed_head: self.seal_part(&context, Part::Head, &key.key, &head),
            sealed_payload: self.seal_part(&context, Part::Payload, &key.key, &record.payload),
            attachment_digests: Vec::new(),
            unit_token: copied(unit_token.as_ref()),
            regime_token: copied(tokens.regime(&header.regime).as_ref()),
            receiver_tokens: header.receivers.iter().map(|unit| copied(tokens.receiver(unit).as_ref())).collect(),
            series_token: copied(self.series(header).as_ref()),
            period: header.period.to_string(),
            supersedes: header.supersedes.map(|id| copied(id.as_ref())).unwrap_or_default(),
            new_certificates: self.new_certificates(view, unit_token, key, digests, &record.certificates)?,
            certificate_digests: digests.iter().map(|digest| copied(digest.as_ref())).collect(),
            crl_version,
            object_ids: Vec::new(),
        })
    }

    fn series(&self, header: &Header) -> Token {
        self.tokens().series(&header.unit, &header.regime, &header.period, &header.series)
    }

    /// Those that the state does not have go along.
    fn new_certificates(
        &self,
        view: &dyn View,
        unit_token: Token,
        key: &UnitKey,
        digests: &[Digest],
        certificates: &[Bytes],
    ) -> Result<Vec<SealedCertificate>, Error> {
        let mut new = Vec::new();
        for (digest, certificate) in digests.iter().zip(certificates) {
            if kho_ledger::certificate(view, &unit_token, digest)?.is_some() {
                continue;
            }
            let context = SealContext::certificate(self.cluster, key.id, *digest);
            new.push(SealedCertificate {
                digest: copied(digest.as_ref()),
                key_id: copied(key.id.as_ref()),
                sealed: self.seal_part(&context, Part::Certificate, &key.key, certificate),
            });
        }
        Ok(new)
    }

    fn seal_part(&self, context: &SealContext, part: Part, key: &DataKey, plaintext: &[u8]) -> Bytes {
        if Mutant::NoSealing.planted() {
            return copied(plaintext);
        }
        kho_proto::sealed::seal(context, part, key, self.nonce(), plaintext)
    }

    fn nonce(&self) -> [u8; NONCE_LENGTH] {
        let mut nonce = [0; NONCE_LENGTH];
        self.entropy.fill(&mut nonce);
        nonce
    }

    fn find_key(&self, view: &dyn View, unit_token: Token) -> Result<Option<UnitKey>, Error> {
        let Some(row) = kho_ledger::data_key(view, &unit_token)? else { return Ok(None) };
        self.opened_key(unit_token, &row).map(Some)
    }

    fn opened_key(&self, unit_token: Token, row: &DataKeyRow) -> Result<UnitKey, Error> {
        Ok(UnitKey { id: row.key_id, key: self.keys.open(unit_token, row)? })
    }

    /// Proposes the unit's first data key and waits until the one that apply kept is visible here.
    async fn create_key(
        &self,
        state: &StateStore,
        queue: &Queue,
        unit_token: Token,
        deadline: Deadline,
    ) -> Result<UnitKey, Error> {
        let place = &self.creating[usize::from(unit_token.0[0]) % CREATING_PLACES];
        let _mine = place.lock().await;
        for _ in 0..CREATE_ROUNDS_MAX {
            let existing = self.find_key(&state.read().0, unit_token)?;
            if let Some(key) = existing {
                return Ok(key);
            }
            match queue.propose(self.new_key(unit_token)?, deadline).await? {
                Answer::Refused(refusal) => return Err(Error::Refused(refusal)),
                Answer::Done | Answer::Accepted { .. } => self.barrier.pass(deadline).await.map_err(Error::Refused)?,
            }
        }
        Err(Error::Refused(Refusal::new(Code::KeyNotApplied, "the unit's data key is not applied on this node yet")))
    }

    fn new_key(&self, unit_token: Token) -> Result<Command, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *bytes);
        let mut key_id = KeyId([0; 16]);
        self.entropy.fill(&mut key_id.0);
        let context = WrapContext { cluster_id: self.cluster, key_id, unit_token, generation: FIRST_GENERATION };
        let provider = self.keys.provider();
        let wrapped = provider.wrap(&context, self.nonce(), &DataKey::new(*bytes))?;
        let create = CreateDataKey {
            key_id: copied(key_id.as_ref()),
            unit_token: copied(unit_token.as_ref()),
            generation: FIRST_GENERATION,
            wrapped_by: copied(provider.wrapped_by().as_ref()),
            wrapped_key: wrapped,
        };
        Ok(Command { kind: Some(Kind::CreateDataKey(create)) })
    }
}

/// A unit's data key, ready for use.
pub(super) struct UnitKey {
    pub id: KeyId,
    pub key: Arc<DataKey>,
}

fn missing(attachment: &Attachment) -> Error {
    let Attachment { name, length, digest, .. } = attachment;
    let text = format!("the attachment {name:?} was not uploaded for this unit, or was collected since");
    let expected = format!("a complete upload of {length} bytes with digest {digest}");
    Error::Refused(Refusal::new(Code::AttachmentMissing, text).expected_found(expected, "none"))
}

fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
