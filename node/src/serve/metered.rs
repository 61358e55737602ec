//! A bound on the bytes of all requests that are being received: a thousand senders of large records at once must not
//! take a node's memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use kho_proto::error::{Code, Refusal};
use tokio::sync::Semaphore;
use tonic::Status;

use super::messages::Messages;
use super::patience::{Kind, Patience};
use crate::api::{Unread, refuse};

/// Hint to a sender that found no room.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Bytes that requests may take while they are received.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }
}

/// A request's body. Its bytes count until the message that they belong to was read, which is known when more is asked for:
/// a stream may go on for ever.
pub(super) struct Metered<B> {
    body: B,
    budget: Budget,
    unread: Unread,
    /// Of a body that is no gRPC, all counts until it is dropped.
    messages: Option<Messages>,
    kind: Kind,
    patience: Patience,
}

impl<B> Metered<B> {
    /// Counts against `budget`.
    pub fn new(body: B, budget: Budget, kind: Kind, unread: Unread) -> Self {
        let messages = (kind != Kind::Plain).then(Messages::default);
        Self { body, budget, unread, messages, kind, patience: Patience::new(kind) }
    }

    /// More must come before all of it is there.
    fn partial(&self) -> bool {
        self.messages.as_ref().is_none_or(Messages::partial)
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let units = u32::try_from(data.len()).map_err(|_| overloaded())?;
        let more = self.budget.0.clone().try_acquire_many_owned(units).map_err(|_| overloaded())?;
        let mut whole = self.messages.as_mut().map_or(0, |messages| messages.see(data));
        if self.kind == Kind::Call {
            if self.messages.as_ref().is_some_and(Messages::more_than_one) {
                return Err(more_than_one());
            }
            whole = 0;
        }
        if !self.unread.add(more, whole) {
            return Err(overloaded());
        }
        self.patience.came(whole > 0, self.partial());
        Ok(())
    }
}

fn overloaded() -> Status {
    let mut refusal = Refusal::new(Code::Overloaded, "too many bytes of requests are being received");
    refusal.retry_after = Some(RETRY_AFTER);
    refuse(refusal)
}

fn more_than_one() -> Status {
    let refusal = Refusal::new(Code::RequestMalformed, "this call takes one message");
    refuse(refusal.expected_found("the end of the request", "more bytes"))
}

fn too_slow() -> Status {
    refuse(Refusal::new(Code::StreamIdle, "the client stopped in the middle of its request"))
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // more is asked for: whole messages were read
        self.unread.read_all();
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => {
                let partial = self.partial();
                return self.patience.poll(partial, context).map(|()| Some(Err(too_slow())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref()
            && let Err(status) = self.take(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(Some(Ok(frame)))
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
