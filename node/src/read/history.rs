//! The revisions of one series.

use std::ops::ControlFlow;
use std::sync::Arc;

use kho_ledger::row::{RecordRow, SeriesRow};
use kho_ledger::select::{Budget, Candidate, ROW_WORK, revisions};
use kho_ledger::{Direction, View};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal, excerpt};
use kho_proto::header::SERIES_LENGTH_MAX;
use kho_proto::id::{RecordId, Token};
use kho_proto::pb::v1 as pb;
use kho_proto::tokens::TokenKey;
use prost::Message;

use super::caller::Caller;
use super::entry::Entries;
use super::filter::Filter;
use super::list::{Listed, PAGE_BYTES_MAX, Stop, page_size};
use super::moment::Opened;
use super::open::Error;
use super::page::{Call, Page, Place, binding};
use super::{Keyed, Reader};
use crate::identity::{Identity, Role};
use crate::write::Deadline;

/// Which series.
enum Of {
    Record(RecordId),
    Series(Token),
}

fn wrong(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, format!("{field} breaks its rule")).expected_found(expected, found)
}

fn of(request: &pb::HistoryRequest, tokens: &TokenKey) -> Result<Of, Refusal> {
    match &request.of {
        None => Err(wrong("the request", "a record id or a series", "neither")),
        Some(pb::history_request::Of::RecordId(id)) => {
            let id = RecordId::try_from(id.as_ref());
            id.map(Of::Record).map_err(|error| wrong("record_id", "16 bytes", format!("{} bytes", error.found)))
        }
        Some(pb::history_request::Of::Series(key)) => {
            let rule = "1 to 32 of A-Z a-z 0-9 . _ - starting with a letter or digit";
            let unit = key.unit.parse().map_err(|_| wrong("series.unit", rule, excerpt(&key.unit)))?;
            let regime = key.regime.parse().map_err(|_| wrong("series.regime", rule, excerpt(&key.regime)))?;
            let period = key.period.parse().map_err(|error: kho_proto::period::Error| {
                Refusal::new(error.code(), format!("series.period: {error}"))
                    .expected_found("a period of the grammar", excerpt(&key.period))
            })?;
            if key.series.len() > SERIES_LENGTH_MAX {
                let found = format!("{} bytes", key.series.len());
                return Err(wrong("series.series", format!("at most {SERIES_LENGTH_MAX} bytes"), found));
            }
            Ok(Of::Series(tokens.series(&unit, &regime, &period, &key.series)))
        }
    }
}

/// The same whether nothing is there or nothing that the caller may see.
fn unknown(size: u64) -> Refusal {
    let refusal =
        Refusal::new(Code::RecordUnknown, "no record of this series that the connection's units sent or receive");
    Refusal { log_size: Some(size), ..refusal.expected_found("a series with such a record", "none") }
}

struct Question {
    caller: Caller,
    of: Of,
    direction: Direction,
    after: Option<u32>,
    binding: Digest,
}

impl Reader {
    /// The revisions of a series that the caller sees.
    pub async fn history(
        &self,
        identity: &Identity,
        request: pb::HistoryRequest,
        deadline: Deadline,
    ) -> Result<Listed, Refusal> {
        let keyed = self.keyed()?;
        identity.party()?.require(&[Role::Reader])?;
        let caller = Caller::of(identity)?;
        let of = of(&request, keyed.opener.tokens())?;
        let direction = match pb::Order::try_from(request.order) {
            Ok(pb::Order::Newest) => Direction::Backward,
            Ok(pb::Order::Oldest) => Direction::Forward,
            _ => return Err(wrong("order", "NEWEST or OLDEST", request.order.to_string())),
        };
        let most = page_size(request.page_size)?;
        let bound = pb::HistoryRequest { of: request.of.clone(), order: request.order, ..Default::default() };
        let binding = binding(Call::History, &bound.encode_to_vec(), &caller.written());
        let page = match &request.page_token[..] {
            [] => None,
            token => Some(Page::admit(&keyed.pages, token, binding, self.clock.now())?),
        };
        let start = self.start(page.as_ref(), request.stale, deadline).await?;
        let after = page.and_then(|page| match page.place {
            Place::Revision(after) => Some(after),
            // never of this call: the binding says so
            Place::Cursor(_) | Place::Names(_) | Place::Inside(_) => None,
        });
        let question = Question { caller, of, direction, after, binding };
        let keyed = Arc::clone(keyed);
        let work = move |budget: &mut Budget<'_>| question.answer(&keyed, start.open()?, most, budget);
        self.scans.run(identity.certificate(), deadline, work).await
    }
}

impl Question {
    /// The series, if the caller sees the record that stands for it.
    fn series(&self, view: &dyn View, keyed: &Keyed, size: u64) -> Result<Option<Token>, Refusal> {
        let id = match &self.of {
            Of::Series(token) => return Ok(Some(*token)),
            Of::Record(id) => id,
        };
        let row: Option<RecordRow> = kho_ledger::record_row(view, id).map_err(Error::from)?;
        let audience = self.caller.audience(keyed.opener.tokens());
        Ok(row.filter(|row| row.seq.0 < size && audience.sees(row)).map(|row| row.series_token))
    }

    fn candidate(view: &dyn View, revision: &SeriesRow) -> Result<Candidate, Refusal> {
        let missing = |what| Error::Missing { id: revision.record_id, what };
        let leaf = kho_ledger::leaf(view, revision.seq).map_err(Error::from)?.ok_or_else(|| missing("leaf"))?;
        let row = kho_ledger::record_row(view, &revision.record_id).map_err(Error::from)?;
        Ok(Candidate { leaf, row: row.ok_or_else(|| missing("row"))? })
    }

    fn answer(self, keyed: &Keyed, start: Opened, most: usize, budget: &mut Budget<'_>) -> Result<Listed, Refusal> {
        let (view, size) = (&start.view, start.moment.size);
        let Some(series) = self.series(view, keyed, size)? else { return Err(unknown(size)) };
        let filter = Filter::of(&pb::Filter::default(), &self.caller)?;
        let looked = Entries { view, opener: &keyed.opener, caller: &self.caller, filter: &filter };
        let audience = self.caller.audience(keyed.opener.tokens());
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
        revisions::<Stop>(view, &series, size, self.direction, self.after, &mut |revision| {
            budget.spend(2 * ROW_WORK);
            let candidate = Self::candidate(view, &revision)?;
            if audience.sees(&candidate.row)
                && let Some(entry) = looked.entry(&candidate, size, budget)?
            {
                bytes += pb::RecordEntry::encoded_len(&entry);
                entries.push(entry);
            }
            let full = entries.len() >= most || bytes >= PAGE_BYTES_MAX || budget.over();
            if !full {
                return Ok(ControlFlow::Continue(()));
            }
            last = Some(revision.revision);
            Ok(ControlFlow::Break(()))
        })?;
        // Of a series that was only named nothing is known yet, not even that it exists: an empty page to go on from would
        // tell it, and how many revisions others have. (Of a record that the caller sees, it is no secret.)
        let named = matches!(self.of, Of::Series(_));
        if entries.is_empty() && self.after.is_none() && (named || last.is_none()) {
            return Err(unknown(size));
        }
        let next = last.map(|revision| {
            let place = Place::Revision(revision);
            Page { moment: start.moment, binding: self.binding, place }.encode(&keyed.pages)
        });
        Ok(Listed { entries, next: next.unwrap_or_default(), size, freshness: start.freshness })
    }
}
