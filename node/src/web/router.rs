//! From a request to its operation.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};
use http::{Response, Version, header};
use kho_proto::error::{Code, Refusal, excerpt};

use super::call::Call;
use super::metric_definitions::requested;
use super::operations::{OPERATIONS, Operation, Verb};
use super::problem::Refused;
use super::{Web, problem};

/// Routes of all operations, and answers for what is none.
pub(crate) fn router(web: &Web) -> Router {
    let mut router = Router::new();
    for operation in OPERATIONS {
        let web = web.clone();
        let filter = match operation.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        let run = move |request: Request| serve(web.clone(), operation, request);
        router = router.route(operation.path, on(filter, run));
    }
    router.fallback(no_path).method_not_allowed_fallback(no_method)
}

async fn serve(web: Web, operation: &'static Operation, request: Request) -> Response<Body> {
    let response = match run(web, operation, request).await {
        Ok(response) => response,
        Err(refused) => refused.answer(),
    };
    requested(operation.id, response.status());
    response
}

async fn run(web: Web, operation: &'static Operation, request: Request) -> Result<Response<Body>, Refused> {
    one_length(&request)?;
    let call = Call::of(operation, request)?;
    (operation.run)(web, call).await
}

/// Where a request has two lengths, two readers see two requests: so over HTTP/1.1 there is only one kind of length.
fn one_length(request: &Request) -> Result<(), Refusal> {
    if request.version() == Version::HTTP_2 || !request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    Err(Refusal::new(Code::HttpLengthRequired, "a request's body has a Content-Length here")
        .expected_found("Content-Length", "Transfer-Encoding"))
}

async fn no_path(request: Request) -> Response<Body> {
    let refusal = Refusal::new(Code::HttpPathUnknown, "there is no such path")
        .expected_found("a path of /openapi.json", excerpt(request.uri().path()));
    other(&request, refusal)
}

async fn no_method(request: Request) -> Response<Body> {
    let refusal = Refusal::new(Code::HttpMethodNotAllowed, "the path has no such method")
        .expected_found("a method that the header Allow names", excerpt(request.method().as_str()));
    other(&request, refusal)
}

/// What is no operation is refused with a length like anything else.
fn other(request: &Request, refusal: Refusal) -> Response<Body> {
    let response = problem::answer(&one_length(request).err().unwrap_or(refusal));
    requested("none", response.status());
    response
}
