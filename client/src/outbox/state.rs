//! What the outbox holds, in memory: counts, ids, and which records may be sent now. Pure: no clock, no disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use bytes::Bytes;
use kho_proto::batch::SUBMIT_MANY_RECORDS_MAX;
use kho_proto::error::Code;
use kho_proto::id::RecordId;

use super::limits::{Limits, ROUND_BYTES_MAX, ROUND_RECORDS_MAX};
use super::row::{About, Delivered, Waiting, id};
use super::store::{Change, Loaded, Number};

const _: () = assert!(ROUND_RECORDS_MAX <= SUBMIT_MANY_RECORDS_MAX);

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// It waits for its delivery.
    Queued,
    /// It was refused for good, and waits for somebody.
    Refused,
    /// It is in.
    Delivered,
}

impl Place {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Queued => "queued",
            Place::Refused => "refused",
            Place::Delivered => "delivered",
        }
    }
}

/// A record that waits.
#[derive(Debug)]
pub(super) struct Queued {
    pub row: Waiting,
    /// It is not sent before.
    pub not_before: Option<Instant>,
    /// Since when it is in doubt, as far as this process knows: a clock that nobody sets. None though its row is in doubt:
    /// since before this process, or since a round that was dropped; it counts from the next one.
    pub doubt: Option<Instant>,
    /// It was added again since its round began, as one that somebody else may have sent.
    pub again: bool,
}

/// A record that is in, without its receipt.
#[derive(Debug)]
pub(super) struct Kept {
    pub record_id: RecordId,
    pub header_digest: Bytes,
    pub bytes: u64,
    pub added_ms: u64,
    pub delivered_ms: u64,
    pub sequence: u64,
    pub about: Option<About>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub next: Number,
    pub queue: BTreeMap<Number, Queued>,
    pub refused: BTreeMap<Number, Waiting>,
    pub delivered: BTreeMap<Number, Kept>,
    pub ids: HashMap<RecordId, (Number, Place)>,
    /// Those of the round under way that are not settled. Says something only while somebody delivers: a round that was
    /// dropped leaves it as it was.
    pub under_way: BTreeSet<Number>,
    /// The waiting records of each series.
    series: HashMap<Bytes, BTreeSet<Number>>,
    /// Of those that wait or were refused.
    pub held_bytes: u64,
    pub kept_bytes: u64,
}

/// What can be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be sent, in this order.
    pub send: Vec<Number>,
    /// What they supersede was refused: they can't be taken.
    pub orphans: Vec<Number>,
    /// When to look again.
    pub next: Option<Instant>,
}

impl State {
    pub fn of(loaded: Loaded) -> Result<Self, String> {
        let mut state = Self { next: loaded.next, ..Self::default() };
        for (number, row) in loaded.queue {
            state.change(Change::Wait(number, row))?;
        }
        for (number, row) in loaded.refused {
            state.change(Change::Refuse(number, row))?;
        }
        for (number, row) in loaded.delivered {
            state.change(Change::Deliver(number, row))?;
        }
        Ok(state)
    }

    /// Records that wait or were refused.
    pub fn held(&self) -> u64 {
        (self.queue.len() + self.refused.len()) as u64
    }

    /// A change that is durable.
    pub fn change(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Add(number, row, _) => {
                self.next = self.next.max(number + 1);
                self.wait(number, row)
            }
            Change::Wait(number, row) => self.wait(number, row),
            Change::Refuse(number, row) => {
                self.remove(number);
                self.ids.insert(id(&row.record_id)?, (number, Place::Refused));
                self.held_bytes += row.length;
                self.refused.insert(number, row);
                Ok(())
            }
            Change::Deliver(number, row) => {
                self.remove(number);
                self.deliver(number, row)
            }
            Change::Forget(number) => {
                self.remove(number);
                Ok(())
            }
        }
    }

    fn wait(&mut self, number: Number, row: Waiting) -> Result<(), String> {
        let before = self.queue.get(&number).map(|queued| (queued.not_before, queued.doubt, queued.again));
        let (not_before, doubt, again) = before.unwrap_or_default();
        self.remove(number);
        self.ids.insert(id(&row.record_id)?, (number, Place::Queued));
        self.series.entry(row.series.clone()).or_default().insert(number);
        self.held_bytes += row.length;
        self.queue.insert(number, Queued { row, not_before, doubt, again });
        Ok(())
    }

    fn deliver(&mut self, number: Number, row: Delivered) -> Result<(), String> {
        let record_id = id(&row.record_id)?;
        let bytes = row.bytes();
        let Delivered { header_digest, added_ms, delivered_ms, sequence, about, .. } = row;
        self.ids.insert(record_id, (number, Place::Delivered));
        self.kept_bytes += bytes;
        let kept = Kept { record_id, header_digest, bytes, added_ms, delivered_ms, sequence, about };
        self.delivered.insert(number, kept);
        Ok(())
    }

    /// Wherever it is.
    fn remove(&mut self, number: Number) {
        let (row, record_id) = if let Some(queued) = self.queue.remove(&number) {
            if let Some(series) = self.series.get_mut(&queued.row.series) {
                series.remove(&number);
                if series.is_empty() {
                    self.series.remove(&queued.row.series);
                }
            }
            (Some(queued.row), None)
        } else if let Some(row) = self.refused.remove(&number) {
            (Some(row), None)
        } else if let Some(kept) = self.delivered.remove(&number) {
            self.kept_bytes -= kept.bytes;
            (None, Some(kept.record_id))
        } else {
            (None, None)
        };
        if let Some(row) = &row {
            self.held_bytes -= row.length;
        }
        let record_id = record_id.or_else(|| row.and_then(|row| id(&row.record_id).ok()));
        if let Some(record_id) = record_id {
            self.ids.remove(&record_id);
        }
    }

    /// Whoever adds it again may have sent it: what has to change for that to be remembered.
    pub fn doubted(&self, number: Number, doubt_ms: u64) -> Option<Change> {
        let doubted = |row: &Waiting| Waiting { doubt_ms, ..row.clone() };
        let queued = self.queue.get(&number).map(|queued| &queued.row).filter(|row| row.doubt_ms == 0);
        let refused = || self.refused.get(&number).filter(|row| row.doubt_ms == 0);
        let queued = queued.map(|row| Change::Wait(number, doubted(row)));
        queued.or_else(|| refused().map(|row| Change::Refuse(number, doubted(row))))
    }

    fn place_of(&self, record_id: &[u8]) -> Option<(Number, Place)> {
        self.ids.get(&id(record_id).ok()?).copied()
    }

    /// Of a series, the record that was added first.
    pub fn first_of(&self, series: &Bytes) -> Option<Number> {
        self.series.get(series).and_then(BTreeSet::first).copied()
    }

    /// Whether what it supersedes was added before it, and still waits.
    pub fn waits_before(&self, number: Number, supersedes: &[u8]) -> bool {
        matches!(self.place_of(supersedes), Some((before, Place::Queued)) if before < number)
    }

    /// Whether it was given up and may be in all the same.
    fn is_open(&self, refused: Number) -> bool {
        let given_up = Code::OutboxGivenUp.as_str();
        self.refused.get(&refused).is_some_and(|row| row.doubt_ms != 0 && row.code == given_up)
    }

    /// What to send now: of each series the record that was added first, unless it supersedes one that was added before
    /// it and still waits. What it supersedes and was refused takes it along.
    pub fn plan(&self, now: Instant) -> Plan {
        let mut plan = Plan::default();
        let mut bytes = 0;
        for (number, queued) in &self.queue {
            if self.first_of(&queued.row.series) != Some(*number) {
                continue;
            }
            match self.place_of(&queued.row.supersedes) {
                Some((before, Place::Queued)) if before < *number => continue,
                // one that may be in already is the store's to judge; so is what supersedes one that may be in
                Some((before, Place::Refused)) if queued.row.doubt_ms == 0 && !self.is_open(before) => {
                    plan.orphans.push(*number);
                    continue;
                }
                _ => {}
            }
            if let Some(not_before) = queued.not_before.filter(|not_before| *not_before > now) {
                plan.next = Some(plan.next.map_or(not_before, |next| next.min(not_before)));
                continue;
            }
            let full = plan.send.len() >= ROUND_RECORDS_MAX || bytes + queued.row.length > ROUND_BYTES_MAX;
            if full && !plan.send.is_empty() {
                break;
            }
            bytes += queued.row.length;
            plan.send.push(*number);
        }
        plan
    }

    /// The oldest delivered records beyond what is kept.
    pub fn surplus(&self, limits: &Limits) -> Vec<Number> {
        let (mut records, mut bytes) = (self.delivered.len() as u64, self.kept_bytes);
        let mut surplus = Vec::new();
        for (number, kept) in &self.delivered {
            if records <= limits.kept_records_max && bytes <= limits.kept_bytes_max {
                break;
            }
            records -= 1;
            bytes -= kept.bytes;
            surplus.push(*number);
        }
        surplus
    }

    /// The refused records among `wanted`, and those that went with them because they supersede them.
    pub fn with_successors(&self, wanted: BTreeSet<Number>, gone_with: &str) -> BTreeSet<Number> {
        let mut all = wanted;
        loop {
            let ids: BTreeSet<&[u8]> =
                all.iter().filter_map(|number| self.refused.get(number)).map(|row| row.record_id.as_ref()).collect();
            let more = self.refused.iter().filter(|(number, row)| {
                row.code == gone_with && ids.contains(row.supersedes.as_ref()) && !all.contains(number)
            });
            let more: Vec<Number> = more.map(|(number, _)| *number).collect();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}

#[cfg(test)]
mod tests;
