//! A record in a list: what its header says, without its content.

use bytes::Bytes;
use kho_ledger::View;
use kho_ledger::select::{Budget, Candidate, ROW_WORK, superseded};
use kho_proto::error::Refusal;
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::pb::v1::{RecordEntry, RecordState};

use super::caller::Caller;
use super::filter::Filter;
use super::open::{Error, Opener};
use super::scans::{BYTES_PER_WORK, HEAD_WORK};

/// Looks at the records that rows let through.
pub(super) struct Entries<'a> {
    pub(super) view: &'a dyn View,
    pub(super) opener: &'a Opener,
    pub(super) caller: &'a Caller,
    pub(super) filter: &'a Filter,
}

impl Entries<'_> {
    /// The entry of a record, if it is one of those asked for. Its state is as of `size`.
    pub(super) fn entry(
        &self,
        candidate: &Candidate,
        size: u64,
        budget: &mut Budget<'_>,
    ) -> Result<Option<RecordEntry>, Refusal> {
        if matches!(self.caller, Caller::Auditor) {
            return Ok(Some(evidence(candidate)));
        }
        let Some(header) = self.header(candidate, budget)? else { return Ok(None) };
        budget.spend(ROW_WORK);
        let superseded = superseded(self.view, &candidate.row, size).map_err(Error::from)?;
        Ok(Some(content(candidate, &header, if superseded { RecordState::Superseded } else { RecordState::Latest })))
    }

    /// Whether a record is one of those asked for: opened only if its rows don't say.
    pub(super) fn takes(&self, candidate: &Candidate, budget: &mut Budget<'_>) -> Result<bool, Refusal> {
        if self.filter.needs_head() {
            return Ok(self.header(candidate, budget)?.is_some());
        }
        Ok(self.passes_series(candidate))
    }

    fn passes_series(&self, candidate: &Candidate) -> bool {
        self.filter.series_test(self.opener.tokens()).is_none_or(|test| test(&candidate.row))
    }

    fn header(&self, candidate: &Candidate, budget: &mut Budget<'_>) -> Result<Option<Header>, Refusal> {
        if !self.passes_series(candidate) {
            return Ok(None);
        }
        let (header, read) = self.opener.header(self.view, candidate.row.seq, &candidate.leaf)?;
        budget.spend(HEAD_WORK + read as u64 / BYTES_PER_WORK);
        if !self.caller.sees(&header) || !self.filter.agrees(&header) {
            return Err(Error::Rows { id: candidate.leaf.record_id }.into());
        }
        Ok(Some(header).filter(|header| self.filter.takes(header)))
    }
}

/// What an auditor gets.
fn evidence(candidate: &Candidate) -> RecordEntry {
    let leaf = &candidate.leaf;
    RecordEntry {
        sequence: candidate.row.seq.0,
        record_id: Bytes::copy_from_slice(leaf.record_id.as_ref()),
        accepted_at: SubmittedAt::from_unix_ms(leaf.accepted_at).to_string(),
        leaf: Bytes::copy_from_slice(leaf.encode().as_ref()),
        ..RecordEntry::default()
    }
}

fn content(candidate: &Candidate, header: &Header, state: RecordState) -> RecordEntry {
    let leaf = &candidate.leaf;
    RecordEntry {
        sequence: candidate.row.seq.0,
        record_id: Bytes::copy_from_slice(leaf.record_id.as_ref()),
        accepted_at: SubmittedAt::from_unix_ms(leaf.accepted_at).to_string(),
        unit: header.unit.to_string(),
        regime: header.regime.to_string(),
        period: header.period.to_string(),
        series: header.series.clone(),
        receivers: header.receivers.iter().map(ToString::to_string).collect(),
        submitted_at: header.submitted_at.to_string(),
        revision: candidate.row.revision,
        supersedes: header.supersedes.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_ref())),
        media_type: header.media_type.clone(),
        payload_length: header.payload_length,
        state: state.into(),
        leaf: Bytes::new(),
    }
}
