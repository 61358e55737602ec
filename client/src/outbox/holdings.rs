//! What is added, queued again, forgotten: each one transaction.

use std::collections::BTreeSet;

use bytes::Bytes;
use kho_proto::error::Code;
use kho_proto::id::RecordId;

use super::row::Waiting;
use super::store::{Change, Number};
use super::{Added, OutboxError, Place, Shared, Step};

impl Shared {
    pub(super) fn add(&self, rows: Vec<(RecordId, Waiting, Bytes)>) -> Result<Vec<Added>, OutboxError> {
        let _writer = self.writer.lock();
        let (mut changes, mut answers) = (Vec::new(), Vec::new());
        let mut fresh: BTreeSet<RecordId> = BTreeSet::new();
        let mut again = Vec::new();
        {
            let state = self.state.lock();
            let (mut records, mut bytes, mut next) = (state.held(), state.held_bytes, state.next);
            for (record_id, row, content) in rows {
                if let Some((number, place)) = state.ids.get(&record_id) {
                    if state.header_digest(*number) != Some(&row.header_digest) {
                        return Err(OutboxError::Conflict { record_id });
                    }
                    if row.doubt_ms != 0 {
                        changes.extend(state.doubted(*number, row.doubt_ms));
                        again.push(*number);
                    }
                    answers.push(Added::Before(*place));
                    continue;
                }
                if !fresh.insert(record_id) {
                    let same = changes.iter_mut().find_map(|change| match change {
                        Change::Add(_, other, _) if other.header_digest == row.header_digest => Some(other),
                        _ => None,
                    });
                    let same = same.ok_or(OutboxError::Conflict { record_id })?;
                    same.doubt_ms = same.doubt_ms.max(row.doubt_ms);
                    answers.push(Added::Before(Place::Queued));
                    continue;
                }
                records += 1;
                bytes += row.length;
                let (most, most_bytes) = (self.limits.records_max, self.limits.bytes_max);
                if records > most {
                    return Err(OutboxError::Full { what: "records", expected: most, found: records });
                }
                if bytes > most_bytes {
                    return Err(OutboxError::Full { what: "bytes", expected: most_bytes, found: bytes });
                }
                changes.push(Change::Add(next, row, content));
                next += 1;
                answers.push(Added::New);
            }
        }
        if !changes.is_empty() {
            self.commit(changes, Step::Adding)?;
            self.steps.at(Step::Added);
            self.changed.notify_one();
        }
        // also where the row was in doubt already: a round under way may be about to say that it is not
        let mut state = self.state.lock();
        for number in again {
            if let Some(queued) = state.queue.get_mut(&number) {
                queued.again = true;
            }
        }
        Ok(answers)
    }

    pub(super) fn retry(&self, records: Option<Vec<RecordId>>) -> Result<usize, OutboxError> {
        let _writer = self.writer.lock();
        let numbers = match records {
            None => self.state.lock().refused.keys().copied().collect(),
            Some(records) => self.numbers(&records, &[Place::Refused], "refused")?,
        };
        let changes: Vec<_> = {
            let state = self.state.lock();
            let gone_with = Code::OutboxPredecessorRefused.as_str();
            let numbers = state.with_successors(numbers, gone_with);
            let rows = numbers.iter().filter_map(|number| Some((number, state.refused.get(number)?.clone())));
            rows.map(|(number, row)| Change::Wait(*number, Waiting { rounds: 0, ..row })).collect()
        };
        let count = changes.len();
        if count > 0 {
            self.commit(changes, Step::Retrying)?;
            self.changed.notify_one();
            self.retried.notify_one();
        }
        Ok(count)
    }

    pub(super) fn forget(&self, records: &[RecordId]) -> Result<(), OutboxError> {
        let _writer = self.writer.lock();
        let numbers = self.numbers(records, &[Place::Delivered, Place::Refused], "delivered or refused")?;
        self.commit(numbers.into_iter().map(Change::Forget).collect(), Step::Settling)
    }

    /// Of records in these places.
    pub(super) fn numbers(
        &self,
        records: &[RecordId],
        places: &[Place],
        expected: &'static str,
    ) -> Result<BTreeSet<Number>, OutboxError> {
        let state = self.state.lock();
        let number = |record_id: &RecordId| match state.ids.get(record_id) {
            Some((number, place)) if places.contains(place) => Ok(*number),
            other => {
                let found = other.map_or("none", |(_, place)| place.as_str());
                Err(OutboxError::Unknown { record_id: *record_id, expected, found })
            }
        };
        records.iter().map(number).collect()
    }
}
