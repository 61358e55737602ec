//! The service of one connection to the public log.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;

use super::PublicLog;

/// Answers without asking who is there. A request's body is never read.
pub(crate) struct LogDoor(pub Arc<PublicLog>);

impl Service<Request<Incoming>> for LogDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let log = self.0.clone();
        let (parts, _unread) = request.into_parts();
        Box::pin(async move { Ok(log.answer(&parts.method, parts.uri.path(), &parts.headers).await) })
    }
}
