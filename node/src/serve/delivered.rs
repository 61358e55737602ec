//! Answers on their way to whoever reads them, or does not. HTTP/2 lets a client ask a thousand times for the largest record
//! and take nothing: so large answers are handed over in pieces, count while they are not taken, and a connection on which
//! an answer stands still is given up.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame};
use kho_proto::error::Refusal;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::api::{Asked, Holder, LARGE_BYTES, Reserved, Room};

/// Requests of HTTP whose answers may be as large as a record, by what their paths begin with. Room is reserved before they
/// are asked for: an answer that was made takes memory whether it is taken or not. They are all there with their heads; whoever
/// sends a body (gRPC, and who asks for a header) has room reserved by the service when that has come.
const LARGE_PATHS: &[&str] = &["/v1/records", "/v1/series", "/v1/stats"];
/// Their methods: for HEAD, too, the whole answer is made.
const LARGE_METHODS: &[Method] = &[Method::GET, Method::HEAD];
/// A record in JSON is its bytes, their base64, and the text that holds it.
const JSON_FACTOR: u32 = 3;
/// What is handed over at once. HTTP/2 keeps some hundred KiB of a stream that is not read; the rest stays here.
const PIECE: usize = 16 << 10;
/// h2 copies frames below this to their heads, and hands larger ones on apart from what goes before and behind them: an answer
/// of a few such pieces goes in one TLS record, with its trailers.
const SMALL_PIECE: usize = (1 << 10) - 1;
/// Answers up to here go in such pieces: each is a frame, with a cost of its own.
const SMALL_MAX: usize = 8 << 10;
/// Nothing was taken for so long: nobody reads.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The same of an answer of the public log, which is small.
const LOG_STALL_MAX: Duration = Duration::from_secs(10);
/// The largest answer has so long in all: a client that takes a byte now and then does not read either.
const TAKEN_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

type Number = u64;

/// The answers of one connection.
#[derive(Clone)]
pub(super) struct Answers {
    pub room: Room,
    stall_max: Duration,
    /// Until when each of those that were handed a piece must ask for the next.
    due: Arc<Mutex<Due>>,
}

#[derive(Default)]
struct Due {
    last: Number,
    until: BTreeMap<Number, Instant>,
}

impl Answers {
    /// Of one more connection of a plane.
    pub fn new(plane: Arc<Semaphore>, holder: Option<Arc<Holder>>) -> Self {
        Self { room: Room::new(plane, holder), stall_max: STALL_MAX, due: Arc::default() }
    }

    /// Of one more connection to the public log, which has room of its own.
    pub fn of_log() -> Self {
        Self { stall_max: LOG_STALL_MAX, ..Self::new(Arc::new(Semaphore::new(0)), None) }
    }

    /// Ends when an answer stands still.
    pub async fn stand_still(self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = Instant::now();
            if self.due.lock().until.values().any(|until| *until < now) {
                return;
            }
        }
    }

    /// Waits until there is room for the answer to a request of HTTP.
    pub async fn reserve(&self, method: &Method, path: &str) -> Result<Reserved, Refusal> {
        if LARGE_METHODS.contains(method) && LARGE_PATHS.iter().any(|begin| path.starts_with(begin)) {
            return self.room.reserve(LARGE_BYTES * JSON_FACTOR).await;
        }
        Ok(Reserved::default())
    }

    /// `body`, watched; `place` is held until it is taken, and what was reserved, if it is large.
    pub fn deliver<B>(&self, body: B, place: Place, reserved: Reserved) -> Delivered<B> {
        let number = {
            let mut due = self.due.lock();
            due.last += 1;
            due.last
        };
        Delivered {
            body,
            rest: Bytes::new(),
            piece: PIECE,
            begun: Instant::now(),
            number,
            reserved,
            answers: self.clone(),
            _place: place,
        }
    }
}

/// A request's place among those of its plane, or of its connection, and among those of its certificate.
pub(super) struct Place {
    pub _all: OwnedSemaphorePermit,
    pub _own: Option<Asked>,
}

/// An answer's body.
pub(super) struct Delivered<B> {
    body: B,
    /// What of the last frame was not handed over.
    rest: Bytes,
    /// Bytes handed over at once.
    piece: usize,
    /// When the last frame came.
    begun: Instant,
    number: Number,
    reserved: Reserved,
    answers: Answers,
    _place: Place,
}

impl<B> Delivered<B> {
    fn not_due(&self) {
        self.answers.due.lock().until.remove(&self.number);
    }

    /// The next piece; it must be taken in time.
    fn piece(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(self.piece));
        if self.rest.is_empty() {
            self.reserved = Reserved::default();
        }
        let until = (Instant::now() + self.answers.stall_max).min(self.begun + TAKEN_MAX);
        self.answers.due.lock().until.insert(self.number, until);
        piece
    }
}

impl<B> Drop for Delivered<B> {
    fn drop(&mut self) {
        self.not_due();
    }
}

impl<B> Body for Delivered<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.not_due();
        loop {
            if !self.rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => {
                    self.piece = if data.len() <= SMALL_MAX { SMALL_PIECE } else { PIECE };
                    (self.rest, self.begun) = (data, Instant::now());
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;
    use crate::api::{ANSWERS_BYTES_MAX, CONNECTION_ANSWERS_BYTES_MAX};

    fn answers() -> Answers {
        Answers::new(Arc::new(Semaphore::new(ANSWERS_BYTES_MAX)), None)
    }

    fn place() -> Place {
        Place { _all: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(), _own: None }
    }

    async fn body(answers: &Answers, bytes: usize) -> Delivered<Full<Bytes>> {
        let reserved = answers.room.reserve(LARGE_BYTES).await.unwrap();
        answers.deliver(Full::new(Bytes::from(vec![7; bytes])), place(), reserved)
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_in_pieces() {
        for bytes in [0, 1, SMALL_PIECE, SMALL_MAX, SMALL_MAX + 1, PIECE, PIECE + 1, 5 << 20] {
            let answers = answers();
            let mut body = body(&answers, bytes).await;
            let mut found = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.len() <= PIECE && data.iter().all(|byte| *byte == 7));
                found += data.len();
            }
            assert_eq!(found, bytes);
            drop(body);
            assert!(answers.due.lock().until.is_empty());
            assert_eq!(answers.room.free(), (CONNECTION_ANSWERS_BYTES_MAX, ANSWERS_BYTES_MAX));
        }
    }

    #[tokio::test]
    async fn large_answers_that_nobody_takes_are_bounded_and_small_ones_are_not() {
        let answers = answers();
        let mut held = Vec::new();
        for _ in 0..100 {
            let mut small = body(&answers, 1000).await;
            small.frame().await.unwrap().unwrap();
            held.push(small);
        }
        let most = CONNECTION_ANSWERS_BYTES_MAX / LARGE_BYTES as usize;
        for _ in 0..most {
            let mut large = body(&answers, 4 << 20).await;
            large.frame().await.unwrap().unwrap();
            held.push(large);
        }
        let next = answers.reserve(&Method::GET, "/v1/records");
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending(), "this connection has as many as it may");
        drop(body(&Answers { room: answers.room.another(), ..answers.clone() }, 4 << 20).await);
        let free = answers.room.free();
        answers.reserve(&Method::POST, "/v1/records").await.unwrap();
        assert_eq!(answers.room.free(), free, "whose answers are small");
        held.truncate(held.len() - JSON_FACTOR as usize);
        drop(next.await.expect("room again"));
    }

    #[tokio::test]
    async fn the_answer_to_a_head_has_room_reserved_like_any() {
        let answers = answers();
        let free = answers.room.free();
        let reserved = answers.reserve(&Method::HEAD, "/v1/records/0").await.unwrap();
        let bytes = (LARGE_BYTES * JSON_FACTOR) as usize;
        assert_eq!(answers.room.free(), (free.0 - bytes, free.1 - bytes));
        drop(reserved);
        assert_eq!(answers.room.free(), free);
    }

    #[tokio::test]
    async fn an_answer_that_stands_still_is_noticed_and_one_that_waits_for_its_node_is_not() {
        let answers = answers();
        let mut taken = body(&answers, 1 << 20).await;
        taken.frame().await.unwrap().unwrap();
        let due = |answers: &Answers| answers.due.lock().until.len();
        assert_eq!(due(&answers), 1, "handed over, and not asked for more");
        let until = *answers.due.lock().until.values().next().unwrap();
        assert!(until <= Instant::now() + STALL_MAX);
        let pending = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, ()>>());
        let mut silent = answers.deliver(pending, place(), Reserved::default());
        assert!(futures::poll!(silent.frame()).is_pending());
        assert_eq!(due(&answers), 1);
        drop(taken);
        assert_eq!(due(&answers), 0);
    }
}
