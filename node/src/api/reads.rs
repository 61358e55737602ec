//! Lists, counts, histories and watches on the wire.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use kho_proto::error::Refusal;
use kho_proto::pb::v1::{CatalogueRequest, CatalogueResponse, StatsRequest, StatsResponse};
use kho_proto::pb::v1::{CountRequest, CountResponse, HistoryRequest, HistoryResponse};
use kho_proto::pb::v1::{ListRequest, ListResponse, WatchRequest, WatchResponse};
use tonic::{Request, Status};

use super::context::{deadline, identity, refuse};
use super::store::StoreService;
use crate::read::{LeftOut, Places};

/// A watch as it travels.
pub type Watching = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

impl StoreService {
    pub(super) async fn answer_list(&self, request: Request<ListRequest>) -> Result<ListResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let page = self.reader.list(&identity, request.into_inner(), deadline).await?;
        Ok(ListResponse {
            entries: page.entries,
            next_page_token: page.next,
            size: page.size,
            freshness: Some(page.freshness),
            node_id: self.node.0,
            epoch: self.epoch.0,
        })
    }

    pub(super) async fn answer_count(&self, request: Request<CountRequest>) -> Result<CountResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let part = self.reader.count(&identity, request.into_inner(), deadline).await?;
        Ok(CountResponse {
            count: part.count,
            next_page_token: part.next,
            size: part.size,
            freshness: Some(part.freshness),
            node_id: self.node.0,
            epoch: self.epoch.0,
        })
    }

    pub(super) async fn answer_history(&self, request: Request<HistoryRequest>) -> Result<HistoryResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let page = self.reader.history(&identity, request.into_inner(), deadline).await?;
        Ok(HistoryResponse {
            revisions: page.entries,
            next_page_token: page.next,
            size: page.size,
            freshness: Some(page.freshness),
            node_id: self.node.0,
            epoch: self.epoch.0,
        })
    }

    pub(super) async fn answer_catalogue(
        &self,
        request: Request<CatalogueRequest>,
    ) -> Result<CatalogueResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let page = self.reader.catalogue(&identity, request.into_inner(), deadline).await?;
        Ok(CatalogueResponse {
            entries: page.entries,
            next_page_token: page.next,
            size: page.size,
            freshness: Some(page.freshness),
            node_id: self.node.0,
            epoch: self.epoch.0,
        })
    }

    pub(super) async fn answer_stats(&self, request: Request<StatsRequest>) -> Result<StatsResponse, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let part = self.reader.stats(&identity, request.into_inner(), deadline).await?;
        let LeftOut { records, more, catalogue_regimes, unknown_regimes, unknown_units } = part.left_out;
        Ok(StatsResponse {
            left_out: records,
            left_out_more: more,
            catalogue_regimes,
            unknown_regimes,
            unknown_units,
            rows: part.rows,
            next_page_token: part.next,
            as_of: part.as_of,
            size: part.size,
            freshness: Some(part.freshness),
            node_id: self.node.0,
            epoch: self.epoch.0,
        })
    }

    /// The deadline is that of the beginning: a watch has none as a whole.
    pub(super) async fn begin_watch(&self, request: Request<WatchRequest>) -> Result<Watching, Refusal> {
        let (deadline, identity) = (deadline(request.metadata()), identity(request.extensions()));
        let places = request.extensions().get::<Places>().cloned();
        let (epoch, request) = (self.epoch.0, request.into_inner());
        let watch = self.reader.watch(&identity, places.as_ref(), request, deadline, epoch).await?;
        Ok(Box::pin(watch.map(|event| event.map_err(refuse))))
    }
}
