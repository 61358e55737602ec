//! What is stored of a content already.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kho_ledger::View;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{ObjectId, Token, UnitCode};
use kho_proto::object::{CHUNK_LENGTH, chunk_count};
use kho_proto::pb::v1::BeginAttachmentRequest;
use kho_proto::sealed::{ChunkContext, DataKey};

use super::{Uploads, failed};
use crate::identity::{Identity, Role};
use crate::write::{Deadline, Keyed, keys_missing};

/// The entry version that knows attachments.
const ENTRY_VERSION: u32 = 2;

/// A content that a connection may upload, and how far it has come.
pub struct Begun {
    pub(super) unit: UnitCode,
    pub(super) unit_token: Token,
    pub(super) digest: Digest,
    pub(super) context: ChunkContext,
    pub(super) key: Arc<DataKey>,
    /// Bytes from the beginning that are stored.
    pub stored: u64,
    /// All of it is, and was verified.
    pub complete: bool,
}

impl Begun {
    /// Chunks of the content.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(chunk_count(self.context.length)).unwrap_or(u32::MAX)
    }
}

impl Uploads {
    /// Whether the connection may upload it, and what is stored.
    pub async fn begin(
        &self,
        identity: &Identity,
        request: &BeginAttachmentRequest,
        deadline: Deadline,
    ) -> Result<Begun, Refusal> {
        let party = identity.party()?;
        party.require(&[Role::Submitter])?;
        let (unit, digest) = self.check(request)?;
        if !party.acts_for(&unit) {
            let refusal = Refusal::new(Code::UnitNotPermitted, "the connection may not upload for this unit");
            return Err(refusal.expected_found("a unit of the connection's certificate", unit.to_string()));
        }
        let Some(Keyed { sealer, receipts, .. }) = &self.writer.keyed else { return Err(keys_missing()) };
        receipts.ready()?;
        self.check_members().await?;
        let unit_token = sealer.tokens().unit(&unit);
        let (state, queue) = (&self.writer.state, &self.writer.queue);
        let key = sealer.unit_key(state, queue, unit_token, deadline).await.map_err(Refusal::from)?;
        self.barrier.pass(deadline).await?;
        let context = ChunkContext {
            cluster_id: sealer.cluster(),
            key_id: key.id,
            object_id: ObjectId::of(&key.key, &digest, request.length),
            length: request.length,
        };
        let view = self.writer.state.view();
        let stored = self.tasks.blocking(move || stored(&view, &context)).await;
        let (stored, complete) = stored.map_err(failed)?.map_err(failed)?;
        if !complete {
            self.writer.disk.check_object()?;
        }
        Ok(Begun { unit, unit_token, digest, context, key: key.key, stored, complete })
    }

    fn check(&self, request: &BeginAttachmentRequest) -> Result<(UnitCode, Digest), Refusal> {
        let malformed = |field: &str, text: String| Refusal::new(Code::RequestMalformed, format!("{field}: {text}"));
        let unit = request.unit.parse::<UnitCode>().map_err(|error| malformed("unit", error.to_string()))?;
        let digest = Digest::try_from(request.digest.as_ref()).map_err(|error| {
            malformed("digest", error.to_string()).expected_found("32 bytes", format!("{} bytes", error.found))
        })?;
        if request.length > self.length_max {
            let refusal = Refusal::new(Code::AttachmentTooLarge, "the attachment is larger than this node takes");
            let expected = format!("at most {} bytes", self.length_max);
            return Err(refusal.expected_found(expected, format!("{} bytes", request.length)));
        }
        Ok((unit, digest))
    }

    /// Before the first attachment every member must know the commands; after it none can be older.
    async fn check_members(&self) -> Result<(), Refusal> {
        if self.known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (view, tip) = self.writer.state.read();
        let used = tip.crl_version() > 0 || kho_ledger::object_after(&view, None).map_err(failed)?.is_some();
        if !used {
            self.members.check(ENTRY_VERSION).await?;
        }
        self.known.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Bytes that are there without a gap, and whether it is complete.
fn stored(view: &dyn View, context: &ChunkContext) -> Result<(u64, bool), kho_ledger::ReadError> {
    let id = &context.object_id;
    if kho_ledger::complete_object(view, id)?.is_some() {
        return Ok((context.length, true));
    }
    let count = chunk_count(context.length);
    let mut chunks = 0;
    while chunks < count && kho_ledger::chunk_facts(view, id, u32::try_from(chunks).unwrap_or(u32::MAX))?.is_some() {
        chunks += 1;
    }
    Ok(((chunks * CHUNK_LENGTH as u64).min(context.length), false))
}
