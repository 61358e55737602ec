//! Kho's connections: the client that everybody has, one node or all of them.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kho_client::{Client, Filter, ListQuery, Order, Signed, StreamSender, SubmitError};
use kho_proto::id::RecordId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::records::Prepared;
use super::{Connection, Done};

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A record a call.
    Single,
    /// So many records a call.
    Many(usize),
    /// Records as they come, over a stream.
    Stream,
    /// A record by its id, linearizable.
    Read,
    /// A page of the newest records.
    List,
    /// Single writes, reads and lists, in this proportion.
    Mix(Mix),
}

/// Parts of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Single writes.
    pub write: usize,
    /// Reads by id.
    pub read: usize,
    /// Lists.
    pub list: usize,
}

impl FromStr for Mix {
    type Err = String;

    /// `write=20,read=70,list=10`; what is not named is 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected parts like write=20,read=70,list=10, found {text:?}");
        let mut mix = Mix { write: 0, read: 0, list: 0 };
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or_else(wrong)?;
            let number = number.parse().ok().filter(|number| *number <= 1_000).ok_or_else(wrong)?;
            match name {
                "write" => mix.write = number,
                "read" => mix.read = number,
                "list" => mix.list = number,
                _ => return Err(wrong()),
            }
        }
        if mix.write + mix.read + mix.list == 0 { Err(wrong()) } else { Ok(mix) }
    }
}

impl Mix {
    /// The operation of one of the mix's places, spread evenly: a low part is not done in one go.
    fn at(self, turn: usize) -> Operation {
        let all = self.write + self.read + self.list;
        // a step that has no factor in common with most sums visits every place once a round
        let place = turn.wrapping_mul(7_919) % all;
        match place {
            place if place < self.write => Operation::Single,
            place if place < self.write + self.read => Operation::Read,
            _ => Operation::List,
        }
    }
}

impl Operation {
    /// As reports name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Single => "single",
            Operation::Many(_) => "many",
            Operation::Stream => "stream",
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Mix(_) => "mix",
        }
    }

    /// Whether it needs records that are there already.
    pub fn reads(self) -> bool {
        match self {
            Operation::Read | Operation::List => true,
            Operation::Mix(mix) => mix.read + mix.list > 0,
            _ => false,
        }
    }

    /// Whether it needs signed records.
    pub fn writes(self) -> bool {
        match self {
            Operation::Read | Operation::List => false,
            Operation::Mix(mix) => mix.write > 0,
            _ => true,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Entries of a page that is listed.
const PAGE: u32 = 20;

type Answers = Arc<Mutex<HashMap<RecordId, oneshot::Sender<Result<(), String>>>>>;

/// A stream, and who waits for which answer.
struct Streaming {
    sender: StreamSender,
    waiting: Answers,
}

impl Streaming {
    fn open(client: &Client) -> Self {
        let (sender, mut results) = client.submit_stream();
        let waiting = Answers::default();
        let answers = waiting.clone();
        // ends when the sender is dropped and every record has its answer
        tokio::spawn(async move {
            while let Some(settled) = results.next().await {
                let waiter = answers.lock().remove(&settled.record.record_id());
                if let Some(waiter) = waiter {
                    // a lane that was ended waits no more
                    let _ = waiter.send(settled.answer.map(drop).map_err(|error| error.to_string()));
                }
            }
        });
        Self { sender, waiting }
    }

    async fn send(&self, record: Signed) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(record.record_id(), answer);
        self.sender.send(record).await.map_err(|error| error.to_string())?;
        answered.await.map_err(|_| "the stream ended without an answer".to_owned())?
    }
}

/// One connection.
pub struct Store {
    client: Client,
    operation: Operation,
    prepared: Prepared,
    /// Records that are there.
    known: Arc<Vec<RecordId>>,
    turn: AtomicUsize,
    stream: Option<Streaming>,
}

impl Store {
    /// Does `operation` through `client`; begins at another record than others do, by `place`.
    pub fn new(
        client: Client,
        operation: Operation,
        prepared: Prepared,
        known: Arc<Vec<RecordId>>,
        place: usize,
    ) -> Self {
        let stream = (operation == Operation::Stream).then(|| Streaming::open(&client));
        // a prime apart: connections read the same record now and then, and not in step
        Self { client, operation, prepared, known, turn: AtomicUsize::new(place * 97), stream }
    }

    async fn single(&self) -> Result<Done, String> {
        let Some(record) = self.prepared.lock().pop() else { return Ok(Done::Exhausted) };
        match &self.stream {
            Some(stream) => stream.send(record).await?,
            None => self.client.submit(&record).await.map(drop).map_err(|error| error.to_string())?,
        }
        Ok(Done::Records(1))
    }

    async fn many(&self, batch: usize) -> Result<Done, String> {
        let records: Vec<Signed> = {
            let mut prepared = self.prepared.lock();
            let from = prepared.len().saturating_sub(batch);
            prepared.drain(from..).collect()
        };
        if records.len() < batch {
            return Ok(Done::Exhausted);
        }
        let answers = self.client.submit_many(&records).await;
        let failed = answers.iter().filter_map(|answer| answer.as_ref().err()).map(SubmitError::to_string).next();
        failed.map_or(Ok(Done::Records(batch as u64)), Err)
    }

    async fn read(&self, turn: usize) -> Result<Done, String> {
        let id = self.known[turn % self.known.len()];
        let fetched = self.client.get(id).await.map_err(|error| error.to_string())?;
        if fetched.record.payload.is_empty() {
            return Err(format!("record {id} came back without its payload"));
        }
        Ok(Done::Records(1))
    }

    async fn list(&self) -> Result<Done, String> {
        let query = ListQuery { filter: Filter::default(), order: Order::Newest, page_size: PAGE, stale: false };
        let mut listing = self.client.list(query);
        for _ in 0..PAGE {
            let entry = listing.next().await.map_err(|error| error.to_string())?;
            entry.ok_or("a list ended before its first page did")?;
        }
        Ok(Done::Records(1))
    }
}

impl Connection for Store {
    async fn call(&self) -> Result<Done, String> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let operation = match self.operation {
            Operation::Mix(mix) => mix.at(turn),
            operation => operation,
        };
        match operation {
            Operation::Single | Operation::Stream | Operation::Mix(_) => self.single().await,
            Operation::Many(batch) => self.many(batch).await,
            Operation::Read => self.read(turn).await,
            Operation::List => self.list().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_its_parts() {
        let mix: Mix = "write=20,read=70,list=10".parse().expect("a mix");
        let count = |operation| (0..1_000).filter(|turn| mix.at(*turn) == operation).count();
        assert_eq!((count(Operation::Single), count(Operation::Read), count(Operation::List)), (200, 700, 100));
        for wrong in ["", "write", "write=x", "erase=1", "write=0", "read=1001"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
