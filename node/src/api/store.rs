//! `kho.v1.Store`: submit and get. Many records at once are in `many` and `stream`, lists and watches in `reads`.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId, RecordId};
use kho_proto::pb::v1::store_server::Store;
use kho_proto::pb::v1::{BeginAttachmentRequest, BeginAttachmentResponse, GetAttachmentRequest};
use kho_proto::pb::v1::{CatalogueRequest, CatalogueResponse, StatsRequest, StatsResponse};
use kho_proto::pb::v1::{CountRequest, CountResponse, GetRequest, GetResponse, HistoryRequest, HistoryResponse};
use kho_proto::pb::v1::{
    ListRequest, ListResponse, SubmitManyRequest, SubmitManyResponse, SubmitRequest, SubmitResponse,
};
use kho_proto::pb::v1::{PutAttachmentRequest, PutAttachmentResponse, SubmitStreamRequest, WatchRequest};
use prost::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::attachments::Download;
use super::context::{deadline, identity, refuse};
use super::outcome::acknowledge;
use super::reads::Watching;
use super::room::{LARGE_BYTES, reserve};
use super::stream::{NodeStreams, Results};
use crate::read::{self, Reader};
use crate::seams::Tasks;
use crate::write::{Room, Uploads, Writer};

/// The client plane's service.
#[derive(Clone)]
pub struct StoreService {
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) reader: Arc<Reader>,
    /// Bytes of records that were received and not answered.
    pub(crate) room: Room,
    /// Open streams of records.
    pub(crate) streams: NodeStreams,
    pub(crate) tasks: Arc<dyn Tasks>,
    /// Streams are read no further.
    pub(crate) stopping: CancellationToken,
}

impl StoreService {
    pub(super) fn leader_id(&self) -> u64 {
        self.leader.borrow().map_or(0, |leader| leader.0)
    }
}

#[async_trait]
impl Store for StoreService {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let start = Instant::now();
        let deadline = deadline(request.metadata());
        let identity = identity(request.extensions());
        let Some(record) = request.into_inner().record else { return Err(refuse(missing("record"))) };
        let _room = self.room.take(record.encoded_len(), 1).map_err(refuse)?;
        let acknowledged = self.writer.submit(&identity, record, deadline).await.map_err(refuse)?;
        acknowledge(acknowledged.duplicate, start.elapsed());
        Ok(Response::new(SubmitResponse {
            receipt: Some(acknowledged.receipt),
            duplicate: acknowledged.duplicate,
            node_id: self.node.0,
            epoch: self.epoch.0,
            leader_id: self.leader_id(),
        }))
    }

    async fn submit_many(&self, request: Request<SubmitManyRequest>) -> Result<Response<SubmitManyResponse>, Status> {
        self.many(request).await
    }

    type SubmitStreamStream = Results;

    async fn submit_stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Results>, Status> {
        self.stream(request).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let start = Instant::now();
        let deadline = deadline(request.metadata());
        let identity = identity(request.extensions());
        let reserved = reserve(request.extensions(), LARGE_BYTES);
        let id = RecordId::try_from(request.into_inner().record_id.as_ref()).map_err(|error| {
            let refusal = Refusal::new(Code::RequestMalformed, format!("record_id: {error}"));
            refuse(refusal.expected_found("16 bytes", format!("{} bytes", error.found)))
        })?;
        let reserved = reserved.await.map_err(refuse)?;
        let found = self.reader.get(&identity, id, deadline).await.map_err(refuse)?;
        metrics::histogram!(read::metric_definitions::READ_SECONDS).record(start.elapsed().as_secs_f64());
        Ok(reserved.with(GetResponse {
            record: Some(found.record),
            receipt: Some(found.receipt),
            size: found.size,
            node_id: self.node.0,
            epoch: self.epoch.0,
        }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let reserved = reserve(request.extensions(), LARGE_BYTES).await.map_err(refuse)?;
        self.answer_list(request).await.map(|answer| reserved.with(answer)).map_err(refuse)
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        self.answer_count(request).await.map(Response::new).map_err(refuse)
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<HistoryResponse>, Status> {
        let reserved = reserve(request.extensions(), LARGE_BYTES).await.map_err(refuse)?;
        self.answer_history(request).await.map(|answer| reserved.with(answer)).map_err(refuse)
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watching>, Status> {
        self.begin_watch(request).await.map(Response::new).map_err(refuse)
    }

    async fn catalogue(&self, request: Request<CatalogueRequest>) -> Result<Response<CatalogueResponse>, Status> {
        let reserved = reserve(request.extensions(), LARGE_BYTES).await.map_err(refuse)?;
        self.answer_catalogue(request).await.map(|answer| reserved.with(answer)).map_err(refuse)
    }

    async fn stats(&self, request: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        let reserved = reserve(request.extensions(), LARGE_BYTES).await.map_err(refuse)?;
        self.answer_stats(request).await.map(|answer| reserved.with(answer)).map_err(refuse)
    }

    async fn begin_attachment(
        &self,
        request: Request<BeginAttachmentRequest>,
    ) -> Result<Response<BeginAttachmentResponse>, Status> {
        self.begin_upload(request).await.map(Response::new).map_err(refuse)
    }

    async fn put_attachment(
        &self,
        request: Request<Streaming<PutAttachmentRequest>>,
    ) -> Result<Response<PutAttachmentResponse>, Status> {
        self.upload(request).await.map(Response::new)
    }

    type GetAttachmentStream = Download;

    async fn get_attachment(&self, request: Request<GetAttachmentRequest>) -> Result<Response<Download>, Status> {
        self.download(request).await.map(Response::new).map_err(refuse)
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::new(Code::RequestMalformed, format!("the request has no {field}")).expected_found(field, "none")
}
