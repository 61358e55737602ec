//! The public log's door, with a bound on what one of its readers may leave untaken. Nobody is asked who they are, so a
//! connection is all that can be counted.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service as HyperService;
use tokio::sync::Semaphore;

use super::delivered::{Answers, Place};
use crate::api::Reserved;
use crate::publish::{LogDoor, PublicLog};

/// Answers of one connection that are being made or taken, at most; further requests wait. A reader that takes what it
/// asked for is not held up by it, and of those that do not, it takes some hundred to fill the room of all.
const CONNECTION_ANSWERS_MAX: usize = 6;

/// The service of one connection.
pub(super) struct LogGate {
    log: Arc<PublicLog>,
    places: Arc<Semaphore>,
    pub answers: Answers,
}

impl LogGate {
    /// Of one more connection.
    pub fn new(log: Arc<PublicLog>) -> Self {
        Self { log, places: Arc::new(Semaphore::new(CONNECTION_ANSWERS_MAX)), answers: Answers::of_log() }
    }
}

impl HyperService<Request<Incoming>> for LogGate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (door, places, answers) = (LogDoor(self.log.clone()), self.places.clone(), self.answers.clone());
        Box::pin(async move {
            let Ok(_all) = places.acquire_owned().await else {
                // closed, which nobody does
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(response);
            };
            let place = Place { _all, _own: None };
            let response = door.call(request).await?;
            Ok(response.map(|body| Body::new(answers.deliver(body, place, Reserved::default()))))
        })
    }
}
