//! `SubmitStream`: records as they come, results as they finish.
//!
//! A stream is read no further while [`STREAM_IN_FLIGHT_MAX`] of its results are not taken, while its connection's streams
//! have too many together, or while the node has no room for bytes: HTTP/2's flow control then holds its sender. So a
//! client that sends without reading stops itself, and nobody else. The record that waits for room is bounded, too: where
//! too many wait, it is refused by itself, and the stream goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kho_proto::batch::{Known, STREAM_IN_FLIGHT_MAX};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::{SignedRecord, SubmitStreamRequest, SubmitStreamResponse};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Request, Response, Status, Streaming};

use super::context::{coded, identity, refuse};
use super::metric_definitions::OpenStream;
use super::outcome::{decode, to_wire};
use super::store::StoreService;
use super::unread::Unread;
use crate::identity::{Identity, Role};
use crate::shares::Shares;
use crate::write::{DEADLINE_MAX, Deadline};

/// Records of all streams of one connection whose results were not taken, at most.
pub(crate) const CONNECTION_IN_FLIGHT_MAX: usize = 4 * STREAM_IN_FLIGHT_MAX;
/// Streams that are open on this node, at most: each may cost some 500 KiB of certificates and results.
pub(crate) const STREAMS_MAX: usize = 512;
/// Streams of one connection, at most: more would not be faster.
pub(crate) const CONNECTION_STREAMS_MAX: usize = 16;
/// A stream on which nothing was sent for so long is ended; the client opens another when it has something to say.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Results of the largest deadline are there by then: whoever has left no place free for so long does not read.
const UNREAD_MAX: Duration = Duration::from_secs(DEADLINE_MAX.as_secs() + 10);

/// Places for the streams of a node.
#[derive(Clone)]
pub(crate) struct NodeStreams {
    places: Arc<Semaphore>,
    /// One certificate's streams must not keep out all others'.
    shares: Shares,
}

impl Default for NodeStreams {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { places, shares: Shares::of(STREAMS_MAX, CONNECTION_STREAMS_MAX) }
    }
}

/// What the streams of one connection share.
#[derive(Clone)]
pub struct ConnectionStreams {
    in_flight: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for ConnectionStreams {
    fn default() -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(CONNECTION_IN_FLIGHT_MAX)),
            open: Arc::new(Semaphore::new(CONNECTION_STREAMS_MAX)),
        }
    }
}

/// The results of one stream.
pub type Results = Pin<Box<dyn Stream<Item = Result<SubmitStreamResponse, Status>> + Send>>;

/// One record's place among those in flight, until its result is taken.
struct Place {
    _stream: OwnedSemaphorePermit,
    _connection: OwnedSemaphorePermit,
}

/// A result, or the end.
enum Out {
    Result(Box<SubmitStreamResponse>, Place),
    End(Status),
}

/// Why a stream is not read any further.
enum End {
    /// The client has sent all it wants; or it is gone.
    Done,
    /// The node ends it.
    Refused(Status),
}

impl StoreService {
    pub(super) async fn stream(
        &self,
        request: Request<Streaming<SubmitStreamRequest>>,
    ) -> Result<Response<Results>, Status> {
        let identity = identity(request.extensions());
        identity.party().and_then(|party| party.require(&[Role::Submitter])).map_err(refuse)?;
        let connection = request.extensions().get::<ConnectionStreams>().cloned().unwrap_or_default();
        let open = |streams: &Arc<Semaphore>, whose| {
            streams.clone().try_acquire_owned().map_err(|_full| refuse(too_many(whose)))
        };
        let share = identity.certificate().map(|certificate| self.streams.shares.take(certificate));
        let share = share.map(|share| share.ok_or_else(|| refuse(too_many("node by this certificate")))).transpose()?;
        let places = (open(&connection.open, "connection")?, open(&self.streams.places, "node")?, share);
        let opened = (places, OpenStream::new());
        // one more for the end
        let (results, out) = mpsc::channel(STREAM_IN_FLIGHT_MAX + 1);
        let unread = request.extensions().get::<Unread>().cloned().unwrap_or_default();
        let pump = Pump {
            service: self.clone(),
            identity,
            inbound: request.into_inner(),
            results,
            places: Arc::new(Semaphore::new(STREAM_IN_FLIGHT_MAX)),
            connection: connection.in_flight,
            unread,
            known: Known::default(),
        };
        self.tasks.spawn("submit-stream", Box::pin(pump.run()));
        let out = futures::stream::unfold((out, opened), |(mut out, opened)| async {
            let next = match out.recv().await? {
                // taken: its place is free for the next record
                Out::Result(response, _place) => Ok(*response),
                Out::End(status) => Err(status),
            };
            Some((next, (out, opened)))
        });
        Ok(Response::new(out.boxed()))
    }
}

fn too_many(whose: &str) -> Refusal {
    let mut refusal = Refusal::new(Code::Overloaded, format!("too many streams are open on this {whose}"));
    refusal.retry_after = Some(crate::write::RETRY_AFTER_OVERLOAD);
    refusal
}

/// Reads one stream.
struct Pump {
    service: StoreService,
    identity: Identity,
    inbound: Streaming<SubmitStreamRequest>,
    results: mpsc::Sender<Out>,
    places: Arc<Semaphore>,
    connection: Arc<Semaphore>,
    unread: Unread,
    known: Known,
}

impl Pump {
    /// Reads until the end. Records that were read are answered, whatever ends the stream; those that were not are unknown
    /// to their sender, as if they had been lost on the way.
    async fn run(mut self) {
        let stopping = self.service.stopping.clone();
        let (results, places) = (self.results.clone(), self.places.clone());
        let ended = async {
            let end = tokio::select! {
                end = self.read() => end,
                () = stopping.cancelled() => End::Refused(refuse(stops())),
            };
            let End::Refused(status) = end else { return };
            // first what is in flight: its results are worth more than the reason
            drop(tokio::time::timeout(UNREAD_MAX, places.acquire_many(STREAM_IN_FLIGHT_MAX as u32)).await);
            // an error: the client is gone
            drop(results.send(Out::End(status)).await);
        };
        tokio::select! {
            () = ended => {}
            () = results.closed() => {}
        }
    }

    async fn read(&mut self) -> End {
        loop {
            let place = match tokio::time::timeout(UNREAD_MAX, self.place()).await {
                Ok(Some(place)) => place,
                Ok(None) => return End::Done,
                Err(_elapsed) => return End::Refused(refuse(slow(UNREAD_MAX, "taking a result"))),
            };
            let message = match tokio::time::timeout(IDLE_MAX, self.inbound.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return End::Done,
                Ok(Err(status)) => return End::Refused(coded(status)),
                Err(_elapsed) => return End::Refused(refuse(slow(IDLE_MAX, "sending a record"))),
            };
            self.unread.read(message.encoded_len());
            let SubmitStreamRequest { correlation, record, deadline_ms } = message;
            let length = record.len();
            // also of what there is no room for: those that follow name its certificates
            let record = decode(record).map(|mut record| {
                self.known.learn(&record.certificates);
                self.known.fill(&mut record);
                record
            });
            let (record, room) = match self.service.room.wait(length).await {
                Ok(room) => (record, Some(room)),
                Err(refusal) if refusal.code == Code::Overloaded => (Err(refusal), None),
                Err(refusal) => return End::Refused(refuse(refusal)),
            };
            let asked = (deadline_ms > 0).then(|| Duration::from_millis(deadline_ms.into()));
            let one = One { correlation, record, deadline: Deadline::after(asked), place, _room: room };
            self.service.tasks.clone().spawn(
                "submit-of-a-stream",
                Box::pin(one.run(self.service.clone(), self.identity.clone(), self.results.clone())),
            );
        }
    }

    async fn place(&self) -> Option<Place> {
        let stream = self.places.clone().acquire_owned().await.ok()?;
        let connection = self.connection.clone().acquire_owned().await.ok()?;
        Some(Place { _stream: stream, _connection: connection })
    }
}

fn stops() -> Refusal {
    Refusal::new(Code::NodeStopping, "the node is shutting down")
}

fn slow(after: Duration, what: &str) -> Refusal {
    let text = format!("the stream was ended: its client went {} s without {what}", after.as_secs());
    Refusal::new(Code::StreamIdle, text)
}

/// One record of a stream.
struct One {
    correlation: u64,
    record: Result<SignedRecord, Refusal>,
    deadline: Deadline,
    place: Place,
    _room: Option<crate::write::Taken>,
}

impl One {
    async fn run(self, service: StoreService, identity: Identity, results: mpsc::Sender<Out>) {
        let start = Instant::now();
        let outcome = match self.record {
            Ok(record) => service.writer.submit(&identity, record, self.deadline).await,
            Err(refusal) => Err(refusal),
        };
        let response = SubmitStreamResponse {
            correlation: self.correlation,
            result: Some(to_wire(outcome, start.elapsed())),
            node_id: service.node.0,
            epoch: service.epoch.0,
            leader_id: service.leader_id(),
        };
        // The channel has a slot for every place. An error: the client is gone, and finds out by submitting again.
        drop(results.send(Out::Result(Box::new(response), self.place)).await);
    }
}
