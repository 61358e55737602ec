//! A watch that goes on: at another node when one is lost, after an outage of all, from where it was, without a gap and without
//! anything twice.

use std::sync::Arc;
use std::time::Duration;

use kho_proto::id::{NodeId, Seq};
use kho_proto::pb::v1::{WatchRequest, WatchResponse, watch_response};
use tokio::time::Instant;
use tonic::Streaming;

use crate::ask::ReadError;
use crate::attempt::Failed;
use crate::client::Client;
use crate::entry::Entry;
use crate::faults::Faults;
use crate::filter::Filter;
use crate::nodes::{Node, Store};
use crate::timing::Timing;
use crate::tour::Tour;

/// A node says at least every 5 s that it is there; one that does not is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// First pause of a watch between rounds over nodes that all failed...
pub const WATCH_PAUSE_MIN: Duration = Duration::from_millis(100);
/// ...which doubles up to this, and as much again at most by jitter: all watches of a cluster come back at once.
pub const WATCH_PAUSE_MAX: Duration = Duration::from_secs(5);

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
    tour: Tour<Streaming<WatchResponse>>,
    open: Option<Open>,
    patience: Option<Duration>,
    /// Since anything new was told.
    faults: Faults,
    /// What says most of why nobody tells anything.
    last: Option<ReadError>,
    /// It was logged that it waits.
    logged: bool,
}

struct Open {
    events: Streaming<WatchResponse>,
    node: Arc<Node>,
    /// As its first word said.
    id: NodeId,
    words: u64,
    /// The next word is waited for since; over calls that are dropped.
    awaited: Option<Instant>,
}

impl Client {
    /// Every record that the filter lets through, in order of sequence numbers, for as long as it is listened to.
    ///
    /// It begins within the deadline, like any call, or not at all; one that has begun outlives an outage of all nodes
    /// ([`Watching::patience`]). A beginning behind the end of the log or before the first record is refused at once. Keep
    /// [`Watching::position`], and a later watch goes on from there.
    pub async fn watch(&self, filter: &Filter, from: WatchFrom) -> Result<Watching, ReadError> {
        let from = match from {
            WatchFrom::Now => None,
            WatchFrom::Sequence(seq) => Some(seq.0),
        };
        let mut watching = Watching {
            client: self.clone(),
            request: WatchRequest { filter: Some(filter.to_pb()), from },
            tour: Tour::new(self, *self.timing()),
            open: None,
            patience: None,
            faults: Faults::default(),
            last: None,
            logged: true,
        };
        // the first word says where it begins: lost before that, "now" would be a later one
        match tokio::time::timeout(self.timing().deadline, watching.next()).await {
            Ok(begun) => begun.map(drop)?,
            Err(_elapsed) => return Err(watching.given_up()),
        }
        let pauses = Timing { backoff_min: WATCH_PAUSE_MIN, backoff_max: WATCH_PAUSE_MAX, ..*self.timing() };
        watching.tour = Tour::new(self, pauses);
        (watching.faults, watching.last, watching.logged) = (Faults::default(), None, false);
        Ok(watching)
    }
}

impl Watching {
    /// How long it waits where no node tells anything: for lost nodes, and for refusals that pass. `None`, which it is unless told
    /// otherwise: as long as it takes. When it is over, the call under way says why nobody told anything; the next one has
    /// the same patience again.
    #[must_use = "it is the watch that has the patience"]
    pub fn patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience;
        self
    }

    /// Where the watch stands: the next sequence number to come, or to be passed by. `None` only before the first event.
    pub fn position(&self) -> Option<Seq> {
        self.request.from.map(Seq)
    }

    /// Who tells; none between two nodes.
    pub fn node(&self) -> Option<NodeId> {
        self.open.as_ref().map(|open| open.id).filter(|node| node.0 != 0)
    }

    /// Why it waits, once all nodes have failed since one told something; none: one tells, or is being looked for. Drop a call
    /// that takes long to look, and call again.
    pub fn waits(&self) -> Option<&ReadError> {
        let told = self.open.as_ref().is_some_and(|open| open.words > 0);
        self.last.as_ref().filter(|_| !told && self.tour.lost())
    }

    /// The next record, whatever lies between.
    pub async fn record(&mut self) -> Result<Entry, ReadError> {
        loop {
            if let Event::Record(entry) = self.next().await? {
                return Ok(*entry);
            }
        }
    }

    /// The next event. Waits for it, through outages too, as long as [`Watching::patience`] goes. After an error it may be
    /// called again: the position stays.
    ///
    /// Cancel safe: an event is either returned, or still to come; and a call that is dropped sets nothing back that it waited
    /// for.
    pub async fn next(&mut self) -> Result<Event, ReadError> {
        loop {
            let word = match self.limit() {
                Some(limit) => tokio::time::timeout_at(limit, self.word()).await,
                None => Ok(self.word().await),
            };
            match word {
                Ok(Ok(word)) => return self.told(word),
                Ok(Err((node, failed))) => self.failed(&node.address, &failed)?,
                Err(_elapsed) => return Err(self.given_up()),
            }
        }
    }

    /// When the patience ends; a node that has told where it stands has the time of its next word.
    fn limit(&mut self) -> Option<Instant> {
        if self.open.as_ref().is_some_and(|open| open.words > 0) {
            return None;
        }
        self.tour.failing().checked_add(self.patience?)
    }

    /// The next word of a node, which is looked for if there is none.
    async fn word(&mut self) -> Result<WatchResponse, (Arc<Node>, Failed)> {
        let nodes = self.client.nodes();
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let request = self.request.clone();
                // only the beginning has an end: the watch itself has none
                let call = |mut store: Store| async move { store.watch(tonic::Request::new(request)).await };
                let (events, node) = self.tour.open(nodes, call).await?;
                self.open.insert(Open { events, node, id: NodeId(0), words: 0, awaited: None })
            }
        };
        let word = open.word().await;
        match &word {
            // each begins with a word at once; the second says that it goes on
            Ok(_) if open.words > 1 => {
                self.tour.well(&open.node);
                (self.faults, self.last) = (Faults::default(), None);
                if std::mem::take(&mut self.logged) {
                    tracing::info!(node = %open.node.address, position = self.request.from, "a watch goes on");
                }
            }
            Ok(_) => {}
            Err(failed) => self.tour.broke(nodes, &open.node, failed),
        }
        let node = open.node.clone();
        word.map_err(|failed| {
            self.open = None;
            (node, failed)
        })
    }

    fn told(&mut self, word: WatchResponse) -> Result<Event, ReadError> {
        let taken = self.take(word);
        if let Err(error) = &taken
            && let Some(open) = self.open.take()
        {
            // what was not understood must come again, of another node first, not be passed over by what comes after it
            self.tour.broke(self.client.nodes(), &open.node, &Failed::Unknown(error.to_string()));
            self.tour.told();
        }
        taken
    }

    fn take(&mut self, word: WatchResponse) -> Result<Event, ReadError> {
        let address = self.open.as_ref().map(|open| open.node.address.clone()).unwrap_or_default();
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
                    open.id = NodeId(progress.node_id);
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
        self.request.from = Some(word.next);
        Ok(event)
    }

    /// Whether to go on.
    fn failed(&mut self, address: &str, failed: &Failed) -> Result<(), ReadError> {
        tracing::debug!(%failed, position = self.request.from, "a watch is without a node");
        let refusal = failed.answer().cloned().map(Box::new);
        self.faults.failed(address, failed);
        let for_good = refusal.as_ref().is_some_and(|refusal| !refusal.code.retry());
        let over = for_good || self.faults.end(self.client.nodes().addresses());
        // a refusal says more than the silence of who was asked after it
        match refusal {
            Some(refusal) => self.last = Some(ReadError::Refused { refusal }),
            None if matches!(self.last, Some(ReadError::Refused { .. })) => {}
            None => self.last = Some(self.unreachable(failed.to_string())),
        }
        if over {
            return Err(self.given_up());
        }
        if self.tour.lost()
            && !std::mem::replace(&mut self.logged, true)
            && let Some(why) = &self.last
        {
            tracing::warn!(%why, position = self.request.from, "a watch waits: no node tells anything");
        }
        Ok(())
    }

    fn unreachable(&self, last: String) -> ReadError {
        ReadError::Unreachable { tried: self.client.nodes().addresses().collect::<Vec<_>>().join(", "), last }
    }

    /// What the caller is told; the next call begins with a patience of its own.
    fn given_up(&mut self) -> ReadError {
        self.tour.told();
        self.faults = Faults::default();
        let last = self.last.take();
        last.unwrap_or_else(|| self.unreachable("no answer in time".to_owned()))
    }
}

impl Open {
    async fn word(&mut self) -> Result<WatchResponse, Failed> {
        let until = *self.awaited.get_or_insert_with(Instant::now) + SILENCE_MAX;
        match tokio::time::timeout_at(until, self.events.message()).await {
            Ok(Ok(Some(word))) => {
                (self.words, self.awaited) = (self.words + 1, None);
                Ok(word)
            }
            // a node that ends a watch says why
            Ok(Ok(None)) => Err(Failed::Unknown("the watch ended without a word".to_owned())),
            Ok(Err(status)) => Err(Failed::of(&status)),
            Err(_elapsed) => Err(Failed::timed_out(SILENCE_MAX)),
        }
    }
}
