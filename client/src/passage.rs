//! Whether the message of an attempt was given to a connection. Before that it is certainly not with the node, however long a
//! channel takes to connect: one dial serves one request, the others wait for theirs, and no clock shows which of them was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tower::Service;

use crate::attempt::Failed;
use crate::rounds::within;

/// Nobody asked for the message yet.
const HERE: u8 = 0;
/// A connection has it: it may be written.
const GIVEN: u8 = 1;
/// No connection gets it any more.
const CALLED_BACK: u8 = 2;

/// Of one message. Decided once: who gives up, and the connection that comes up in the same moment, agree on what became of it.
#[derive(Debug, Clone, Default)]
struct Passage(Arc<AtomicU8>);

impl Passage {
    fn decide(&self, what: u8) -> bool {
        let before = self.0.compare_exchange(HERE, what, Ordering::AcqRel, Ordering::Acquire);
        before.map_or_else(|found| found == what, |_| true)
    }

    /// A connection asks for the message; false: it may not have it.
    fn give(&self) -> bool {
        self.decide(GIVEN)
    }

    /// True: no connection was given the message, and none will be.
    fn call_back(&self) -> bool {
        self.decide(CALLED_BACK)
    }
}

/// One attempt: `call` with the message, for as long as `budget`.
pub(crate) async fn attempt<M, A, F>(
    budget: Duration,
    message: M,
    call: impl FnOnce(Request<M>) -> F,
) -> Result<A, Failed>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let (mut request, passage) = (within(budget, message), Passage::default());
    request.extensions_mut().insert(passage.clone());
    let failed = match tokio::time::timeout(budget, call(request)).await {
        Ok(Ok(response)) => return Ok(response.into_inner()),
        Ok(Err(status)) => Failed::of(&status),
        Err(_) => Failed::timed_out(budget),
    };
    Err(if passage.call_back() { failed.never_sent() } else { failed })
}

/// A channel whose requests have a [`Passage`], where they are attempts.
#[derive(Debug, Clone)]
pub(crate) struct Tracked(pub(crate) Channel);

impl Service<http::Request<Body>> for Tracked {
    type Response = http::Response<Body>;
    type Error = <Channel as Service<http::Request<Body>>>::Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match request.extensions_mut().remove::<Passage>() {
            Some(passage) => self.0.call(request.map(|body| Body::new(Message { body, passage }))),
            None => self.0.call(request),
        }
    }
}

/// The body of a request. HTTP/2 asks for it when there is a connection and a stream on it, and not before.
struct Message {
    body: Body,
    passage: Passage,
}

impl HttpBody for Message {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.passage.give() {
            // the stream is reset, and a node does not act on a request without its message
            return Poll::Ready(Some(Err(Status::cancelled("the attempt is over"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
