//! A watch that goes on: at another node when one is lost, from where it was, without a gap and without anything twice.

use std::time::{Duration, Instant};

use kho_proto::id::{NodeId, Seq};
use kho_proto::pb::v1::{WatchRequest, WatchResponse, watch_response};
use tonic::Streaming;

use crate::ask::ReadError;
use crate::attempt::Failed;
use crate::client::Client;
use crate::entry::Entry;
use crate::filter::Filter;
use crate::nodes::Store;

/// A node says at least every 5 s that it is there; one that does not is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// A watch that breaks without having told anything new, so many times in a row, is reported: every node ends it.
pub const BREAKS_MAX: u32 = 16;
/// Between two of those.
const BREAK_PAUSE: Duration = Duration::from_millis(100);

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// With whatever is accepted from now on.
    Now,
    /// With this sequence number; the first record is 1.
    Sequence(Seq),
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The next record.
    Record(Box<Entry>),
    /// Nothing that is asked for stands before the position.
    Progress,
}

/// A watch under way.
pub struct Watching {
    client: Client,
    request: WatchRequest,
    open: Option<Open>,
    breaks: u32,
}

struct Open {
    events: Streaming<WatchResponse>,
    address: String,
    node: NodeId,
}

impl Client {
    /// Every record that the filter lets through, in order of sequence numbers, for as long as it is listened to.
    ///
    /// A beginning behind the end of the log or before the first record is refused at once. Keep [`Watching::position`], and a
    /// later watch goes on from there.
    pub async fn watch(&self, filter: &Filter, from: WatchFrom) -> Result<Watching, ReadError> {
        let from = match from {
            WatchFrom::Now => None,
            WatchFrom::Sequence(seq) => Some(seq.0),
        };
        let request = WatchRequest { filter: Some(filter.to_pb()), from };
        let mut watching = Watching { client: self.clone(), request, open: None, breaks: 0 };
        // the first word says where it begins: lost before that, "now" would be a later one
        watching.next().await?;
        Ok(watching)
    }
}

impl Watching {
    /// Where the watch stands: the next sequence number to come, or to be passed by. `None` only before the first event.
    pub fn position(&self) -> Option<Seq> {
        self.request.from.map(Seq)
    }

    /// Who tells; none between two nodes.
    pub fn node(&self) -> Option<NodeId> {
        self.open.as_ref().map(|open| open.node).filter(|node| node.0 != 0)
    }

    /// The next record, whatever lies between.
    pub async fn record(&mut self) -> Result<Entry, ReadError> {
        loop {
            if let Event::Record(entry) = self.next().await? {
                return Ok(*entry);
            }
        }
    }

    /// The next event. After an error it may be called again: the position stays.
    ///
    /// Cancel safe: an event is either returned, or still to come.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        loop {
            if self.open.is_none() {
                self.open = Some(self.begin().await?);
            }
            let Some(open) = &mut self.open else { continue };
            let word = match tokio::time::timeout(SILENCE_MAX, open.events.message()).await {
                Ok(Ok(Some(word))) => word,
                // a node that ends a watch says why
                Ok(Ok(None)) => {
                    self.broken(&Failed::Unknown("the watch ended without a word".to_owned())).await?;
                    continue;
                }
                Ok(Err(status)) => {
                    self.broken(&Failed::of(&status)).await?;
                    continue;
                }
                Err(_) => {
                    self.broken(&Failed::timed_out(SILENCE_MAX)).await?;
                    continue;
                }
            };
            let taken = self.take(word);
            if taken.is_err() {
                // what was not understood must come again, not be passed over by what comes after it
                self.open = None;
            }
            return taken;
        }
    }

    fn take(&mut self, word: WatchResponse) -> Result<Event, ReadError> {
        let address = self.open.as_ref().map(|open| open.address.clone()).unwrap_or_default();
        let wrong = |field, expected: String, found: String| {
            Err(ReadError::Answer { address: address.clone(), field, expected, found })
        };
        let position = self.request.from.unwrap_or(0);
        if word.next < position {
            return wrong("next", format!("at least {position}"), word.next.to_string());
        }
        let event = match word.event {
            None => return wrong("event", "a record or progress".to_owned(), "none".to_owned()),
            Some(watch_response::Event::Progress(progress)) => {
                if let Some(open) = &mut self.open {
                    open.node = NodeId(progress.node_id);
                }
                Event::Progress
            }
            Some(watch_response::Event::Record(entry)) => {
                if entry.sequence < position || entry.sequence >= word.next {
                    let expected = format!("from {position} to {}", word.next);
                    return wrong("sequence", expected, entry.sequence.to_string());
                }
                Event::Record(Box::new(Entry::of(entry, &address)?))
            }
        };
        if word.next > position {
            self.breaks = 0;
        }
        self.request.from = Some(word.next);
        Ok(event)
    }

    async fn begin(&self) -> Result<Open, ReadError> {
        // only the beginning has a deadline: the watch itself has none
        let open = |mut store: Store, request: tonic::Request<WatchRequest>| async move {
            store.watch(tonic::Request::new(request.into_inner())).await
        };
        let (events, node): (Streaming<WatchResponse>, _) = self.client.ask(self.request.clone(), open).await?;
        Ok(Open { events, address: node.address.clone(), node: NodeId(0) })
    }

    /// Whether to go on at another node.
    async fn broken(&mut self, failed: &Failed) -> Result<(), ReadError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        tracing::debug!(node = %open.address, %failed, position = self.request.from, "a watch broke");
        self.breaks += 1;
        if let Some(refusal) = failed.answer()
            && (!refusal.code.retry() || self.breaks >= BREAKS_MAX)
        {
            return Err(ReadError::Refused { refusal: Box::new(refusal.clone()) });
        }
        if self.breaks >= BREAKS_MAX {
            self.breaks = 0;
            return Err(ReadError::Unreachable { tried: open.address, last: failed.to_string() });
        }
        self.client.nodes().rest(&open.address, Instant::now());
        self.client.nodes().move_on();
        tokio::time::sleep(failed.retry_after().unwrap_or(BREAK_PAUSE)).await;
        Ok(())
    }
}
