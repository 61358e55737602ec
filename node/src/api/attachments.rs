//! Attachments on the wire.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::get_attachment_response::Part as Got;
use kho_proto::pb::v1::put_attachment_request::Part;
use kho_proto::pb::v1::{AttachmentInfo, BeginAttachmentRequest, BeginAttachmentResponse};
use kho_proto::pb::v1::{GetAttachmentRequest, GetAttachmentResponse, PutAttachmentRequest, PutAttachmentResponse};
use tonic::{Request, Status, Streaming};

use super::context::{coded, deadline, identity, refuse};
use super::store::StoreService;

/// An upload on which nothing came for so long is ended; what was stored stays, and it may go on later.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A download as it travels.
pub type Download = Pin<Box<dyn Stream<Item = Result<GetAttachmentResponse, Status>> + Send>>;

impl StoreService {
    pub(super) async fn begin_upload(
        &self,
        request: Request<BeginAttachmentRequest>,
    ) -> Result<BeginAttachmentResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let begun = self.uploads.begin(&identity, request.get_ref(), deadline).await?;
        Ok(BeginAttachmentResponse {
            stored: begun.stored,
            complete: begun.complete,
            node_id: self.node.0,
            leader_id: self.leader_id(),
        })
    }

    pub(super) async fn upload(
        &self,
        request: Request<Streaming<PutAttachmentRequest>>,
    ) -> Result<PutAttachmentResponse, Status> {
        let identity = identity(request.extensions());
        let mut inbound = request.into_inner();
        let begin = match next(&mut inbound).await? {
            Some(Part::Begin(begin)) => begin,
            Some(Part::Data(_)) | None => return Err(refuse(out_of_order("the beginning", "something else"))),
        };
        let pieces = futures::stream::try_unfold(inbound, |mut inbound| async {
            match next(&mut inbound).await? {
                None => Ok(None),
                Some(Part::Data(piece)) => Ok(Some((piece, inbound))),
                Some(Part::Begin(_)) => Err(refuse(out_of_order("data", "another beginning"))),
            }
        });
        let mut ended = None;
        // a status of the stream is kept aside: the upload knows refusals only
        let pieces = pieces.map(|piece: Result<Bytes, Status>| {
            piece.map_err(|status| {
                let refusal = kho_proto::status::from_status(&status);
                let refusal = refusal.unwrap_or_else(|| Refusal::new(Code::StreamIdle, "the upload was cut off"));
                ended = Some(status);
                refusal
            })
        });
        let put = tokio::select! {
            put = self.uploads.put(&identity, begin, Box::pin(pieces)) => put,
            () = self.stopping.cancelled() => Err(Refusal::new(Code::NodeStopping, "the node is shutting down")),
        };
        match put {
            Ok(length) => Ok(PutAttachmentResponse { length, node_id: self.node.0, leader_id: self.leader_id() }),
            Err(refusal) => Err(ended.unwrap_or_else(|| refuse(refusal))),
        }
    }

    /// The deadline is that of the beginning: a download has none as a whole.
    pub(super) async fn download(&self, request: Request<GetAttachmentRequest>) -> Result<Download, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let (at, attachment, content) = self.reader.attachment(&identity, request.into_inner(), deadline).await?;
        let info = AttachmentInfo {
            index: u32::try_from(at).unwrap_or(u32::MAX),
            name: attachment.name,
            media_type: attachment.media_type,
            length: attachment.length,
            digest: Bytes::copy_from_slice(attachment.digest.as_ref()),
        };
        let first = futures::stream::once(async { Ok(GetAttachmentResponse { part: Some(Got::Info(info)) }) });
        let rest = content.map(|piece| match piece {
            Ok(piece) => Ok(GetAttachmentResponse { part: Some(Got::Data(piece)) }),
            Err(refusal) => Err(refuse(refusal)),
        });
        Ok(Box::pin(first.chain(rest)))
    }
}

/// The next part that says something; none: the end.
async fn next(inbound: &mut Streaming<PutAttachmentRequest>) -> Result<Option<Part>, Status> {
    loop {
        match tokio::time::timeout(IDLE_MAX, inbound.message()).await {
            Ok(Ok(Some(PutAttachmentRequest { part: Some(part) }))) => return Ok(Some(part)),
            Ok(Ok(Some(PutAttachmentRequest { part: None }))) => {}
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(status)) => return Err(coded(status)),
            Err(_elapsed) => {
                let text = format!("the upload was ended: nothing came for {} s", IDLE_MAX.as_secs());
                return Err(refuse(Refusal::new(Code::StreamIdle, text)));
            }
        }
    }
}

fn out_of_order(expected: &str, found: &str) -> Refusal {
    Refusal::new(Code::RequestMalformed, "an upload is its beginning and then data").expected_found(expected, found)
}
