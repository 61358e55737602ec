//! The service of gRPC, asked from here: the same identities, limits, metrics and answers.

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::store_server::Store;
use kho_proto::pb::v1::{CountRequest, CountResponse, GetRequest, GetResponse, HistoryRequest, HistoryResponse};
use kho_proto::pb::v1::{ListRequest, ListResponse, StatsRequest, StatsResponse, SubmitRequest, SubmitResponse};
use kho_proto::status::from_status;
use tonic::{Request, Response, Status};

use super::Web;
use super::problem::Refused;

/// A refusal of the service or of the listener.
pub(super) fn there(status: Status) -> Refused {
    Refused::There(from_status(&status).unwrap_or_else(|| {
        tracing::error!(%status, "a refusal without a code");
        Refusal::new(Code::StorageFailed, status.message())
    }))
}

impl Web {
    pub(super) async fn submit(&self, request: Request<SubmitRequest>) -> Result<SubmitResponse, Refused> {
        self.store.submit(request).await.map(Response::into_inner).map_err(there)
    }

    pub(super) async fn get(&self, request: Request<GetRequest>) -> Result<GetResponse, Refused> {
        self.store.get(request).await.map(Response::into_inner).map_err(there)
    }

    pub(super) async fn list(&self, request: Request<ListRequest>) -> Result<ListResponse, Refused> {
        self.store.list(request).await.map(Response::into_inner).map_err(there)
    }

    pub(super) async fn count(&self, request: Request<CountRequest>) -> Result<CountResponse, Refused> {
        self.store.count(request).await.map(Response::into_inner).map_err(there)
    }

    pub(super) async fn stats(&self, request: Request<StatsRequest>) -> Result<StatsResponse, Refused> {
        self.store.stats(request).await.map(Response::into_inner).map_err(there)
    }

    pub(super) async fn history(&self, request: Request<HistoryRequest>) -> Result<HistoryResponse, Refused> {
        self.store.history(request).await.map(Response::into_inner).map_err(there)
    }
}
