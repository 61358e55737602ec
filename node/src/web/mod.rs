//! HTTP and JSON beside gRPC, on the same listener. Nothing here decides: a request becomes the message that gRPC would have
//! carried, and goes to the same service. `docs/http.md`, `docs/adr/0025-http-beside-grpc.md`.

mod accept;
mod ask;
mod bytes64;
mod call;
mod lists;
pub(crate) mod metric_definitions;
mod multipart;
mod openapi;
mod operations;
mod parameters;
mod prepare;
mod problem;
mod query;
mod record_json;
mod records;
mod router;
mod service;
mod stats;
mod submit;

use std::sync::Arc;

use crate::api::StoreService;
use crate::seams::{Clock, Entropy};

pub(crate) use problem::answer as refuse;
pub(crate) use router::router;

pub use openapi::document as openapi;

/// What answers calls of HTTP.
#[derive(Clone)]
pub(crate) struct Web {
    /// The service of gRPC: there is one way in.
    pub store: StoreService,
    /// For headers that are prepared here.
    pub clock: Arc<dyn Clock>,
    /// For their salts and ids.
    pub entropy: Arc<dyn Entropy>,
}
