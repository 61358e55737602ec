//! Finds the entries among leaves that were not looked at yet.

use std::ops::ControlFlow;
use std::sync::Arc;

use kho_catalogue::{Entry, Kind, Version};
use kho_ledger::row::RecordRow;
use kho_ledger::select::{self, Audience, Budget, Candidate, Order, Periods, Query, State};
use kho_ledger::{ReadError, View};
use kho_proto::error::Refusal;
use kho_proto::id::{KeyId, RecordId, Seq};
use kho_proto::leaf::{Leaf, LeafKind};

use super::metric_definitions::{ENTRIES, UNREADABLE};
use super::{Follower, KEYS_REMEMBERED_MAX, Known, LEAVES_MAX};
use crate::read::OpenError;

/// Rows that a look at the index passes, at most: far more than there are entries.
const WORK_MAX: u64 = u64::MAX;

struct Stop(Refusal);

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self(OpenError::from(error).into())
    }
}

impl Follower {
    /// Puts what the state has and the memory has not into memory.
    pub(super) fn look(&self) -> Result<(), Refusal> {
        let (view, tip) = self.state.read();
        let (known, size) = (self.known.read().clone(), tip.size());
        // a state that was taken back to a smaller size is read anew
        let known = if known.size > size { Known { catalogue: Arc::default(), size: 0 } } else { known };
        let found = if size - known.size <= LEAVES_MAX && known.size > 0 {
            self.among_leaves(&view, known.size..size)?
        } else {
            self.in_index(&view, known.size..size)?
        };
        let mut versions = Vec::new();
        for (id, row) in found {
            versions.extend(self.version(&view, id, &row)?);
        }
        let mut now = self.known.write();
        let mut catalogue = known.catalogue;
        if !versions.is_empty() {
            let into = Arc::make_mut(&mut catalogue);
            versions.into_iter().for_each(|version| into.insert(version));
            for kind in Kind::ALL {
                let entries: usize = catalogue.codes(kind, None).map(|code| catalogue.versions(kind, code).len()).sum();
                metrics::gauge!(ENTRIES, "kind" => kind.as_str()).set(entries as f64);
            }
        }
        *now = Known { catalogue, size };
        Ok(())
    }

    fn is_entry_row(&self, row: &RecordRow) -> bool {
        row.unit_token == self.tokens.unit && self.tokens.regimes.contains(&row.regime_token)
    }

    /// Of few new leaves: a leaf under another unit's data key is passed without a look at its record.
    fn among_leaves(
        &self,
        view: &dyn View,
        leaves: std::ops::Range<u64>,
    ) -> Result<Vec<(RecordId, RecordRow)>, Refusal> {
        let mut found = Vec::new();
        for seq in leaves {
            let leaf: Option<Leaf> = kho_ledger::leaf(view, Seq(seq)).map_err(OpenError::from)?;
            let Some(leaf) = leaf.filter(|leaf| leaf.kind == LeafKind::Record) else { continue };
            if !self.is_own_key(view, leaf.key_id)? {
                continue;
            }
            let row = kho_ledger::record_row(view, &leaf.record_id).map_err(OpenError::from)?;
            found.extend(row.filter(|row| self.is_entry_row(row)).map(|row| (leaf.record_id, row)));
        }
        Ok(found)
    }

    fn is_own_key(&self, view: &dyn View, key: KeyId) -> Result<bool, Refusal> {
        if let Some(own) = self.keys.lock().get(&key) {
            return Ok(*own);
        }
        let owner = kho_ledger::read::key_owner(view, &key).map_err(OpenError::from)?;
        let own = owner.is_some_and(|owner| owner.unit_token == self.tokens.unit);
        let mut keys = self.keys.lock();
        if keys.len() >= KEYS_REMEMBERED_MAX {
            keys.clear();
        }
        keys.insert(key, own);
        Ok(own)
    }

    fn in_index(&self, view: &dyn View, leaves: std::ops::Range<u64>) -> Result<Vec<(RecordId, RecordRow)>, Refusal> {
        let mut found = Vec::new();
        for regime in self.tokens.regimes {
            let query = Query {
                size: leaves.end,
                sequences: leaves.clone(),
                audience: Audience::All,
                unit: Some(self.tokens.unit),
                receiver: None,
                regime: Some(regime),
                periods: Periods::Any,
                state: State::Any,
                order: Order::Index,
            };
            let mut visit = |candidate: Candidate, _: &mut Budget<'_>| {
                found.push((candidate.leaf.record_id, candidate.row));
                Ok::<_, Stop>(ControlFlow::Continue(()))
            };
            let mut budget = Budget::new(WORK_MAX, || false);
            select::select(view, &query, None, &mut budget, &mut visit).map_err(|Stop(refusal)| refusal)?;
        }
        Ok(found)
    }

    /// What a record of the catalogue says. One that breaks a rule counts for nothing, on every node alike: it was taken by a
    /// build with other rules.
    fn version(&self, view: &dyn View, id: RecordId, row: &RecordRow) -> Result<Option<Version>, Refusal> {
        let opened = self.opener.open(view, id, row)?;
        let read = Entry::of_record(&opened.header, &opened.record.payload);
        let entry = match read {
            Ok(entry) if opened.header.unit == self.unit => entry,
            Ok(_) => return Err(OpenError::Rows { id }.into()),
            Err(errors) => {
                metrics::counter!(UNREADABLE).increment(1);
                tracing::error!(record = %id, first = ?errors.kept().first(), "an entry of the catalogue can't be read");
                return Ok(None);
            }
        };
        let Ok(effective_from) = entry.effective_from().parse() else { return Ok(None) };
        Ok(Some(Version {
            effective_from,
            seq: row.seq,
            record_id: id,
            revision: row.revision,
            document: opened.record.payload,
            entry: Arc::new(entry),
        }))
    }
}
