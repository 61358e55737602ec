//! What somebody has decided to wait for no longer: a record in doubt that nothing settles, or one that nobody will ever be
//! permitted to send.

use kho_proto::error::Code;
use kho_proto::id::RecordId;

use super::row::{Waiting, id};
use super::settle::cut;
use super::store::Change;
use super::{Outbox, OutboxError, OutboxEvent, Place, Shared, Step};
use crate::clock::{Surroundings, System};

impl Outbox {
    /// Moves records that wait to the refused ones, all of these or none, with `outbox-given-up`: also one that may be in,
    /// and its sentence says so. Returns how many may be in. The next ones of their series are sent; one that supersedes a
    /// record which certainly is not in goes along with it, as with any that is refused.
    ///
    /// What is being sent right now is [`OutboxError::UnderWay`]: wait for its event. [`Outbox::retry`] queues them again, in
    /// doubt if they were.
    pub async fn give_up(&self, records: Vec<RecordId>) -> Result<u64, OutboxError> {
        self.blocking(move |shared| shared.give_up(&records)).await
    }
}

/// The row of a record that was given up. Its doubt stays: who sends it again must know of it.
fn given_up(row: Waiting, told_ms: u64) -> Waiting {
    let fate = if row.doubt_ms == 0 { "; it certainly is not in" } else { ", and may be in" };
    let waited_for =
        if row.code.is_empty() { String::new() } else { format!("; it waited for {}: {}", row.code, row.sentence) };
    let sentence = cut(format!("given up by hand{fate}{waited_for}"));
    Waiting { code: Code::OutboxGivenUp.as_str().to_owned(), sentence, told_ms, ..row }
}

impl Shared {
    fn give_up(&self, records: &[RecordId]) -> Result<u64, OutboxError> {
        let _writer = self.writer.lock();
        let numbers = self.numbers(records, &[Place::Queued], Place::Queued.as_str())?;
        let (mut changes, mut events, mut in_doubt) = (Vec::new(), Vec::new(), 0);
        {
            // nobody delivers: what a dropped round left under way is not any more
            let delivers = self.delivering.try_lock().is_err();
            let (now, state) = (System.now(), self.state.lock());
            let waiting = numbers.iter().filter_map(|number| Some((*number, &state.queue.get(number)?.row)));
            for (number, row) in waiting {
                let damaged = |what| OutboxError::Damaged { path: self.dir.clone(), what };
                let record_id = id(&row.record_id).map_err(damaged)?;
                if delivers && state.under_way.contains(&number) {
                    return Err(OutboxError::UnderWay { record_id });
                }
                in_doubt += u64::from(row.doubt_ms != 0);
                let row = given_up(row.clone(), now.0);
                tracing::warn!(record = %record_id, code = row.code.as_str(), "refused: {}", row.sentence);
                let (code, sentence) = (Code::OutboxGivenUp, row.sentence.clone());
                events.push(OutboxEvent::Refused { record_id, code, sentence });
                changes.push(Change::Refuse(number, row));
            }
        }
        if !changes.is_empty() {
            self.commit(changes, Step::Settling)?;
            // no receiver: nobody listens
            events.into_iter().for_each(|event| drop(self.events.send(event)));
            self.changed.notify_one();
        }
        Ok(in_doubt)
    }
}
