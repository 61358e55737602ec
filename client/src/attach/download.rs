//! Downloads: piece by piece, from whichever node answers, held against the signed header at the end.

use std::time::Instant;

use bytes::Bytes;
use kho_proto::digest::Digester;
use kho_proto::header::Attachment;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::get_attachment_request::Attachment as Which;
use kho_proto::pb::v1::get_attachment_response::Part as Got;
use kho_proto::pb::v1::{GetAttachmentRequest, GetAttachmentResponse};
use tonic::Streaming;

use super::upload::{PATIENCE, PAUSE};
use super::{AttachmentError, STALL_MAX};
use crate::attempt::Failed;
use crate::client::Client;

/// What is there of a download already: a prefix of the content, and its digest so far.
#[derive(Default)]
pub struct Part {
    at: u64,
    digester: Digester,
}

impl Part {
    /// The next bytes that are there.
    pub fn update(&mut self, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        self.digester.update(bytes);
    }

    /// Bytes that are there.
    pub fn length(&self) -> u64 {
        self.at
    }
}

/// A download under way.
pub struct Downloading<'a> {
    client: &'a Client,
    record_id: RecordId,
    index: u32,
    attachment: Attachment,
    part: Part,
    stream: Option<Streaming<GetAttachmentResponse>>,
    moved: Instant,
}

impl Client {
    /// Downloads the attachment at `index` of a record, whose signed header says that it is `attachment`. With a part that
    /// is there it begins behind it.
    pub fn download(&self, record_id: RecordId, index: u32, attachment: &Attachment, part: Part) -> Downloading<'_> {
        let (attachment, moved) = (attachment.clone(), Instant::now());
        Downloading { client: self, record_id, index, attachment, part, stream: None, moved }
    }
}

impl Downloading<'_> {
    /// Bytes that are there.
    pub fn at(&self) -> u64 {
        self.part.at
    }

    /// The next piece; none: that was all, and it is what the header says. A piece before that proves nothing yet.
    /// Cancel safe: what was not returned comes again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AttachmentError> {
        let name = self.attachment.name.clone();
        loop {
            if self.part.at >= self.attachment.length {
                return self.end();
            }
            let failed = match self.stream.take() {
                None => match self.open().await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Err(AttachmentError::Stopped { last, .. }) => last,
                    Err(AttachmentError::Refused { refusal, .. }) if refusal.code.retry() => {
                        tokio::time::sleep(refusal.retry_after.unwrap_or_default()).await;
                        refusal.to_string()
                    }
                    Err(error) => return Err(error),
                },
                Some(mut stream) => match tokio::time::timeout(STALL_MAX, stream.message()).await {
                    Ok(Ok(Some(GetAttachmentResponse { part: Some(Got::Data(piece)) }))) => {
                        self.stream = Some(stream);
                        self.moved = Instant::now();
                        self.part.update(&piece);
                        if self.part.at > self.attachment.length {
                            let found = format!("at least {} bytes", self.part.at);
                            return Err(self.differs("length", format!("{} bytes", self.attachment.length), found));
                        }
                        return Ok(Some(piece));
                    }
                    Ok(Ok(Some(_))) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Ok(Ok(None)) => "the stream ended early".to_owned(),
                    Ok(Err(status)) => {
                        let failed = Failed::of(&status);
                        if !failed.retry() {
                            let refusal = failed.answer().cloned().map(Box::new);
                            let at = self.part.at;
                            return Err(match refusal {
                                Some(refusal) => AttachmentError::Refused { name, refusal },
                                None => AttachmentError::Stopped { name, at, last: failed.to_string() },
                            });
                        }
                        failed.to_string()
                    }
                    Err(_elapsed) => Failed::timed_out(STALL_MAX).to_string(),
                },
            };
            tracing::debug!(record = %self.record_id, at = self.part.at, failed, "a download was cut off");
            self.client.nodes().move_on();
            tokio::time::sleep(PAUSE).await;
            if self.moved.elapsed() > PATIENCE {
                return Err(AttachmentError::Stopped { name, at: self.part.at, last: failed });
            }
        }
    }

    async fn open(&self) -> Result<Streaming<GetAttachmentResponse>, AttachmentError> {
        let request = GetAttachmentRequest {
            record_id: Bytes::copy_from_slice(self.record_id.as_ref()),
            attachment: Some(Which::Index(self.index)),
            offset: self.part.at,
        };
        // the time of a question would end the stream as a whole: it is told to nobody
        let opened = self.client.ask(request, |mut store, request| async move {
            store.get_attachment(tonic::Request::new(request.into_inner())).await
        });
        let (stream, _) =
            opened.await.map_err(|error| AttachmentError::of(&self.attachment.name, self.part.at, error))?;
        Ok(stream)
    }

    fn end(&mut self) -> Result<Option<Bytes>, AttachmentError> {
        let found = self.part.digester.clone().finish();
        if self.part.at == self.attachment.length && found == self.attachment.digest {
            return Ok(None);
        }
        Err(self.differs("digest", self.attachment.digest.to_string(), found.to_string()))
    }

    fn differs(&self, what: &'static str, expected: String, found: String) -> AttachmentError {
        AttachmentError::Differs { name: self.attachment.name.clone(), what, expected, found }
    }
}
