//! A bound on the bytes of all requests that are being received: a thousand senders of large records at once must not
//! take a node's memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use kho_proto::error::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::api::refuse;

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

/// A request's body, whose bytes count until it is dropped.
pub(super) struct Metered<B> {
    body: B,
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl<B> Metered<B> {
    /// Counts against `budget`.
    pub fn new(body: B, budget: Budget) -> Self {
        Self { body, budget, held: None }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        let units = u32::try_from(bytes).map_err(|_| overloaded())?;
        let more = self.budget.0.clone().try_acquire_many_owned(units).map_err(|_| overloaded())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

fn overloaded() -> Status {
    let mut refusal = Refusal::new(Code::Overloaded, "too many bytes of requests are being received");
    refusal.retry_after = Some(RETRY_AFTER);
    refuse(refusal)
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref()
            && let Err(status) = self.take(data.len())
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
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use kho_proto::status::from_status;

    fn body(bytes: usize, budget: &Budget) -> Metered<Full<Bytes>> {
        Metered::new(Full::new(Bytes::from(vec![0; bytes])), budget.clone())
    }

    #[tokio::test]
    async fn bytes_count_while_the_body_is_there() {
        let budget = Budget::new(1000);
        let mut first = body(600, &budget);
        first.frame().await.unwrap().unwrap();
        let status = body(600, &budget).frame().await.unwrap().unwrap_err();
        assert_eq!(from_status(&status).unwrap().code, Code::Overloaded);
        drop(first);
        body(600, &budget).frame().await.unwrap().unwrap();
    }
}
