//! Statistics: what the catalogue expects against what stands in the log (R-D5).
//!
//! Nothing is counted beforehand and nothing is written down. A step walks the duties, which are pairs of a regime and a unit
//! that reports under it, in the order of their codes; for each it walks the keys of the index beside the periods that are
//! expected. Accepted-at never goes back, so that a deadline is a sequence number, and a key says whether a report was on time.
//! Only where a unit sent more than one record for a period are rows looked up: which of them are corrections. A step may end
//! anywhere, also among these.

mod ask;
mod cells;
mod left_out;
mod place;
mod tally;

use bytes::Bytes;
use kho_ledger::View;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Seq, UnixMs};
use kho_proto::pb::v1::{self as pb, Freshness, StatsRow};

use super::page::Page;
use super::{OpenError, Reader};
use crate::identity::Identity;
use crate::write::Deadline;
use ask::Question;
pub use left_out::LeftOut;
use place::Last;

/// Rows of a page if the caller does not say.
pub const STATS_ROWS_DEFAULT: u32 = 1_000;
/// Rows of a page, at most: about 100 bytes each.
pub const STATS_ROWS_MAX: u32 = 5_000;
/// Years that one question may be about: what a daily regime expects of a unit in them is counted in one go.
pub const STATS_YEARS_MAX: i64 = 20;

/// A part of statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct Tallied {
    /// Rows of this part.
    pub rows: Vec<StatsRow>,
    /// Where to go on; empty: that was all.
    pub next: Bytes,
    /// What was taken for now.
    pub as_of: String,
    /// Leaves of the log that all parts reflect.
    pub size: u64,
    /// How new it is.
    pub freshness: Freshness,
    /// What no row counts; in the first part.
    pub left_out: LeftOut,
}

impl Reader {
    /// Statistics of the units and regimes that the caller may ask about, as far as one step goes.
    pub async fn stats(
        &self,
        identity: &Identity,
        request: pb::StatsRequest,
        deadline: Deadline,
    ) -> Result<Tallied, Refusal> {
        let keyed = self.keyed()?;
        let question = Question::of(identity, request, self.clock.now())?;
        let page = match &question.page_token[..] {
            [] => None,
            token => Some(Page::admit(&keyed.pages, token, question.binding, self.clock.now())?),
        };
        let follower = self.follower()?;
        // its size first: the catalogue must know all that stands before it
        let start = self.start(page.as_ref(), question.stale, deadline).await?.open()?;
        let known = follower.known().await?;
        let first = page.is_none();
        let after = page.as_ref().map(|page| Last::of(&page.place).ok_or_else(foreign)).transpose()?;
        let keyed = keyed.clone();
        let done = self.scans.run(identity.certificate(), deadline, move |budget| {
            let moment = start.moment;
            let as_of = match question.as_of {
                Some(as_of) => as_of,
                None => now(&start.view, moment.size, moment.begun_at)?,
            };
            let tally = tally::Tally {
                view: &start.view,
                tokens: keyed.opener.tokens(),
                catalogue: &known.catalogue,
                question: &question,
                size: moment.size,
                as_of,
            };
            let left_out = if first { tally.left_out(&keyed.opener, budget)? } else { LeftOut::default() };
            let (rows, last) = tally.run(after, budget)?;
            let next =
                last.map(|last| Page { moment, binding: question.binding, place: last.place() }.encode(&keyed.pages));
            let as_of = kho_proto::header::SubmittedAt::from_unix_ms(as_of).to_string();
            let next = next.unwrap_or_default();
            Ok(Tallied { rows, next, as_of, size: moment.size, freshness: start.freshness, left_out })
        });
        done.await
    }
}

/// A place that no step of statistics has made.
fn foreign() -> Refusal {
    Refusal::new(Code::PageTokenInvalid, "the page token names no place of statistics")
}

/// What stands for now: this node's clock, or the moment after the newest record's acceptance, which was another node's. All of
/// the log counts.
fn now(view: &dyn View, size: u64, clock: UnixMs) -> Result<UnixMs, Refusal> {
    let Some(last) = size.checked_sub(1) else { return Ok(clock) };
    let leaf = kho_ledger::leaf(view, Seq(last)).map_err(OpenError::from)?;
    Ok(leaf.map_or(clock, |leaf| UnixMs(clock.0.max(leaf.accepted_at.0.saturating_add(1)))))
}
