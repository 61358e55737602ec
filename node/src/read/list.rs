//! Lists and counts: one bounded step of each, and where to go on.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use kho_ledger::select::{self, Budget, Candidate, Cursor, Look, Order, Query};
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::{self as pb, Freshness, RecordEntry};
use prost::Message;

use super::caller::Caller;
use super::entry::Entries;
use super::filter::Filter;
use super::moment::Opened;
use super::open::Error;
use super::page::{Call, Page, Place, binding};
use super::{Keyed, Reader};
use crate::identity::Identity;
use crate::write::Deadline;

/// Entries of a page if the caller does not say.
pub const PAGE_ENTRIES_DEFAULT: u32 = 100;
/// Entries of a page, at most.
pub const PAGE_ENTRIES_MAX: u32 = 1_000;
/// Bytes of a page's entries, at most (and one entry): a client's message is at most 6 MiB.
pub const PAGE_BYTES_MAX: usize = 1 << 20;

/// A page of a list, or the revisions of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The records.
    pub entries: Vec<RecordEntry>,
    /// Where to go on; empty: that was all.
    pub next: Bytes,
    /// Leaves of the log that the whole list reflects.
    pub size: u64,
    /// How new it is.
    pub freshness: Freshness,
}

/// A part of a count.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Of this part.
    pub count: u64,
    /// Where to go on; empty: that was all.
    pub next: Bytes,
    /// Leaves of the log that the whole count reflects.
    pub size: u64,
    /// How new it is.
    pub freshness: Freshness,
}

/// How many entries a page may have.
pub(super) fn page_size(asked: u32) -> Result<usize, Refusal> {
    match asked {
        0 => Ok(PAGE_ENTRIES_DEFAULT as usize),
        1..=PAGE_ENTRIES_MAX => Ok(asked as usize),
        more => {
            let refusal = Refusal::new(Code::RequestMalformed, "page_size is too large");
            Err(refusal.expected_found(format!("at most {PAGE_ENTRIES_MAX}"), more.to_string()))
        }
    }
}

fn order(request: &pb::ListRequest, filter: &Filter) -> Result<Order, Refusal> {
    let wrong = |message, expected: &str, found: String| {
        Err(Refusal::new(Code::RequestMalformed, message).expected_found(expected, found))
    };
    match pb::Order::try_from(request.order) {
        Ok(pb::Order::Newest) => Ok(Order::Newest),
        Ok(pb::Order::Oldest) => Ok(Order::Oldest),
        Ok(pb::Order::Period | pb::Order::PeriodDescending) if !filter.has_side_and_regime() => {
            wrong("the index is by unit and regime", "a regime, and a unit or a receiver", "less".to_owned())
        }
        Ok(pb::Order::Period) => Ok(Order::Index),
        Ok(pb::Order::PeriodDescending) => Ok(Order::IndexDescending),
        Err(_) => wrong("the order is none", "NEWEST, OLDEST, PERIOD or PERIOD_DESCENDING", request.order.to_string()),
    }
}

/// A checked question, and where it goes on.
struct Question {
    caller: Caller,
    filter: Filter,
    order: Order,
    page: Option<Page>,
    binding: kho_proto::digest::Digest,
}

impl Reader {
    fn admit(&self, keyed: &Keyed, token: &[u8], binding: kho_proto::digest::Digest) -> Result<Option<Page>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        Page::admit(&keyed.pages, token, binding, self.clock.now()).map(Some)
    }

    /// A page of the records that the caller sees and `request` asks for.
    pub async fn list(
        &self,
        identity: &Identity,
        request: pb::ListRequest,
        deadline: Deadline,
    ) -> Result<Listed, Refusal> {
        let keyed = self.keyed()?;
        let caller = Caller::of(identity)?;
        let asked = request.filter.clone().unwrap_or_default();
        let filter = Filter::of(&asked, &caller)?;
        let order = order(&request, &filter)?;
        let most = page_size(request.page_size)?;
        let bound = pb::ListRequest { filter: Some(asked), order: request.order, ..Default::default() };
        let binding = binding(Call::List, &bound.encode_to_vec(), &caller.written());
        let page = self.admit(keyed, &request.page_token, binding)?;
        let start = self.start(page.as_ref(), request.stale, deadline).await?;
        let question = Question { caller, filter, order, page, binding };
        let keyed = Arc::clone(keyed);
        let work = move |budget: &mut Budget<'_>| question.list(&keyed, start.open()?, most, budget);
        self.scans.run(identity.certificate(), deadline, work).await
    }

    /// How many records the caller sees that `request` asks for, as far as one step goes.
    pub async fn count(
        &self,
        identity: &Identity,
        request: pb::CountRequest,
        deadline: Deadline,
    ) -> Result<Counted, Refusal> {
        let keyed = self.keyed()?;
        let caller = Caller::of(identity)?;
        let asked = request.filter.clone().unwrap_or_default();
        let filter = Filter::of(&asked, &caller)?;
        let binding = binding(Call::Count, &asked.encode_to_vec(), &caller.written());
        let page = self.admit(keyed, &request.page_token, binding)?;
        let start = self.start(page.as_ref(), request.stale, deadline).await?;
        let question = Question { caller, filter, order: Order::Oldest, page, binding };
        let keyed = Arc::clone(keyed);
        let work = move |budget: &mut Budget<'_>| question.count(&keyed, start.open()?, budget);
        self.scans.run(identity.certificate(), deadline, work).await
    }
}

impl Question {
    fn query(&self, keyed: &Keyed, start: &Opened) -> Result<Query, Refusal> {
        let tokens = keyed.opener.tokens();
        let query = self.filter.query(&start.view, &self.caller, tokens, start.moment.size, self.order);
        query.map_err(|error| Error::from(error).into())
    }

    fn after(&self) -> Option<&Cursor> {
        match &self.page.as_ref()?.place {
            Place::Cursor(cursor) => Some(cursor),
            // never of this call: the binding says so
            Place::Revision(_) | Place::Names(_) | Place::Inside(_) => None,
        }
    }

    fn next(&self, keyed: &Keyed, start: &Opened, cursor: Option<Cursor>) -> Bytes {
        let Some(cursor) = cursor else { return Bytes::new() };
        let page = Page { moment: start.moment, binding: self.binding, place: Place::Cursor(cursor) };
        page.encode(&keyed.pages)
    }

    fn entries<'a>(&'a self, keyed: &'a Keyed, start: &'a Opened) -> Entries<'a> {
        Entries { view: &start.view, opener: &keyed.opener, caller: &self.caller, filter: &self.filter }
    }

    fn list(self, keyed: &Keyed, start: Opened, most: usize, budget: &mut Budget<'_>) -> Result<Listed, Refusal> {
        let query = self.query(keyed, &start)?;
        let looked = self.entries(keyed, &start);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut visit = |candidate: Candidate, budget: &mut Budget<'_>| {
            if let Some(entry) = looked.entry(&candidate, query.size, budget)? {
                bytes += entry.encoded_len();
                entries.push(entry);
            }
            let full = entries.len() >= most || bytes >= PAGE_BYTES_MAX;
            Ok::<_, Stop>(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let next = select::select(&start.view, &query, self.after(), budget, &mut visit)?;
        let next = self.next(keyed, &start, next);
        Ok(Listed { entries, next, size: start.moment.size, freshness: start.freshness })
    }

    fn count(self, keyed: &Keyed, start: Opened, budget: &mut Budget<'_>) -> Result<Counted, Refusal> {
        let query = self.query(keyed, &start)?;
        let looked = self.entries(keyed, &start);
        let mut accept = |candidate: Candidate, budget: &mut Budget<'_>| Ok(looked.takes(&candidate, budget)?);
        let rows_say_all = !self.filter.looks_beyond_rows();
        let accept: Option<&mut Look<'_, bool, Stop>> = if rows_say_all { None } else { Some(&mut accept) };
        let (count, next) = select::count(&start.view, &query, self.after(), budget, accept)?;
        let next = self.next(keyed, &start, next);
        Ok(Counted { count, next, size: start.moment.size, freshness: start.freshness })
    }
}

/// Why a step ended early.
pub(super) struct Stop(pub(super) Refusal);

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<kho_ledger::ReadError> for Stop {
    fn from(error: kho_ledger::ReadError) -> Self {
        Self(Error::from(error).into())
    }
}

impl From<Stop> for Refusal {
    fn from(Stop(refusal): Stop) -> Self {
        refusal
    }
}
