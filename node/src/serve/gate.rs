//! Before any service sees a request: who asks stands in its extensions, and who may not be on the plane at all gets
//! nothing else. After it: refusals of the transport get stable codes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use http::{Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::Service as HyperService;
use kho_proto::error::{Code, Refusal};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use super::delivered::{Answers, Place};
use super::metered::{Budget, Metered};
use super::patience::Kind;
use crate::api::{ConnectionStreams, Holder, Holders, Reserved, Unread, coded, refuse};
use crate::identity::Identity;
use crate::read::Places;
use crate::tls::Plane;
use crate::write::RETRY_AFTER_OVERLOAD;

/// Calls that send many messages. All others have one.
const STREAMS: &[&str] = &["/kho.v1.Store/SubmitStream", "/kho.v1.Store/PutAttachment"];

const GRPC_STATUS: &str = "grpc-status";
const GRPC_DETAILS: &str = "grpc-status-details-bin";

/// What all requests of a plane share.
#[derive(Clone)]
pub(super) struct Bounds {
    /// Bytes that are being received.
    pub budget: Budget,
    /// Requests that are not answered, or whose answers are not taken.
    pub requests: Arc<Semaphore>,
    /// Bytes of answers that are not taken.
    pub answers: Arc<Semaphore>,
    /// Parts of these that certificates have.
    pub holders: Holders,
}

/// The service of one connection.
pub(super) fn service(plane: Plane, identity: Identity, routes: Routes, web: Option<Router>, bounds: Bounds) -> Gate {
    let refusal = match plane {
        Plane::Client | Plane::Admin => identity.party().err(),
        Plane::Peer => identity.node().err(),
        // nobody is asked who they are
        Plane::Log => None,
    };
    let holder = identity.certificate().map(|certificate| bounds.holders.holder(certificate));
    let answers = Answers::new(bounds.answers.clone(), holder.clone());
    let (streams, watches) = (ConnectionStreams::default(), Places::of_connection());
    Gate { plane, identity, refusal, routes, web, bounds, holder, answers, streams, watches }
}

/// The service of one connection.
pub(super) struct Gate {
    plane: Plane,
    identity: Identity,
    refusal: Option<Refusal>,
    routes: Routes,
    /// What is no gRPC, where that is another service.
    web: Option<Router>,
    bounds: Bounds,
    /// Its certificate, if it has shown a party's.
    holder: Option<Arc<Holder>>,
    pub answers: Answers,
    streams: ConnectionStreams,
    watches: Places,
}

impl Gate {
    /// For one more request; none: too many are under way.
    fn place(&self) -> Option<Place> {
        let own = match &self.holder {
            Some(holder) => Some(holder.ask()?),
            None => None,
        };
        let all = self.bounds.requests.clone().try_acquire_owned().ok()?;
        Some(Place { _all: all, _own: own })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl HyperService<Request<Incoming>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let content = request.headers().get(header::CONTENT_TYPE);
        let grpc = content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
            // gRPC speaks HTTP/2 only
            && request.version() == Version::HTTP_2;
        let web = self.web.as_ref().filter(|_| !grpc);
        let (version, is_web) = (request.version(), web.is_some());
        let refused = move |refusal: &Refusal| match is_web {
            true => crate::web::refuse(refusal).map(Body::new),
            false => refused(version, refusal.clone()),
        };
        if let Some(refusal) = &self.refusal {
            return Box::pin(std::future::ready(Ok(refused(refusal))));
        }
        let Some(place) = self.place() else {
            return Box::pin(std::future::ready(Ok(refused(&too_many()))));
        };
        if let Identity::Node(node) = &self.identity {
            request.extensions_mut().insert(*node);
        }
        request.extensions_mut().insert(self.identity.clone());
        request.extensions_mut().insert(self.watches.clone());
        request.extensions_mut().insert(self.streams.clone());
        request.extensions_mut().insert(self.answers.room.clone());
        let (mut routes, web) = (self.routes.clone(), web.cloned());
        let kind = match (grpc, self.plane) {
            (false, _) => Kind::Plain,
            (true, Plane::Peer) => Kind::Peer,
            (true, _) if STREAMS.contains(&request.uri().path()) => Kind::Stream,
            (true, Plane::Client | Plane::Admin | Plane::Log) => Kind::Call,
        };
        let unread = Unread::of(self.holder.clone());
        request.extensions_mut().insert(unread.clone());
        let request = request.map(|body| Metered::new(body, self.bounds.budget.clone(), kind, unread));
        let answers = self.answers.clone();
        Box::pin(async move {
            let mut reserved = Reserved::default();
            let mut response = match web {
                Some(mut web) => {
                    reserved = match answers.reserve(request.method(), request.uri().path()).await {
                        Ok(reserved) => reserved,
                        Err(refusal) => return Ok(refused(&refusal)),
                    };
                    web.call(request).await?.map(Body::new)
                }
                None => routes.call(request).await.map(with_code)?,
            };
            let reserved = response.extensions_mut().remove::<Reserved>().unwrap_or(reserved);
            Ok(response.map(|body| Body::new(answers.deliver(body, place, reserved))))
        })
    }
}

fn too_many() -> Refusal {
    let mut refusal = Refusal::new(Code::Overloaded, "too many requests are under way");
    refusal.retry_after = Some(RETRY_AFTER_OVERLOAD);
    refusal
}

/// On a plane without other services: who comes with HTTP/1.1 wants metrics.
fn refused(version: Version, refusal: Refusal) -> Response<Body> {
    if version == Version::HTTP_2 {
        return refuse(refusal).into_http();
    }
    let mut response = Response::new(Body::new(refusal.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

/// What tonic refuses before the service sees it has no code.
fn with_code(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(GRPC_STATUS) || headers.contains_key(GRPC_DETAILS) {
        return response;
    }
    match Status::from_header_map(headers).map(coded) {
        Some(status) if !status.details().is_empty() => status.into_http(),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_many_messages_is_known() {
        let mut found = Vec::new();
        for (service, schema) in [
            ("kho.v1.Store", include_str!("../../../proto/schema/kho/v1/store.proto")),
            ("kho.admin.v1.Admin", include_str!("../../../proto/schema/kho/admin/v1/admin.proto")),
        ] {
            assert!(schema.contains(&format!("service {} {{", service.rsplit('.').next().unwrap())));
            let calls = schema.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
            let of_many = calls.filter(|(_, takes)| takes.starts_with("stream "));
            found.extend(of_many.map(|(call, _)| format!("/{service}/{call}")));
        }
        assert_eq!(found, STREAMS);
    }
}
