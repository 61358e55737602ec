//! `kho.v1.Store`: what clients ask. Lists and watches are put on the wire in `reads`.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId, RecordId};
use kho_proto::pb::v1::store_server::Store;
use kho_proto::pb::v1::{CountRequest, CountResponse, GetRequest, GetResponse, HistoryRequest, HistoryResponse};
use kho_proto::pb::v1::{ListRequest, ListResponse, SubmitRequest, SubmitResponse, WatchRequest};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::context::{deadline, identity, refuse};
use super::reads::Watching;
use crate::read::{self, Reader};
use crate::write::{self, Writer};

/// The client plane's service.
pub struct StoreService {
    pub(crate) node: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) reader: Arc<Reader>,
}

#[async_trait]
impl Store for StoreService {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let start = Instant::now();
        let deadline = deadline(request.metadata());
        let identity = identity(request.extensions());
        let Some(record) = request.into_inner().record else { return Err(refuse(missing("record"))) };
        let acknowledged = self.writer.submit(&identity, record, deadline).await.map_err(refuse)?;
        let duplicate = if acknowledged.duplicate { "yes" } else { "no" };
        metrics::counter!(write::metric_definitions::ACKNOWLEDGED, "duplicate" => duplicate).increment(1);
        metrics::histogram!(write::metric_definitions::ACKNOWLEDGE_SECONDS).record(start.elapsed().as_secs_f64());
        Ok(Response::new(SubmitResponse {
            receipt: Some(acknowledged.receipt),
            duplicate: acknowledged.duplicate,
            node_id: self.node.0,
            epoch: self.epoch.0,
            leader_id: self.leader.borrow().map_or(0, |leader| leader.0),
        }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let start = Instant::now();
        let deadline = deadline(request.metadata());
        let identity = identity(request.extensions());
        let id = RecordId::try_from(request.into_inner().record_id.as_ref()).map_err(|error| {
            let refusal = Refusal::new(Code::RequestMalformed, format!("record_id: {error}"));
            refuse(refusal.expected_found("16 bytes", format!("{} bytes", error.found)))
        })?;
        let found = self.reader.get(&identity, id, deadline).await.map_err(refuse)?;
        metrics::histogram!(read::metric_definitions::READ_SECONDS).record(start.elapsed().as_secs_f64());
        Ok(Response::new(GetResponse {
            record: Some(found.record),
            receipt: Some(found.receipt),
            size: found.size,
            node_id: self.node.0,
            epoch: self.epoch.0,
        }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.answer_list(request).await.map(Response::new).map_err(refuse)
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountResponse>, Status> {
        self.answer_count(request).await.map(Response::new).map_err(refuse)
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<HistoryResponse>, Status> {
        self.answer_history(request).await.map(Response::new).map_err(refuse)
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watching>, Status> {
        self.begin_watch(request).await.map(Response::new).map_err(refuse)
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::new(Code::RequestMalformed, format!("the request has no {field}")).expected_found(field, "none")
}
