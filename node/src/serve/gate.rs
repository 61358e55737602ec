//! Before any service sees a request: who asks stands in its extensions, and who may not be on the plane at all gets
//! nothing else. After it: refusals of the transport get stable codes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::Service as HyperService;
use kho_proto::error::{Code, Refusal};
use kho_proto::header::PAYLOAD_LENGTH_MAX;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use super::metered::{Budget, Metered};
use crate::api::refuse;
use crate::identity::Identity;
use crate::read::Places;
use crate::tls::Plane;

const GRPC_STATUS: &str = "grpc-status";
const GRPC_DETAILS: &str = "grpc-status-details-bin";

/// The service of one connection.
pub(super) fn service(plane: Plane, identity: Identity, routes: Routes, budget: Budget) -> Gate {
    let refusal = match plane {
        Plane::Client | Plane::Admin => identity.party().err(),
        Plane::Peer => identity.node().err(),
        // nobody is asked who they are
        Plane::Log => None,
    };
    Gate { identity, refusal, routes, budget, watches: Places::of_connection() }
}

/// The service of one connection.
pub(super) struct Gate {
    identity: Identity,
    refusal: Option<Refusal>,
    routes: Routes,
    budget: Budget,
    watches: Places,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl HyperService<Request<Incoming>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        if let Some(refusal) = &self.refusal {
            let response = refused(request.version(), refusal.clone());
            return Box::pin(std::future::ready(Ok(response)));
        }
        if let Identity::Node(node) = &self.identity {
            request.extensions_mut().insert(*node);
        }
        request.extensions_mut().insert(self.identity.clone());
        request.extensions_mut().insert(self.watches.clone());
        let mut routes = self.routes.clone();
        let request = request.map(|body| Metered::new(body, self.budget.clone()));
        Box::pin(async move { routes.call(request).await.map(with_code) })
    }
}

/// gRPC speaks HTTP/2 only; who comes with HTTP/1.1 wants metrics.
fn refused(version: Version, refusal: Refusal) -> Response<Body> {
    if version == Version::HTTP_2 {
        return refuse(refusal).into_http();
    }
    let mut response = Response::new(Body::new(refusal.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

/// A message too long, or no protobuf: tonic refuses before the service sees it, and without a code.
fn with_code(response: Response<Body>) -> Response<Body> {
    let Some(refusal) = transport_refusal(response.headers()) else { return response };
    refuse(refusal).into_http()
}

fn transport_refusal(headers: &HeaderMap) -> Option<Refusal> {
    if !headers.contains_key(GRPC_STATUS) || headers.contains_key(GRPC_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        tonic::Code::OutOfRange => Some(
            Refusal::new(Code::PayloadTooLarge, format!("the request is too large: {}", status.message()))
                .expected_found(format!("a payload of at most {PAYLOAD_LENGTH_MAX} bytes"), "more"),
        ),
        tonic::Code::Internal if status.message().contains("decode") => {
            Some(Refusal::new(Code::RequestMalformed, format!("the request does not decode: {}", status.message())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &Status) -> Option<Code> {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        transport_refusal(&headers).map(|refusal| refusal.code)
    }

    #[test]
    fn refusals_of_the_transport_get_codes() {
        assert_eq!(check(&Status::out_of_range("decoded message length too large")), Some(Code::PayloadTooLarge));
        assert_eq!(check(&Status::internal("failed to decode Protobuf message")), Some(Code::RequestMalformed));
        assert_eq!(check(&Status::unimplemented("")), None);
        assert_eq!(transport_refusal(&HeaderMap::new()), None);
    }

    #[test]
    fn refusals_with_details_stay_as_they_are() {
        let refusal = Refusal::new(Code::StorageFailed, "failed to decode");
        assert_eq!(check(&kho_proto::status::to_status(&refusal)), None);
    }
}
