//! An attachment of a record, chunk by chunk: what is held of it is what its reader has not taken yet.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::Attachment;
use kho_proto::id::RecordId;
use kho_proto::object::{CHUNK_LENGTH, chunk_count};
use kho_proto::pb::v1::GetAttachmentRequest;
use kho_proto::pb::v1::get_attachment_request::Attachment as Which;
use kho_proto::sealed::{ChunkContext, DataKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Keyed, OpenError, Reader, unknown};
use crate::consensus::StateStore;
use crate::identity::{Identity, Party, Role};
use crate::seams::Tasks;
use crate::shares::{Share, Shares};
use crate::write::Deadline;

/// Downloads of a node at once; more are told to come again.
pub const DOWNLOADS_MAX: usize = 64;
/// Of these one certificate always has so many.
const SHARE_MIN: usize = 4;
/// Chunks that were read ahead of a reader, at most.
const AHEAD_MAX: usize = 2;

/// What is read from the offset on.
pub type Content = Pin<Box<dyn Stream<Item = Result<Bytes, Refusal>> + Send>>;

/// Places of downloads, and who reads for them.
pub(super) struct Downloads {
    places: Arc<Semaphore>,
    /// One reader's downloads must not keep out all others'.
    shares: Shares,
    tasks: Arc<dyn Tasks>,
}

/// One of them, until it ends.
struct Held {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Downloads {
    pub(super) fn new(tasks: Arc<dyn Tasks>) -> Self {
        let places = Arc::new(Semaphore::new(DOWNLOADS_MAX));
        Self { places, shares: Shares::of(DOWNLOADS_MAX, SHARE_MIN), tasks }
    }

    fn hold(&self, who: Option<Digest>) -> Result<Held, Refusal> {
        let overloaded = || {
            let mut refusal = Refusal::new(Code::Overloaded, "too many downloads are open on this node");
            refusal.retry_after = Some(crate::write::RETRY_AFTER_OVERLOAD);
            refusal
        };
        let share = who.map(|who| self.shares.take(who).ok_or_else(overloaded)).transpose()?;
        let place = self.places.clone().try_acquire_owned().map_err(|_full| overloaded())?;
        Ok(Held { _place: place, _share: share })
    }
}

/// A content that its caller may read.
struct Source {
    state: StateStore,
    context: ChunkContext,
    key: Arc<DataKey>,
}

impl Reader {
    /// The attachment's place in the header and what the header says of it, and its content from the offset on.
    pub async fn attachment(
        &self,
        identity: &Identity,
        request: GetAttachmentRequest,
        deadline: Deadline,
    ) -> Result<(usize, Attachment, Content), Refusal> {
        let party = identity.party()?;
        party.require(&[Role::Reader])?;
        let keyed = self.keyed()?;
        let id = RecordId::try_from(request.record_id.as_ref()).map_err(|error| {
            let refusal = Refusal::new(Code::RequestMalformed, format!("record_id: {error}"));
            refusal.expected_found("16 bytes", format!("{} bytes", error.found))
        })?;
        self.barrier.pass(deadline).await?;
        let (at, attachment, source) = self.attached(keyed, party, id, request.attachment.as_ref())?;
        if request.offset > attachment.length {
            let refusal = Refusal::new(Code::AttachmentOffsetInvalid, "the offset is behind the attachment's end");
            return Err(refusal.expected_found(format!("at most {}", attachment.length), request.offset.to_string()));
        }
        let place = self.downloads.hold(identity.certificate())?;
        Ok((at, attachment, self.read_ahead(source, request.offset, place)))
    }

    /// The signed header says who may read, and what is attached.
    fn attached(
        &self,
        keyed: &Keyed,
        party: &Party,
        id: RecordId,
        which: Option<&Which>,
    ) -> Result<(usize, Attachment, Source), Refusal> {
        let (view, tip) = self.state.read();
        let row = kho_ledger::record_row(&view, &id).map_err(OpenError::from)?;
        let Some(row) = row else { return Err(unknown(id, tip.size())) };
        let leaf = kho_ledger::leaf(&view, row.seq).map_err(OpenError::from)?;
        let leaf = leaf.ok_or(OpenError::Missing { id, what: "leaf" })?;
        let (header, _) = keyed.opener.header(&view, row.seq, &leaf)?;
        if !party.sees(&header) {
            return Err(unknown(id, tip.size()));
        }
        let at = match which {
            Some(Which::Name(name)) => header.attachments.iter().position(|attachment| attachment.name == *name),
            Some(Which::Index(index)) => usize::try_from(*index).ok().filter(|at| *at < header.attachments.len()),
            None => None,
        };
        let Some((at, attachment)) = at.and_then(|at| Some((at, header.attachments.get(at)?.clone()))) else {
            let names: Vec<_> = header.attachments.iter().map(|attachment| attachment.name.as_str()).collect();
            let found = match which {
                Some(Which::Name(name)) => name.clone(),
                Some(Which::Index(index)) => index.to_string(),
                None => "none".to_owned(),
            };
            let refusal = Refusal::new(Code::AttachmentUnknown, "the record has no such attachment");
            return Err(refusal.expected_found(format!("one of: {}", names.join(", ")), found));
        };
        let missing = |what| OpenError::Missing { id, what };
        let named = kho_ledger::attachments(&view, row.seq).map_err(OpenError::from)?;
        let (object_id, _) = *named.0.get(at).ok_or_else(|| missing("attachment"))?;
        let object = kho_ledger::object(&view, &object_id).map_err(OpenError::from)?;
        let object = object.filter(|object| object.length == attachment.length).ok_or_else(|| missing("object"))?;
        let key = keyed.opener.key(&view, object.key_id, id)?;
        let context = keyed.opener.chunks(object_id, &object);
        Ok((at, attachment, Source { state: self.state.clone(), context, key }))
    }

    fn read_ahead(&self, source: Source, offset: u64, place: Held) -> Content {
        let (sender, receiver) = mpsc::channel(AHEAD_MAX);
        let (tasks, stopping) = (self.downloads.tasks.clone(), self.stopping.clone());
        let source = Arc::new(source);
        let read = async move {
            let _place = place;
            let length = source.context.length;
            for index in offset / CHUNK_LENGTH as u64..chunk_count(length) {
                let source = source.clone();
                let chunk = tasks.blocking(move || source.chunk(index)).await;
                let chunk = chunk.map_err(|error| Refusal::new(Code::NodeStopping, error.to_string()));
                let skip = offset.saturating_sub(index * CHUNK_LENGTH as u64) as usize;
                let piece = chunk.and_then(|chunk| chunk).map(|chunk| chunk.slice(skip.min(chunk.len())..));
                let failed = piece.is_err();
                // closed: nobody reads any more
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        };
        self.downloads.tasks.spawn(
            "download",
            Box::pin(async move {
                // cancelled: the reader finds the stream cut, and goes on at another node
                stopping.run_until_cancelled(read).await.unwrap_or_default();
            }),
        );
        Box::pin(futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }))
    }
}

impl Source {
    fn chunk(&self, index: u64) -> Result<Bytes, Refusal> {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let damaged = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, object = %self.context.object_id, index, "an attachment can't be served");
            Refusal::new(Code::RecordDamaged, "the stored attachment can't be served; ask another node")
        };
        let chunk = kho_ledger::chunk(&self.state.view(), &self.context.object_id, index)
            .map_err(|error| Refusal::new(Code::StorageFailed, error.to_string()))?;
        let chunk = chunk.ok_or_else(|| damaged(&"expected a chunk, found none"))?;
        self.context.open(&self.key, index, &chunk).map(Bytes::from).map_err(|error| damaged(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::Seams;

    #[test]
    fn one_readers_downloads_do_not_keep_out_anothers() {
        let downloads = Downloads::new(Seams::system().tasks);
        let hold = |who: &[u8]| downloads.hold(Some(Digest::of(who)));
        let held: Vec<_> = (0..DOWNLOADS_MAX).map_while(|_| hold(b"one").ok()).collect();
        assert_eq!(held.len(), DOWNLOADS_MAX / 4);
        assert_eq!(hold(b"one").err().unwrap().code, Code::Overloaded);
        hold(b"other").unwrap();
        drop(held);
        hold(b"one").unwrap();
    }
}
