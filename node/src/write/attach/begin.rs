//! What is stored of a content already.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kho_ledger::View;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{ObjectId, Token, UnitCode, UnixMs};
use kho_proto::object::{CHUNK_LENGTH, chunk_count};
use kho_proto::pb::ledger::v1::{Command, DropObjects, command::Kind};
use kho_proto::pb::v1::BeginAttachmentRequest;
use kho_proto::sealed::{ChunkContext, DataKey};

use super::{Uploads, failed};
use crate::identity::{Identity, Role};
use crate::write::{Answer, Deadline, Keyed, keys_missing};

/// The entry version that knows attachments.
const ENTRY_VERSION: u32 = 2;
/// What is complete and will be collected within this is not worth naming: the rest of the attachments, a signature and a record
/// that is sent again come first. Of a short wait for the record a quarter.
const NEARLY_MAX: Duration = Duration::from_secs(3600);

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
        let mut found = self.look(context).await?;
        let nearly = found.idle_since.is_some_and(|touched| self.is_nearly_collected(touched));
        // where no room is to upload it anew, what is there is better than nothing
        if found.complete && nearly && self.writer.disk.check_object().is_ok() {
            match self.forget(context, &found, deadline).await {
                Ok(()) => {
                    self.barrier.pass(deadline).await?;
                    found = self.look(context).await?;
                }
                Err(refusal) => tracing::debug!(%refusal, "an attachment that is nearly collected was not dropped"),
            }
        }
        let Found { stored, complete, .. } = found;
        if !complete {
            self.writer.disk.check_object()?;
        }
        Ok(Begun { unit, unit_token, digest, context, key: key.key, stored, complete })
    }

    async fn look(&self, context: ChunkContext) -> Result<Found, Refusal> {
        let view = self.writer.state.view();
        let found = self.tasks.blocking(move || look(&view, &context)).await;
        found.map_err(failed)?.map_err(failed)
    }

    /// Whether what no record names, and was last touched then, may be collected before the record of whoever finds it now is in.
    fn is_nearly_collected(&self, touched: UnixMs) -> bool {
        let near = (self.orphan_after / 4).min(NEARLY_MAX);
        let idle = self.writer.quotas.clock().now().0.saturating_sub(touched.0);
        u128::from(idle) >= (self.orphan_after - near).as_millis()
    }

    /// Drops it a little earlier, so that it is uploaded anew and its time begins anew. A record that names it first keeps it.
    async fn forget(&self, context: ChunkContext, found: &Found, deadline: Deadline) -> Result<(), Refusal> {
        let object_ids = vec![Bytes::copy_from_slice(context.object_id.as_ref())];
        let idle_since_ms = found.idle_since.map_or(0, |touched| touched.0);
        let drop = DropObjects { object_ids, idle_since_ms, incomplete_only: false };
        let command = Command { kind: Some(Kind::DropObjects(drop)) };
        match self.writer.queue.propose(command, deadline).await? {
            Answer::Done | Answer::Accepted { .. } => Ok(()),
            Answer::Refused(refusal) => Err(refusal),
        }
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

/// What is there of a content.
struct Found {
    /// Bytes without a gap.
    stored: u64,
    complete: bool,
    /// Of what is complete and no record names: when it was completed.
    idle_since: Option<UnixMs>,
}

fn look(view: &dyn View, context: &ChunkContext) -> Result<Found, kho_ledger::ReadError> {
    let id = &context.object_id;
    if let Some(row) = kho_ledger::complete_object(view, id)? {
        let idle_since = (!kho_ledger::is_named(view, id)?).then_some(row.at);
        return Ok(Found { stored: context.length, complete: true, idle_since });
    }
    let count = chunk_count(context.length);
    let mut chunks = 0;
    while chunks < count && kho_ledger::chunk_facts(view, id, u32::try_from(chunks).unwrap_or(u32::MAX))?.is_some() {
        chunks += 1;
    }
    let stored = (chunks * CHUNK_LENGTH as u64).min(context.length);
    Ok(Found { stored, complete: false, idle_since: None })
}
