//! One round: records are marked as perhaps sent, sent, and settled. Each of the two writes is one durable transaction, and
//! whatever happens between them, the record is still here.

use std::time::{Duration, Instant};

use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{RecordId, UnixMs};
use kho_proto::receipt::Receipt;
use kho_proto::record;

use super::limits::Pace;
use super::row::{self, Delivered, Waiting, id};
use super::store::{Change, Number};
use super::verdict::{Told, Verdict, is_transient, judge};
use super::{Outbox, OutboxError, OutboxEvent, Shared, Step, files};
use crate::client::Client;
use crate::clock::{Surroundings, System};
use crate::draft::Signed;
use crate::get::GetError;

/// Bytes of a sentence that are kept with a record: one that names two hundred fields is not.
const SENTENCE_LENGTH_MAX: usize = 500;

/// What is written of a record at the end of a round.
enum Outcome {
    Delivered {
        receipt: Box<Receipt>,
        duplicate: bool,
    },
    Refused(Told),
    /// `alone`: another record may fare better meanwhile.
    Waits {
        why: Told,
        alone: bool,
        doubt_ms: u64,
        pause: Duration,
    },
}

impl Outcome {
    /// What has been sent as often as it may be is refused; what may be in is not.
    fn unless_given_up(self, pace: Pace, rounds: u32) -> Self {
        match self {
            Outcome::Waits { why, doubt_ms: 0, .. } if pace.rounds_max.is_some_and(|most| rounds >= most) => {
                let sentence = format!("given up after {rounds} rounds: {}", why.sentence);
                Outcome::Refused(Told { code: why.code, sentence })
            }
            other => other,
        }
    }
}

/// A record of a round.
struct Sent {
    number: Number,
    record_id: RecordId,
    header_digest: Digest,
    signed: Signed,
    /// Since when an earlier attempt may have been taken; 0: none.
    doubt_ms: u64,
    rounds: u32,
}

impl Outbox {
    /// Sends these. True: somebody answered of one of them what says something of it, and not of the cluster as a whole.
    pub(super) async fn round(&self, client: &Client, pace: Pace, numbers: Vec<Number>) -> Result<bool, OutboxError> {
        // marked before the first of them is sent: a crash leaves it in doubt, and not forgotten
        let sent = self.blocking(move |shared| shared.mark(&numbers)).await?;
        self.shared.steps.at(Step::Marked);
        let records: Vec<Signed> = sent.iter().map(|sent| sent.signed.clone()).collect();
        let answers = match records.as_slice() {
            [one] => vec![client.submit(one).await],
            many => client.submit_many(many).await,
        };
        self.shared.steps.at(Step::Answered);
        let mut outcomes = Vec::with_capacity(sent.len());
        for (sent, answer) in sent.into_iter().zip(answers) {
            let verdict = judge(answer, sent.doubt_ms != 0);
            // what this call left open counts from now on; else what was open before it
            let doubt_ms = if sent.signed.is_doubtful() { System.now().0.max(1) } else { sent.doubt_ms };
            let outcome = self.outcome(client, pace, &sent, verdict, doubt_ms).await?;
            outcomes.push((sent.number, outcome.unless_given_up(pace, sent.rounds + 1)));
        }
        let progress = outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Waits { alone: false, .. }));
        self.blocking(move |shared| shared.settle(outcomes)).await?;
        Ok(progress)
    }

    async fn outcome(
        &self,
        client: &Client,
        pace: Pace,
        sent: &Sent,
        verdict: Verdict,
        doubt_ms: u64,
    ) -> Result<Outcome, OutboxError> {
        let pause = pace.pause(sent.rounds + 1, client.seed());
        Ok(match verdict {
            Verdict::Delivered(done) => {
                Outcome::Delivered { receipt: Box::new(done.receipt), duplicate: done.duplicate }
            }
            Verdict::Refused(told) => Outcome::Refused(told),
            Verdict::Waits { why, alone, hint, evidence } => {
                if let Some(bytes) = evidence.and_then(|rejected| rejected.to_file()) {
                    let name = format!("{}.tlog-proof.rejected", sent.record_id);
                    let path = self.blocking(move |shared| files::keep_evidence(&shared.dir, &name, &bytes)).await?;
                    tracing::error!(record = %sent.record_id, evidence = %path.display(), "{}", why.sentence);
                }
                Outcome::Waits { why, alone, doubt_ms, pause: pause.max(hint) }
            }
            Verdict::Ask(told) => {
                let settled = Duration::from_millis(System.now().0.saturating_sub(doubt_ms));
                let (doubt, deadline) = (pace.doubt, client.timing().deadline);
                match (doubt + deadline).checked_sub(settled).filter(|left| !left.is_zero()) {
                    // what was on its way may still arrive
                    Some(left) => {
                        Outcome::Waits { why: told, alone: true, doubt_ms, pause: left.min(doubt + deadline) }
                    }
                    None => asked(client, sent, told, doubt_ms, pause).await,
                }
            }
        })
    }

    /// What they supersede was refused for good: so are they.
    pub(super) async fn refuse_orphans(&self, numbers: Vec<Number>) -> Result<(), OutboxError> {
        self.blocking(move |shared| {
            let outcomes = {
                let state = shared.state.lock();
                let orphan = |number: &Number| {
                    let before = id(&state.queue.get(number)?.row.supersedes).ok()?;
                    let sentence = format!("it supersedes record {before}, which was refused");
                    Some((*number, Outcome::Refused(Told { code: Code::OutboxPredecessorRefused, sentence })))
                };
                numbers.iter().filter_map(orphan).collect()
            };
            shared.settle(outcomes)
        })
        .await
    }
}

/// A record was refused for good, and may yet be in: the store knows.
async fn asked(client: &Client, sent: &Sent, told: Told, doubt_ms: u64, pause: Duration) -> Outcome {
    match client.get(sent.record_id).await {
        Ok(found) if Digest::of(&found.record.header) == sent.header_digest => {
            Outcome::Delivered { receipt: Box::new(found.receipt), duplicate: true }
        }
        Ok(_) => {
            let refusal = Refusal::new(Code::RecordIdConflict, "the record id is held by another header");
            Outcome::Refused(Told::refusal(&refusal))
        }
        // every attempt's time is long over, and it is not there
        Err(GetError::Refused { refusal, .. }) if refusal.code == Code::RecordUnknown => Outcome::Refused(told),
        Err(error) => {
            let sentence = format!("{}: {}; whether it is in all the same: {error}", told.code.as_str(), told.sentence);
            Outcome::Waits { why: Told { code: Code::OutcomeUnknown, sentence }, alone: true, doubt_ms, pause }
        }
    }
}

impl Shared {
    fn mark(&self, numbers: &[Number]) -> Result<Vec<Sent>, OutboxError> {
        let _writer = self.writer.lock();
        let now = System.now();
        let damaged = |what: String| OutboxError::Damaged { path: self.dir.clone(), what };
        let (mut sent, mut changes) = (Vec::new(), Vec::new());
        for number in numbers {
            let Some(row) = self.state.lock().queue.get(number).map(|queued| queued.row.clone()) else { continue };
            let record_id = id(&row.record_id).map_err(&damaged)?;
            let bytes = self.store.record(*number)?;
            let bytes = bytes.ok_or_else(|| damaged(format!("the bytes of record {record_id} are missing")))?;
            let signed = Signed::never_sent(record::from_file(bytes)?)?;
            let (doubt_ms, rounds) = (row.doubt_ms, row.rounds);
            let header_digest = signed.header_digest();
            sent.push(Sent { number: *number, record_id, header_digest, signed, doubt_ms, rounds });
            if doubt_ms == 0 {
                changes.push(Change::Wait(*number, Waiting { doubt_ms: now.0.max(1), ..row }));
            }
        }
        if !changes.is_empty() {
            self.commit(changes, Step::Marking)?;
        }
        Ok(sent)
    }

    fn settle(&self, outcomes: Vec<(Number, Outcome)>) -> Result<(), OutboxError> {
        let _writer = self.writer.lock();
        let now = System.now();
        let (mut changes, mut events, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
        for (number, outcome) in outcomes {
            // an earlier deliverer that was dropped may have settled it
            let Some(row) = self.state.lock().queue.get(&number).map(|queued| queued.row.clone()) else { continue };
            let record_id = id(&row.record_id).map_err(|what| OutboxError::Damaged { path: self.dir.clone(), what })?;
            match outcome {
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
                Outcome::Waits { why, alone: _, doubt_ms, pause } => {
                    if is_transient(why.code) {
                        tracing::debug!(record = %record_id, code = why.code.as_str(), "waits: {}", why.sentence);
                    } else {
                        tracing::warn!(record = %record_id, code = why.code.as_str(), "waits: {}", why.sentence);
                    }
                    let Told { code, sentence } = why.clone();
                    events.push(OutboxEvent::Waits { record_id, code, sentence });
                    changes.push(Change::Wait(number, told(row, &why, doubt_ms, now)));
                    pauses.push((number, pause));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(changes, Step::Settling)?;
        self.steps.at(Step::Settled);
        let since = Instant::now();
        pauses.into_iter().for_each(|(number, pause)| self.pause(number, since + pause));
        // no receiver: nobody listens
        events.into_iter().for_each(|event| drop(self.events.send(event)));
        self.prune()
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

fn told(row: Waiting, why: &Told, doubt_ms: u64, now: UnixMs) -> Waiting {
    let mut sentence = why.sentence.clone();
    if sentence.len() > SENTENCE_LENGTH_MAX {
        let end = (0..=SENTENCE_LENGTH_MAX).rev().find(|end| sentence.is_char_boundary(*end)).unwrap_or(0);
        sentence.truncate(end);
    }
    let rounds = row.rounds.saturating_add(1);
    Waiting { code: why.code.as_str().to_owned(), sentence, doubt_ms, rounds, told_ms: now.0, ..row }
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
    }
}
