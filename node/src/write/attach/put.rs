//! The content as it comes: cut into chunks, sealed, proposed.

use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::object::{CHUNK_LENGTH, chunk_length};
use kho_proto::pb::ledger::v1::{PutObjectChunk, command::Kind};
use kho_proto::pb::v1::PutAttachmentBegin;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Begun, PATIENCE, UPLOAD_IN_FLIGHT_MAX, Uploads};
use crate::identity::Identity;
use crate::write::{Deadline, RETRY_AFTER_OVERLOAD, keys_missing};

impl Uploads {
    /// Takes the content in from an offset on, until it is complete. Its length.
    pub async fn put(
        &self,
        identity: &Identity,
        begin: PutAttachmentBegin,
        data: impl Stream<Item = Result<Bytes, Refusal>> + Unpin + Send,
    ) -> Result<u64, Refusal> {
        let _open = self.open.clone().try_acquire_owned().map_err(|_full| too_many(""))?;
        let missing = || Refusal::new(Code::RequestMalformed, "the upload says nothing of its content");
        let content = begin.content.as_ref().ok_or_else(missing)?;
        let begun = self.begin(identity, content, Deadline::after(None)).await?;
        if begun.complete {
            return Ok(begun.context.length);
        }
        let unit = Digest::of(begun.unit.as_str().as_bytes());
        let _share = self.shares.take(unit).ok_or_else(|| too_many(" of one unit"))?;
        let aligned = begin.offset.is_multiple_of(CHUNK_LENGTH as u64) || begin.offset == begun.context.length;
        if begin.offset > begun.stored || !aligned {
            let refusal = Refusal::new(Code::AttachmentOffsetInvalid, "nothing is stored before the upload's offset");
            let expected = format!("at most {}, a multiple of {CHUNK_LENGTH}", begun.stored);
            return Err(refusal.expected_found(expected, begin.offset.to_string()));
        }
        Upload {
            uploads: self,
            begun: &begun,
            at: begin.offset,
            buffer: BytesMut::new(),
            in_flight: FuturesUnordered::new(),
        }
        .run(data)
        .await?;
        self.complete(&begun).await?;
        Ok(begun.context.length)
    }
}

fn too_many(whose: &str) -> Refusal {
    let mut refusal = Refusal::new(Code::Overloaded, format!("too many uploads{whose} are open on this node"));
    refusal.retry_after = Some(RETRY_AFTER_OVERLOAD);
    refusal
}

type Chunk<'a> = BoxFuture<'a, Result<(), Refusal>>;

struct Upload<'a> {
    uploads: &'a Uploads,
    begun: &'a Begun,
    /// Bytes that came, from the beginning.
    at: u64,
    /// Those that are not a chunk yet.
    buffer: BytesMut,
    in_flight: FuturesUnordered<Chunk<'a>>,
}

impl<'a> Upload<'a> {
    /// Nothing is read without a place for the chunk that it goes into: HTTP/2's flow control then holds the sender.
    async fn run(mut self, mut data: impl Stream<Item = Result<Bytes, Refusal>> + Unpin + Send) -> Result<(), Refusal> {
        let length = self.begun.context.length;
        let mut place: Option<OwnedSemaphorePermit> = None;
        loop {
            tokio::select! {
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => done?,
                taken = acquire(&self.uploads.chunks), if place.is_none() && self.in_flight.len() < UPLOAD_IN_FLIGHT_MAX => {
                    place = Some(taken?);
                }
                piece = data.next(), if place.is_some() => match piece {
                    Some(piece) => self.take(piece?, &mut place)?,
                    None => break,
                },
            }
        }
        if self.at == length && (!self.buffer.is_empty() || length == 0) {
            self.send(&mut place)?;
        }
        while let Some(done) = self.in_flight.next().await {
            done?;
        }
        if self.at < length {
            let refusal = Refusal::new(Code::AttachmentTruncated, "the upload ended before the attachment's length");
            return Err(refusal.expected_found(format!("{length} bytes"), format!("{} bytes", self.at)));
        }
        Ok(())
    }

    fn take(&mut self, piece: Bytes, place: &mut Option<OwnedSemaphorePermit>) -> Result<(), Refusal> {
        let length = self.begun.context.length;
        if piece.len() > CHUNK_LENGTH {
            let refusal = Refusal::new(Code::RequestMalformed, "a piece of an upload is too long");
            return Err(
                refusal.expected_found(format!("at most {CHUNK_LENGTH} bytes"), format!("{} bytes", piece.len()))
            );
        }
        self.at += piece.len() as u64;
        if self.at > length {
            let refusal = Refusal::new(Code::AttachmentTooLong, "the upload goes on behind the attachment's length");
            return Err(refusal.expected_found(format!("{length} bytes"), format!("at least {} bytes", self.at)));
        }
        self.buffer.extend_from_slice(&piece);
        while self.buffer.len() >= CHUNK_LENGTH {
            self.send(place)?;
        }
        Ok(())
    }

    /// Seals the next chunk and begins to propose it.
    fn send(&mut self, place: &mut Option<OwnedSemaphorePermit>) -> Result<(), Refusal> {
        let (uploads, begun) = (self.uploads, self.begun);
        let index = (self.at - self.buffer.len() as u64) / CHUNK_LENGTH as u64;
        let chunk = self.buffer.split_to(chunk_length(begun.context.length, index).min(self.buffer.len()));
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let sealer = &uploads.writer.keyed.as_ref().ok_or_else(keys_missing)?.sealer;
        let put = PutObjectChunk {
            object_id: Bytes::copy_from_slice(begun.context.object_id.as_ref()),
            unit_token: Bytes::copy_from_slice(begun.unit_token.as_ref()),
            key_id: Bytes::copy_from_slice(begun.context.key_id.as_ref()),
            length: begun.context.length,
            index,
            sealed: sealer.seal_chunk(&begun.context, &begun.key, index, &chunk),
        };
        let (place, bytes) = (place.take(), chunk.len());
        let sent = async move {
            let _place = place;
            uploads.charge(begun, bytes).await?;
            uploads.writer.disk.check_object()?;
            uploads.insist(Kind::PutObjectChunk(put)).await
        };
        self.in_flight.push(Box::pin(sent));
        Ok(())
    }
}

fn acquire(
    chunks: &Arc<tokio::sync::Semaphore>,
) -> impl Future<Output = Result<OwnedSemaphorePermit, Refusal>> + Send + 'static {
    let taken = chunks.clone().acquire_owned();
    async move { taken.await.map_err(|_closed| Refusal::new(Code::NodeStopping, "the node is shutting down")) }
}

impl Uploads {
    /// A unit over its quota of bytes waits for its turn, for a while: a stream is held back rather than ended.
    async fn charge(&self, begun: &Begun, bytes: usize) -> Result<(), Refusal> {
        let since = Instant::now();
        loop {
            match self.writer.quotas.charge_bytes(&begun.unit, bytes) {
                Err(refusal) if since.elapsed() < PATIENCE => {
                    tokio::time::sleep(refusal.retry_after.unwrap_or(RETRY_AFTER_OVERLOAD)).await;
                }
                charged => return charged,
            }
        }
    }
}
