//! Downloads: piece by piece, from whichever node serves them, held against the signed header at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_proto::digest::Digester;
use kho_proto::header::Attachment;
use kho_proto::id::RecordId;
use kho_proto::pb::v1::get_attachment_request::Attachment as Which;
use kho_proto::pb::v1::get_attachment_response::Part as Got;
use kho_proto::pb::v1::{GetAttachmentRequest, GetAttachmentResponse};
use tokio::time::Instant;
use tonic::Streaming;

use super::upload::{PATIENCE, PAUSE};
use super::{AttachmentError, STALL_MAX};
use crate::attempt::Failed;
use crate::client::Client;
use crate::nodes::{Node, Store};
use crate::timing::Timing;
use crate::tour::Tour;

/// Between rounds over the nodes that all failed: the bound of a pause that doubles, and of its jitter.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A longer patience with a node is none.
const STALL_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

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
    tour: Tour<Streaming<GetAttachmentResponse>>,
    open: Option<Open>,
    stall: Duration,
}

/// A stream from a node.
struct Open {
    stream: Streaming<GetAttachmentResponse>,
    node: Arc<Node>,
    /// The next piece is waited for since; over calls that are dropped.
    awaited: Option<Instant>,
}

impl Client {
    /// Downloads the attachment at `index` of a record, whose signed header says that it is `attachment`. With a part that
    /// is there it begins behind it.
    pub fn download(&self, record_id: RecordId, index: u32, attachment: &Attachment, part: Part) -> Downloading<'_> {
        let timing = Timing { backoff_min: PAUSE, backoff_max: PAUSE_MAX, ..*self.timing() };
        Downloading {
            client: self,
            record_id,
            index,
            attachment: attachment.clone(),
            part,
            tour: Tour::new(self, timing),
            open: None,
            stall: STALL_MAX,
        }
    }
}

impl Downloading<'_> {
    /// A node that serves no piece for so long is given up; [`STALL_MAX`] unless told otherwise, a day at most.
    #[must_use = "it is the download that has the bound"]
    pub fn stalls_after(mut self, stall: Duration) -> Self {
        self.stall = stall.min(STALL_LIMIT);
        self
    }

    /// Bytes that are there.
    pub fn at(&self) -> u64 {
        self.part.at
    }

    /// The next piece; none: that was all, and it is what the header says. A piece before that proves nothing yet.
    /// Cancel safe: what was not returned comes with the next call.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AttachmentError> {
        loop {
            if self.part.at >= self.attachment.length {
                return self.end();
            }
            let failed = match self.piece().await {
                Ok(piece) => return self.take(piece).map(Some),
                Err(failed) => failed,
            };
            tracing::debug!(record = %self.record_id, at = self.part.at, %failed, "a download was cut off");
            let name = || self.attachment.name.clone();
            if let Some(refusal) = failed.answer().filter(|refusal| !refusal.code.retry()) {
                return Err(AttachmentError::Refused { name: name(), refusal: Box::new(refusal.clone()) });
            }
            if self.tour.failing().elapsed() > PATIENCE {
                let error = AttachmentError::Stopped { name: name(), at: self.part.at, last: failed.to_string() };
                self.tour.told();
                return Err(error);
            }
        }
    }

    /// The next piece of the stream, which is opened if there is none.
    async fn piece(&mut self) -> Result<Bytes, Failed> {
        let nodes = self.client.nodes();
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let request = GetAttachmentRequest {
                    record_id: Bytes::copy_from_slice(self.record_id.as_ref()),
                    attachment: Some(Which::Index(self.index)),
                    offset: self.part.at,
                };
                // the time of an attempt would end the stream as a whole: it is told to nobody
                let call = |mut store: Store| async move { store.get_attachment(tonic::Request::new(request)).await };
                let (stream, node) = self.tour.open(nodes, call).await.map_err(|(_, failed)| failed)?;
                self.open.insert(Open { stream, node, awaited: None })
            }
        };
        let piece = open.piece(self.stall).await;
        match &piece {
            // that it was opened is nothing yet: what can't be read shows when it is
            Ok(_) => self.tour.well(&open.node),
            Err(failed) => {
                self.tour.broke(nodes, &open.node, failed);
                self.open = None;
            }
        }
        piece
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, AttachmentError> {
        self.part.update(&piece);
        if self.part.at > self.attachment.length {
            let found = format!("at least {} bytes", self.part.at);
            return Err(self.differs("length", format!("{} bytes", self.attachment.length), found));
        }
        Ok(piece)
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

impl Open {
    /// Whatever else a node says in between, for as long as it likes: only content counts.
    async fn piece(&mut self, stall: Duration) -> Result<Bytes, Failed> {
        let until = *self.awaited.get_or_insert_with(Instant::now) + stall;
        loop {
            match tokio::time::timeout_at(until, self.stream.message()).await {
                Ok(Ok(Some(GetAttachmentResponse { part: Some(Got::Data(piece)) }))) if !piece.is_empty() => {
                    self.awaited = None;
                    return Ok(piece);
                }
                Ok(Ok(Some(_))) if Instant::now() < until => tokio::task::yield_now().await,
                Ok(Ok(Some(_))) | Err(_) => return Err(Failed::timed_out(stall)),
                Ok(Ok(None)) => return Err(Failed::Unknown("the stream ended early".to_owned())),
                Ok(Err(status)) => return Err(Failed::of(&status)),
            }
        }
    }
}
