//! Lists that fetch their own pages, counts, and the history of a series.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use kho_proto::error::Code;
use kho_proto::id::{Epoch, NodeId, RecordId, RegimeCode, UnitCode};
use kho_proto::pb::v1 as pb;
use kho_proto::period::Period;

use crate::ask::{NoAnswer, ReadError};
use crate::client::Client;
use crate::entry::Entry;
use crate::filter::{Filter, Order};
use crate::held::{Answer, Floor};
use crate::nodes::{Node, Store};

/// A list to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Which records.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Entries that are fetched at once; 0: as many as the node finds good.
    pub page_size: u32,
    /// Takes the state of whichever node answers, however old it is ([`Fresh::age`]).
    pub stale: bool,
}

/// Which series a history is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesOf {
    /// That of this record.
    Record(RecordId),
    /// By its names.
    Names {
        /// Who reports.
        unit: UnitCode,
        /// Under which regime.
        regime: RegimeCode,
        /// For when.
        period: Period,
        /// On which subject; may be empty.
        series: String,
    },
}

/// How new an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    /// It holds everything that was acknowledged before the call.
    pub linearizable: bool,
    /// Of a stale answer: how long ago the node had surely caught up with its leader; none: it has heard of no leader since
    /// it started.
    pub age: Option<Duration>,
    /// Leaves of the log that it reflects.
    pub size: u64,
    /// Who answered.
    pub node: NodeId,
}

impl Fresh {
    pub(crate) fn of(freshness: Option<pb::Freshness>, size: u64, node_id: u64) -> Self {
        let freshness = freshness.unwrap_or_default();
        let age = freshness.age_ms.map(Duration::from_millis);
        Self { linearizable: freshness.linearizable, age, size, node: NodeId(node_id) }
    }

    /// Holds it against what was signed before the question, where it is linearizable.
    pub(crate) async fn held(self, client: &Client, floor: &Floor, epoch: u64, node: &Node) -> Result<Self, ReadError> {
        if self.linearizable {
            let answer = Answer { address: &node.address, node: self.node, epoch: Some(Epoch(epoch)), size: self.size };
            client.reflects(floor, &answer, node).await?;
        }
        Ok(self)
    }
}

/// A number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// How new the answer is.
    pub fresh: Fresh,
}

/// What a [`Listing`] asks for.
enum Pages {
    List(pb::ListRequest),
    History(pb::HistoryRequest),
}

/// A list under way: entries come one by one, pages are fetched when they are needed, from any node. All of it is of the
/// moment of its first page.
pub struct Listing {
    client: Client,
    pages: Pages,
    entries: VecDeque<Entry>,
    fresh: Option<Fresh>,
    over: bool,
}

impl Listing {
    fn new(client: &Client, pages: Pages) -> Self {
        Self { client: client.clone(), pages, entries: VecDeque::new(), fresh: None, over: false }
    }

    /// The next entry; none at the end. After an error the same entry can be asked for again. Cancel safe, in the same way.
    pub async fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        while self.entries.is_empty() && !self.over {
            self.fetch().await?;
        }
        Ok(self.entries.pop_front())
    }

    /// All that is left.
    pub async fn all(mut self) -> Result<Vec<Entry>, ReadError> {
        let mut all = Vec::new();
        while let Some(entry) = self.next().await? {
            all.push(entry);
        }
        Ok(all)
    }

    /// How new the list is; none before the first page.
    pub fn fresh(&self) -> Option<Fresh> {
        self.fresh
    }

    /// As a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Entry, ReadError>> + Send {
        futures::stream::unfold(Some(self), |listing| async move {
            let mut listing = listing?;
            match listing.next().await {
                Ok(entry) => entry.map(|entry| (Ok(entry), Some(listing))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn fetch(&mut self) -> Result<(), ReadError> {
        let client = self.client.clone();
        // later pages are of the moment of the first
        let floor = if self.fresh.is_none() { client.receipts().held().floor() } else { Floor::default() };
        let (entries, next, fresh, address) = match &self.pages {
            Pages::List(request) => {
                let ask = |mut store: Store, request| async move { store.list(request).await };
                let (page, node): (pb::ListResponse, _) = client.ask(request.clone(), ask).await?;
                let fresh =
                    Fresh::of(page.freshness, page.size, page.node_id).held(&client, &floor, page.epoch, node).await?;
                (page.entries, page.next_page_token, fresh, &node.address)
            }
            Pages::History(request) => {
                let ask = |mut store: Store, request| async move { store.history(request).await };
                let answer = client.ask(request.clone(), ask).await;
                let (page, node): (pb::HistoryResponse, _) = match answer {
                    Ok(answer) => answer,
                    Err(none) if request.stale => return Err(none.into()),
                    Err(none) => return Err(client.held_unknown(&floor, none).await),
                };
                let fresh =
                    Fresh::of(page.freshness, page.size, page.node_id).held(&client, &floor, page.epoch, node).await?;
                (page.revisions, page.next_page_token, fresh, &node.address)
            }
        };
        let entries = entries.into_iter().map(|entry| Entry::of(entry, address)).collect::<Result<VecDeque<_>, _>>()?;
        self.entries = entries;
        self.fresh = Some(fresh);
        self.over = next.is_empty();
        self.go_on(next);
        Ok(())
    }

    fn go_on(&mut self, token: Bytes) {
        match &mut self.pages {
            Pages::List(request) => request.page_token = token,
            Pages::History(request) => request.page_token = token,
        }
    }
}

impl Client {
    /// Records that the client's certificate lets it see, page by page.
    ///
    /// ```no_run
    /// use kho_client::{Client, Filter, WatchFrom, ListQuery, Order, SeriesOf, StateFilter};
    ///
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let filter = Filter { unit: Some("BYT".parse()?), state: StateFilter::Latest, ..Filter::default() };
    /// let mut listing = client.list(ListQuery { filter: filter.clone(), ..ListQuery::default() });
    /// while let Some(entry) = listing.next().await? {
    ///     println!("{} {}", entry.sequence, entry.record_id);
    ///     for revision in client.history(SeriesOf::Record(entry.record_id), Order::Oldest, false).all().await? {
    ///         println!("  {}", revision.record_id);
    ///     }
    /// }
    /// println!("{} of them", client.count(&filter, false).await?.count);
    /// let mut watching = client.watch(&filter, WatchFrom::Now).await?;
    /// loop {
    ///     let entry = watching.record().await?;
    ///     println!("{} came; go on from {:?}", entry.record_id, watching.position());
    /// }
    /// # }
    /// ```
    pub fn list(&self, query: ListQuery) -> Listing {
        let request = pb::ListRequest {
            filter: Some(query.filter.to_pb()),
            order: query.order.to_pb(),
            page_size: query.page_size,
            page_token: Bytes::new(),
            stale: query.stale,
        };
        Listing::new(self, Pages::List(request))
    }

    /// The revisions of a series. [`Order::Newest`] or [`Order::Oldest`].
    pub fn history(&self, of: SeriesOf, order: Order, stale: bool) -> Listing {
        let of = match of {
            SeriesOf::Record(id) => pb::history_request::Of::RecordId(Bytes::copy_from_slice(id.as_ref())),
            SeriesOf::Names { unit, regime, period, series } => pb::history_request::Of::Series(pb::SeriesKey {
                unit: unit.to_string(),
                regime: regime.to_string(),
                period: period.to_string(),
                series,
            }),
        };
        let request = pb::HistoryRequest { of: Some(of), order: order.to_pb(), stale, ..Default::default() };
        Listing::new(self, Pages::History(request))
    }

    /// A linearizable `record-unknown` says how much of the log it reflects, too.
    async fn held_unknown(&self, floor: &Floor, none: NoAnswer<'_>) -> ReadError {
        if let NoAnswer::Refused(refusal, node) = &none
            && let Some(size) = refusal.log_size.filter(|_| refusal.code == Code::RecordUnknown)
        {
            let answer = Answer { address: &node.address, node: node.id(), epoch: None, size };
            if let Err(breach) = self.reflects(floor, &answer, node).await {
                return breach.into();
            }
        }
        none.into()
    }

    /// How many records a list would have.
    pub async fn count(&self, filter: &Filter, stale: bool) -> Result<Count, ReadError> {
        let mut request = pb::CountRequest { filter: Some(filter.to_pb()), page_token: Bytes::new(), stale };
        let (mut count, mut floor) = (0, self.receipts().held().floor());
        loop {
            let ask = |mut store: Store, request| async move { store.count(request).await };
            let (part, node): (pb::CountResponse, _) = self.ask(request.clone(), ask).await?;
            count += part.count;
            // later parts are of the moment of the first
            let floor = std::mem::take(&mut floor);
            let fresh = Fresh::of(part.freshness, part.size, part.node_id).held(self, &floor, part.epoch, node).await?;
            if part.next_page_token.is_empty() {
                return Ok(Count { count, fresh });
            }
            request.page_token = part.next_page_token;
        }
    }
}
