//! Looking at an outbox.

use bytes::Bytes;
use kho_proto::error::Code;
use kho_proto::id::{RecordId, Seq, UnixMs};
use kho_proto::record;
use tokio::sync::broadcast;

use super::row::{About, Waiting, id};
use super::state::State;
use super::store::Number;
use super::{Limits, Outbox, OutboxError, OutboxEvent, Place, Shared};

/// How an outbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Records that wait.
    pub queued: u64,
    /// Of them, those that may have been taken.
    pub in_doubt: u64,
    /// When the first of them was added.
    pub oldest: Option<UnixMs>,
    /// Records that were refused for good.
    pub refused: u64,
    /// Bytes of those that wait or were refused.
    pub bytes: u64,
    /// Delivered records that are kept.
    pub delivered: u64,
    /// Their bytes, with their receipts.
    pub delivered_bytes: u64,
    /// Why the first record that was sent still waits.
    pub waits_for: Option<(String, String)>,
    /// What it may hold.
    pub limits: Limits,
}

/// A record in an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub record_id: RecordId,
    /// Where it is.
    pub place: Place,
    /// When it was added.
    pub added: UnixMs,
    /// Its bytes; of a delivered one with its receipt.
    pub bytes: u64,
    /// Rounds that it was sent in; 0 for delivered ones, of which it is no longer known.
    pub rounds: u32,
    /// It waits or was refused, and may have been taken: one that was given up in doubt, or was added again after its refusal by
    /// who may have sent it.
    pub in_doubt: bool,
    /// Code and sentence of why it still waits or was refused.
    pub why: Option<(String, String)>,
    /// When that was said, or when it was delivered.
    pub told: Option<UnixMs>,
    /// Of a delivered one: index of its leaf.
    pub sequence: Option<Seq>,
    /// What it is about; none: it was added by a version that did not write that down.
    pub about: Option<OutboxAbout>,
}

/// What a record in an outbox is about, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxAbout {
    /// The unit that sends it.
    pub unit: String,
    /// Its regime.
    pub regime: String,
    /// The text of its period.
    pub period: String,
    /// Its subject; may be empty.
    pub series: String,
    /// What whoever added it calls it, such as a file; none: nothing was said.
    pub origin: Option<String>,
}

fn about(row: Option<&About>) -> Option<OutboxAbout> {
    let About { unit, regime, period, series, origin } = row?.clone();
    let origin = Some(origin).filter(|origin| !origin.is_empty());
    Some(OutboxAbout { unit, regime, period, series, origin })
}

/// A record and what came of it, as files.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As it stands in the list.
    pub listed: Listed,
    /// `ID.record`.
    pub record: Bytes,
    /// `ID.tlog-proof`, of a delivered one.
    pub receipt: Option<String>,
}

impl State {
    /// Of a record, wherever it is.
    pub(super) fn header_digest(&self, number: Number) -> Option<&Bytes> {
        let queued = self.queue.get(&number).map(|queued| &queued.row.header_digest);
        let refused = || self.refused.get(&number).map(|row| &row.header_digest);
        let delivered = || self.delivered.get(&number).map(|kept| &kept.header_digest);
        queued.or_else(refused).or_else(delivered)
    }

    fn listed(&self, number: Number, place: Place) -> Option<Listed> {
        match place {
            Place::Queued => listed(&self.queue.get(&number)?.row, place),
            Place::Refused => listed(self.refused.get(&number)?, place),
            Place::Delivered => {
                let kept = self.delivered.get(&number)?;
                Some(Listed {
                    record_id: kept.record_id,
                    place,
                    added: UnixMs(kept.added_ms),
                    bytes: kept.bytes,
                    rounds: 0,
                    in_doubt: false,
                    why: None,
                    told: Some(UnixMs(kept.delivered_ms)),
                    sequence: Some(Seq(kept.sequence)),
                    about: about(kept.about.as_ref()),
                })
            }
        }
    }
}

fn listed(row: &Waiting, place: Place) -> Option<Listed> {
    let told = !row.code.is_empty();
    Some(Listed {
        record_id: id(&row.record_id).ok()?,
        place,
        added: UnixMs(row.added_ms),
        bytes: row.length,
        rounds: row.rounds,
        in_doubt: row.doubt_ms != 0,
        why: told.then(|| (row.code.clone(), row.sentence.clone())),
        told: told.then_some(UnixMs(row.told_ms)),
        sequence: None,
        about: about(row.about.as_ref()),
    })
}

impl Shared {
    fn read(&self, record_id: RecordId) -> Result<Option<Stored>, OutboxError> {
        // no transaction in between
        let _writer = self.writer.lock();
        let found = {
            let state = self.state.lock();
            state.ids.get(&record_id).and_then(|(number, place)| Some((*number, state.listed(*number, *place)?)))
        };
        let Some((number, listed)) = found else { return Ok(None) };
        let gone = || OutboxError::Damaged { path: self.dir.clone(), what: format!("record {record_id} is missing") };
        let record = self.store.record(number)?.ok_or_else(gone)?;
        let receipt = match listed.place {
            Place::Delivered => Some(self.store.delivered(number)?.ok_or_else(gone)?.receipt),
            Place::Queued | Place::Refused => None,
        };
        Ok(Some(Stored { listed, record, receipt }))
    }
}

impl Outbox {
    /// How it stands.
    pub fn status(&self) -> OutboxStatus {
        let state = self.shared.state.lock();
        let rows = || state.queue.values().map(|queued| &queued.row);
        OutboxStatus {
            queued: state.queue.len() as u64,
            in_doubt: rows().filter(|row| row.doubt_ms != 0).count() as u64,
            oldest: rows().map(|row| UnixMs(row.added_ms)).min(),
            refused: state.refused.len() as u64,
            bytes: state.held_bytes,
            delivered: state.delivered.len() as u64,
            delivered_bytes: state.kept_bytes,
            waits_for: rows().find(|row| !row.code.is_empty()).map(|row| (row.code.clone(), row.sentence.clone())),
            limits: self.shared.limits,
        }
    }

    /// The records in one place or in all, each place in the order in which they were added.
    pub fn list(&self, place: Option<Place>) -> Vec<Listed> {
        let state = self.shared.state.lock();
        let numbers = |wanted: Place| -> Vec<Number> {
            if place.is_some_and(|place| place != wanted) {
                return Vec::new();
            }
            match wanted {
                Place::Queued => state.queue.keys().copied().collect(),
                Place::Refused => state.refused.keys().copied().collect(),
                Place::Delivered => state.delivered.keys().copied().collect(),
            }
        };
        let places = [Place::Queued, Place::Refused, Place::Delivered];
        let all = places.into_iter().flat_map(|place| numbers(place).into_iter().map(move |number| (number, place)));
        all.filter_map(|(number, place)| state.listed(number, place)).collect()
    }

    /// A record with its bytes, and its receipt if it is delivered; none: the outbox does not have it.
    pub async fn read(&self, record_id: RecordId) -> Result<Option<Stored>, OutboxError> {
        self.blocking(move |shared| shared.read(record_id)).await
    }

    /// Outcomes from now on. Who is more than [`EVENTS_MAX`](super::EVENTS_MAX) behind misses some, and is told so:
    /// [`Outbox::list`] has what counts.
    pub fn events(&self) -> broadcast::Receiver<OutboxEvent> {
        self.shared.events.subscribe()
    }
}

impl Stored {
    /// The record, to be looked at or sent by other means.
    pub fn signed(&self) -> Result<crate::Signed, OutboxError> {
        Ok(crate::Signed::from_record(record::from_file(self.record.clone())?)?)
    }

    /// The refusal as a file for people, `ID.refused`: the code, then the sentence; none: it was not refused.
    pub fn refusal(&self) -> Option<String> {
        let (code, sentence) = self.listed.why.as_ref().filter(|_| self.listed.place == Place::Refused)?;
        Some(format!("{code}\n{sentence}\n"))
    }

    /// Its code, as far as this version knows it.
    pub fn code(&self) -> Option<Code> {
        Code::parse(&self.listed.why.as_ref()?.0)
    }
}
