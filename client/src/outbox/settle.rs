//! The two writes of a round.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::receipt::Receipt;
use kho_proto::record;

use super::round::{Begun, Doubt, Marked, Outcome};
use super::row::{self, Delivered, Waiting, id};
use super::store::{Change, Number};
use super::verdict::{Of, Told, is_transient};
use super::{OutboxError, OutboxEvent, Shared, Step};
use crate::clock::{Surroundings, System};
use crate::draft::Signed;

/// Bytes of a sentence that are kept with a record: one that names two hundred fields is not.
const SENTENCE_LENGTH_MAX: usize = 500;

/// The record, unless its bytes are of no use.
fn signed(bytes: Bytes) -> Result<Signed, OutboxError> {
    Ok(Signed::never_sent(record::from_file(bytes)?)?)
}

impl Shared {
    /// Writes down that these are about to be sent. What can't be read is no reason to send nothing else.
    pub(super) fn mark(&self, numbers: &[Number]) -> Result<Begun, OutboxError> {
        let _writer = self.writer.lock();
        let (now, since) = (System.now(), Instant::now());
        let damaged = |what: String| OutboxError::Damaged { path: self.dir.clone(), what };
        let (mut begun, mut changes) = (Begun::default(), Vec::new());
        for number in numbers {
            let (row, doubt) = {
                let mut state = self.state.lock();
                let Some(queued) = state.queue.get_mut(number) else {
                    // given up since the round was planned: it is not sent
                    state.under_way.remove(number);
                    continue;
                };
                queued.again = false;
                let ms = queued.row.doubt_ms;
                let doubt = (ms != 0).then(|| Doubt { ms, since: *queued.doubt.get_or_insert(since) });
                (queued.row.clone(), doubt)
            };
            let record_id = id(&row.record_id).map_err(&damaged)?;
            let header_digest = row.header_digest.clone();
            let marked = Marked { number: *number, record_id, header_digest, doubt, rounds: row.rounds };
            let bytes = self.store.record(*number)?.ok_or_else(|| damaged("its bytes are missing".to_owned()));
            match bytes.and_then(signed) {
                Ok(signed) => begun.sent.push((marked, signed)),
                Err(error) => {
                    let sentence = format!("it does not read any more: {error}");
                    begun.broken.push((marked, Told { code: error.code(), sentence }));
                    continue;
                }
            }
            if doubt.is_none() {
                changes.push(Change::Wait(*number, Waiting { doubt_ms: now.0.max(1), ..row }));
            }
        }
        if !changes.is_empty() {
            self.commit(changes, Step::Marking)?;
        }
        Ok(begun)
    }

    pub(super) fn settle(&self, outcomes: Vec<(Number, Outcome)>) -> Result<(), OutboxError> {
        let _writer = self.writer.lock();
        let now = System.now();
        let (mut changes, mut events, mut waits) = (Vec::new(), Vec::new(), Vec::new());
        for (number, outcome) in outcomes {
            let queued = {
                let mut state = self.state.lock();
                state.under_way.remove(&number);
                state.queue.get(&number).map(|queued| (queued.row.clone(), queued.again))
            };
            let Some((row, again)) = queued else { continue };
            let record_id = id(&row.record_id).map_err(|what| OutboxError::Damaged { path: self.dir.clone(), what })?;
            match if again { outcome.in_doubt_again(row.doubt_ms) } else { outcome } {
                Outcome::Delivered { receipt, duplicate } => {
                    let sequence = receipt.sequence;
                    tracing::debug!(record = %record_id, %sequence, duplicate, "delivered");
                    events.push(OutboxEvent::Delivered { record_id, sequence, duplicate });
                    changes.push(Change::Deliver(number, delivered(row, &receipt, now)));
                }
                Outcome::Refused(why) => {
                    tracing::warn!(record = %record_id, code = why.code.as_str(), "refused: {}", why.sentence);
                    let Told { code, sentence } = why.clone();
                    events.push(OutboxEvent::Refused { record_id, code, sentence });
                    changes.push(Change::Refuse(number, told(row, &why, 0, now)));
                }
                Outcome::Waits { why, of: _, doubt, pause } => {
                    events.push(waiting(record_id, &why));
                    changes.push(Change::Wait(number, told(row, &why, doubt.map_or(0, |doubt| doubt.ms), now)));
                    waits.push((number, doubt, pause));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(changes, Step::Settling)?;
        self.steps.at(Step::Settled);
        self.pause(waits);
        // no receiver: nobody listens
        events.into_iter().for_each(|event| drop(self.events.send(event)));
        self.prune()
    }

    /// None of them is sent before its pause is over.
    fn pause(&self, waits: Vec<(Number, Option<Doubt>, Duration)>) {
        let (since, mut state) = (Instant::now(), self.state.lock());
        for (number, doubt, pause) in waits {
            if let Some(queued) = state.queue.get_mut(&number) {
                queued.not_before = Some(since + pause);
                queued.doubt = doubt.map(|doubt| doubt.since);
            }
        }
    }

    /// What is beyond the bound goes, oldest first.
    fn prune(&self) -> Result<(), OutboxError> {
        let surplus = self.state.lock().surplus(&self.limits);
        if surplus.is_empty() {
            return Ok(());
        }
        tracing::info!(records = surplus.len(), "the oldest delivered records are no longer kept");
        self.commit(surplus.into_iter().map(Change::Forget).collect(), Step::Settling)
    }
}

impl Outcome {
    /// Meanwhile somebody added it who may have sent it himself: what this round found out of its own attempts is no last
    /// word any more.
    fn in_doubt_again(self, ms: u64) -> Self {
        let doubt = Some(Doubt { ms, since: Instant::now() });
        match self {
            Outcome::Refused(why) => Outcome::Waits { why, of: Of::Record, doubt, pause: Duration::ZERO },
            Outcome::Waits { why, of, doubt: _, pause } => Outcome::Waits { why, of, doubt, pause },
            delivered @ Outcome::Delivered { .. } => delivered,
        }
    }
}

fn waiting(record_id: RecordId, why: &Told) -> OutboxEvent {
    if is_transient(why.code) {
        tracing::debug!(record = %record_id, code = why.code.as_str(), "waits: {}", why.sentence);
    } else {
        tracing::warn!(record = %record_id, code = why.code.as_str(), "waits: {}", why.sentence);
    }
    let Told { code, sentence } = why.clone();
    OutboxEvent::Waits { record_id, code, sentence }
}

fn told(row: Waiting, why: &Told, doubt_ms: u64, now: UnixMs) -> Waiting {
    let rounds = row.rounds.saturating_add(1);
    let sentence = cut(why.sentence.clone());
    Waiting { code: why.code.as_str().to_owned(), sentence, doubt_ms, rounds, told_ms: now.0, ..row }
}

/// As much of a sentence as is kept.
pub(super) fn cut(mut sentence: String) -> String {
    if sentence.len() > SENTENCE_LENGTH_MAX {
        let end = (0..=SENTENCE_LENGTH_MAX).rev().find(|end| sentence.is_char_boundary(*end)).unwrap_or(0);
        sentence.truncate(end);
    }
    sentence
}

fn delivered(row: Waiting, receipt: &Receipt, now: UnixMs) -> Delivered {
    Delivered {
        version: row::VERSION,
        record_id: row.record_id,
        header_digest: row.header_digest,
        length: row.length,
        added_ms: row.added_ms,
        delivered_ms: now.0,
        sequence: receipt.sequence.0,
        receipt: receipt.to_tlog_proof(),
        about: row.about,
    }
}
