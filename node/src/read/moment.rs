//! Of which moment an answer is: the newest, or that of a list's first page.

use std::sync::Arc;

use kho_ledger::Tip;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::v1::Freshness;

use super::page::{Moment, Page};
use super::{Keyed, Reader, keys_missing};
use crate::consensus::{Consensus, StateStore, StateView};
use crate::mutants::Mutant;
use crate::seams::Clock;
use crate::write::Deadline;

/// A state that an answer is made of.
pub(super) struct Opened {
    pub(super) view: StateView,
    pub(super) moment: Moment,
    pub(super) freshness: Freshness,
}

impl Reader {
    pub(super) fn keyed(&self) -> Result<&Arc<Keyed>, Refusal> {
        self.keyed.as_ref().ok_or_else(keys_missing)
    }

    /// Where a list begins, or goes on: then at the size that it began with, which each node comes to hold.
    pub(super) async fn start(&self, page: Option<&Page>, stale: bool, deadline: Deadline) -> Result<Start, Refusal> {
        let behind = page.is_some_and(|page| self.state.tip().size() < page.moment.size);
        if behind || (page.is_none() && !stale && !Mutant::ReadWithoutBarrier.planted()) {
            self.barrier.pass(deadline).await?;
        }
        Ok(Start {
            consensus: self.consensus.clone(),
            state: self.state.clone(),
            clock: self.clock.clone(),
            of: page.map(|page| page.moment),
            stale,
        })
    }
}

/// What may be read from now on. The state is opened when it is read: whoever waits for its turn must not hold on to rows
/// that the store wants to drop.
pub(super) struct Start {
    consensus: Consensus,
    state: StateStore,
    clock: Arc<dyn Clock>,
    of: Option<Moment>,
    stale: bool,
}

impl Start {
    pub(super) fn open(self) -> Result<Opened, Refusal> {
        // asked before the state is read: what is applied meanwhile makes the answer younger than it says
        let age = self.consensus.age();
        let (view, tip, applied) = self.state.read_at();
        let age_ms = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let now = self.clock.now();
        let stale = self.stale;
        let moment = self.of.unwrap_or_else(|| Moment {
            begun_at: now,
            size: tip.size(),
            linearizable: !stale,
            age_ms: age_ms.filter(|_| stale),
        });
        check_holds(&tip, &moment)?;
        let since = now.0.saturating_sub(moment.begun_at.0);
        let freshness = Freshness {
            linearizable: moment.linearizable,
            age_ms: moment.age_ms.map(|age| age.saturating_add(since)),
            applied: applied.0,
        };
        Ok(Opened { view, moment, freshness })
    }
}

/// A log that was rewound no longer holds what a list was begun with.
fn check_holds(tip: &Tip, moment: &Moment) -> Result<(), Refusal> {
    if tip.size() >= moment.size {
        return Ok(());
    }
    let refusal = Refusal::new(Code::PageTokenExpired, "the log is shorter than when the list was begun");
    Err(refusal.expected_found(format!("at least {} leaves", moment.size), tip.size().to_string()))
}
