//! A bound on the bytes of all requests that are being received: a thousand senders of large records at once must not
//! take a node's memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use kho_proto::error::{Code, Refusal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::api::{PREFIX_LENGTH, Unread, refuse};

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
    /// Something came.
    spoken: bool,
    /// When the message that is being received began.
    begun: Option<Instant>,
    /// Until when more of it must come.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// gRPC of a client or an operator.
    Grpc,
    /// gRPC of another node, whose links may be slow and whose streams silent.
    Peer,
    /// No gRPC.
    Plain,
}

/// A message of which nothing more came for so long will not be whole.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Nor one that took so long: nobody waits for its answer any more.
const MESSAGE_MAX: Duration = Duration::from_secs(60);
/// A request whose first message has not begun by then is none; streams wait longer than this for nothing.
const FIRST_MAX: Duration = Duration::from_secs(130);

impl<B> Metered<B> {
    /// Counts against `budget`.
    pub fn new(body: B, budget: Budget, kind: Kind, unread: Unread) -> Self {
        let messages = (kind != Kind::Plain).then(Messages::default);
        Self { body, budget, unread, messages, kind, spoken: false, begun: None, patience: None }
    }

    /// Nothing has come. Ready: it took too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let partial = self.messages.as_ref().is_none_or(|messages| messages.open > 0);
        let limit = match (self.kind, partial, self.spoken) {
            (Kind::Peer, _, _) | (_, false, true) => return Poll::Pending,
            (_, true, _) => {
                STALL_MAX.min((*self.begun.get_or_insert(now) + MESSAGE_MAX).saturating_duration_since(now))
            }
            (_, false, false) => FIRST_MAX,
        };
        self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(context)
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let units = u32::try_from(data.len()).map_err(|_| overloaded())?;
        let more = self.budget.0.clone().try_acquire_many_owned(units).map_err(|_| overloaded())?;
        let mut whole = 0;
        if let Some(messages) = &mut self.messages {
            whole = messages.see(data);
            self.begun = self.begun.filter(|_| messages.open > 0);
        }
        self.unread.add(more, whole);
        (self.spoken, self.patience) = (true, None);
        Ok(())
    }
}

/// Finds the ends of messages: each has a byte of flags and four of length before it (gRPC over HTTP/2,
/// "Length-Prefixed-Message").
#[derive(Default)]
struct Messages {
    prefix: [u8; PREFIX_LENGTH],
    prefix_seen: usize,
    /// Bytes of the message that are still to come, once its prefix is there.
    left: usize,
    /// Bytes since the last whole message.
    open: usize,
}

impl Messages {
    /// How many bytes belong to messages that are whole now and were not before.
    fn see(&mut self, mut data: &[u8]) -> usize {
        let mut whole = 0;
        while !data.is_empty() {
            let taken = if self.prefix_seen < PREFIX_LENGTH {
                let taken = data.len().min(PREFIX_LENGTH - self.prefix_seen);
                self.prefix[self.prefix_seen..][..taken].copy_from_slice(&data[..taken]);
                self.prefix_seen += taken;
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length) as usize;
                taken
            } else {
                let taken = data.len().min(self.left);
                self.left -= taken;
                taken
            };
            data = &data[taken..];
            self.open += taken;
            if self.prefix_seen == PREFIX_LENGTH && self.left == 0 {
                whole += std::mem::take(&mut self.open);
                self.prefix_seen = 0;
            }
        }
        whole
    }
}

fn overloaded() -> Status {
    let mut refusal = Refusal::new(Code::Overloaded, "too many bytes of requests are being received");
    refusal.retry_after = Some(RETRY_AFTER);
    refuse(refusal)
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
            Poll::Pending if self.poll_patience(context).is_ready() => return Poll::Ready(Some(Err(too_slow()))),
            Poll::Pending => return Poll::Pending,
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
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::{BodyExt, Full, StreamBody};
    use kho_proto::status::from_status;

    fn body(bytes: usize, budget: &Budget) -> Metered<Full<Bytes>> {
        Metered::new(Full::new(Bytes::from(vec![0; bytes])), budget.clone(), Kind::Plain, Unread::default())
    }

    /// Messages of these lengths, in pieces of so many bytes.
    fn stream(lengths: &[usize], piece: usize) -> impl Body<Data = Bytes, Error = Status> + Unpin {
        let mut bytes = Vec::new();
        for length in lengths {
            bytes.extend([0; 1]);
            bytes.extend(u32::try_from(*length).unwrap().to_be_bytes());
            bytes.extend(std::iter::repeat_n(7, *length));
        }
        let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        StreamBody::new(futures::stream::iter(pieces))
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

    #[tokio::test]
    async fn a_stream_counts_the_messages_that_were_not_read() {
        for piece in [1, 3, 64, 300, 5000] {
            let budget = Budget::new(1000);
            let mut body = Metered::new(
                stream(&[300, 0, 300, 300, 1, 300, 0], piece),
                budget.clone(),
                Kind::Grpc,
                Unread::default(),
            );
            // far more in all than the budget, and never more than it at once, unless it comes in one piece
            let mut overloaded = false;
            while let Some(frame) = body.frame().await {
                overloaded |= frame.is_err();
            }
            assert_eq!(overloaded, piece == 5000, "pieces of {piece}");
            assert_eq!(budget.0.available_permits(), 1000, "the end gives back what is left");
        }
    }

    /// Whether a body that stops after these bytes is cut, in so long.
    async fn cut(bytes: &'static [u8], kind: Kind, wait: Duration) -> bool {
        let begun =
            futures::stream::iter((!bytes.is_empty()).then(|| Ok::<_, Status>(Frame::data(Bytes::from_static(bytes)))));
        let body = StreamBody::new(begun.chain(futures::stream::pending()));
        let mut body = Metered::new(body, Budget::new(1000), kind, Unread::default());
        let ended = async {
            loop {
                match body.frame().await {
                    Some(Ok(_)) => {}
                    Some(Err(status)) => break from_status(&status).unwrap().code == Code::StreamIdle,
                    None => break false,
                }
            }
        };
        tokio::time::timeout(wait, ended).await.unwrap_or(false)
    }

    #[tokio::test]
    async fn a_client_that_stops_in_the_middle_is_cut_and_a_silent_stream_is_not() {
        let wait = STALL_MAX + Duration::from_secs(2);
        let (half, whole) = (b"\0\0\0\0\x05ab", b"\0\0\0\0\x02ab");
        let found = futures::join!(
            cut(half, Kind::Grpc, wait),
            cut(whole, Kind::Grpc, wait),
            cut(b"", Kind::Grpc, wait),
            cut(half, Kind::Peer, wait),
            cut(b"", Kind::Plain, wait),
        );
        assert_eq!(found, (true, false, false, false, true));
    }

    /// A stream that waits for room has its last message where that is counted, not here.
    #[tokio::test]
    async fn what_was_read_does_not_count_even_if_no_more_is_asked_for() {
        let (budget, unread) = (Budget::new(1000), Unread::default());
        let mut body = Metered::new(stream(&[300, 200, 400], 2000), budget.clone(), Kind::Grpc, unread.clone());
        body.frame().await.unwrap().unwrap();
        for (length, free) in [(300, 390), (200, 595), (400, 1000), (400, 1000)] {
            unread.read(length);
            assert_eq!(budget.0.available_permits(), free);
        }
    }

    #[tokio::test]
    async fn a_message_that_is_not_whole_counts() {
        let budget = Budget::new(1000);
        let mut body = Metered::new(stream(&[2000], 100), budget.clone(), Kind::Grpc, Unread::default());
        for _ in 0..10 {
            body.frame().await.unwrap().unwrap();
        }
        let status = body.frame().await.unwrap().unwrap_err();
        assert_eq!(from_status(&status).unwrap().code, Code::Overloaded);
    }
}
