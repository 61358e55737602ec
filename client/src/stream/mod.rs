//! Records as they come, answers as they finish, over one stream to one node at a time.
//!
//! [`StreamSender`] and [`StreamResults`] are what a caller holds; behind them one task ([`drive`]) keeps every record that
//! has no answer yet. A stream that is cut, a node that is lost or hangs: they go on at another node. Each record has the
//! deadline of a call, and exactly one answer.

mod drive;
mod link;
mod open;
mod way;

use std::sync::Arc;

use kho_proto::batch::STREAM_IN_FLIGHT_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::client::Client;
use crate::draft::Signed;
use crate::submit::{Acknowledged, SubmitError};

/// Records that were given to a stream and whose answers were not taken, at most: as many as a node reads ahead.
pub const IN_FLIGHT_MAX: usize = STREAM_IN_FLIGHT_MAX;

/// A record and its answer: the only one that it gets.
#[derive(Debug)]
pub struct Settled {
    /// As it was given.
    pub record: Signed,
    /// As [`Client::submit`] would have answered.
    pub answer: Result<Acknowledged, SubmitError>,
}

/// The stream takes nothing any more: its results were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream's results were dropped, and with them the stream")]
pub struct StreamClosed;

/// A record on its way into the stream, with its place.
struct Given {
    record: Signed,
    place: OwnedSemaphorePermit,
}

/// Where records go in. Clones feed the same stream; when the last one is dropped, the stream ends after the last answer.
#[derive(Clone)]
pub struct StreamSender {
    given: mpsc::Sender<Given>,
    places: Arc<Semaphore>,
}

impl StreamSender {
    /// Gives a record to the stream; its time begins now. Waits while [`IN_FLIGHT_MAX`] answers are still to be taken: take
    /// them elsewhere than where you send.
    ///
    /// An error: the record was not given to anybody. The same where it is dropped while it waits: keep a clone.
    pub async fn send(&self, record: Signed) -> Result<(), StreamClosed> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StreamClosed)?;
        self.given.send(Given { record, place }).await.map_err(|_| StreamClosed)
    }
}

/// Where answers come out, in the order in which they are known. Dropping it ends the stream: records without an answer
/// are then in doubt.
pub struct StreamResults {
    settled: mpsc::Receiver<(Settled, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
}

impl StreamResults {
    /// The next answer; none: every sender is dropped, and every record has been answered. Cancel safe.
    pub async fn next(&mut self) -> Option<Settled> {
        self.settled.recv().await.map(|(settled, _place)| settled)
    }
}

impl Drop for StreamResults {
    fn drop(&mut self) {
        // nobody waits for a place in a stream that is gone
        self.places.close();
    }
}

impl Client {
    /// A stream of records: the cheapest way for many, and none waits for another.
    ///
    /// Must be called within a tokio runtime. Nothing is sent before the first record.
    ///
    /// ```no_run
    /// # async fn example(client: kho_client::Client, records: Vec<kho_client::Signed>) {
    /// let (sender, mut results) = client.submit_stream();
    /// tokio::spawn(async move {
    ///     for record in records {
    ///         // waits while 128 answers are not taken
    ///         if sender.send(record).await.is_err() {
    ///             break;
    ///         }
    ///     }
    /// });
    /// while let Some(settled) = results.next().await {
    ///     match settled.answer {
    ///         Ok(done) => println!("{} stands at {}", done.record_id, done.receipt.sequence),
    ///         Err(error) => println!("{}: {error}", settled.record.record_id()),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn submit_stream(&self) -> (StreamSender, StreamResults) {
        let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let (given, taking) = mpsc::channel(IN_FLIGHT_MAX);
        // an answer for every place
        let (settling, settled) = mpsc::channel(IN_FLIGHT_MAX);
        tokio::spawn(drive::Driver::new(self.clone(), taking, settling).run());
        (StreamSender { given, places: places.clone() }, StreamResults { settled, places })
    }
}
