//! One round: records are marked as perhaps sent, sent, and settled. Each of the writes is one durable transaction, and
//! whatever happens between them, the record is still here.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kho_proto::error::Code;
use kho_proto::id::RecordId;
use kho_proto::receipt::Receipt;

use super::limits::Pace;
use super::row::id;
use super::store::Number;
use super::verdict::{Of, Told, Verdict, judge};
use super::{Outbox, OutboxError, Step, Turn};
use crate::client::Client;
use crate::clock::{Surroundings, System};
use crate::draft::Signed;

/// What is written of a record at the end of a round.
#[derive(Debug)]
pub(super) enum Outcome {
    Delivered { receipt: Box<Receipt>, duplicate: bool },
    Refused(Told),
    Waits { why: Told, of: Of, doubt: Option<Doubt>, pause: Duration },
}

impl Outcome {
    /// What has been sent as often as it may be is refused; what may be in is not.
    fn unless_given_up(self, pace: Pace, rounds: u32) -> Self {
        match self {
            Outcome::Waits { why, doubt: None, .. } if pace.rounds_max.is_some_and(|most| rounds >= most) => {
                let sentence = format!("given up after {rounds} rounds: {}", why.sentence);
                Outcome::Refused(Told { code: why.code, sentence })
            }
            other => other,
        }
    }

    fn of(&self) -> Of {
        match self {
            Outcome::Delivered { .. } | Outcome::Refused(_) => Of::Record,
            Outcome::Waits { of, .. } => *of,
        }
    }
}

/// An attempt may have been taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    /// As it stands in the row, for people.
    pub ms: u64,
    /// What counts: a clock that nobody sets.
    pub since: Instant,
}

impl Doubt {
    fn begins() -> Self {
        Self { ms: System.now().0.max(1), since: Instant::now() }
    }
}

/// A record of a round.
#[derive(Debug)]
pub(super) struct Marked {
    pub number: Number,
    pub record_id: RecordId,
    pub header_digest: Bytes,
    /// Of an earlier attempt.
    pub doubt: Option<Doubt>,
    pub rounds: u32,
}

/// What a round begins with.
#[derive(Debug, Default)]
pub(super) struct Begun {
    pub sent: Vec<(Marked, Signed)>,
    /// Their bytes are of no use: nothing of them can be sent.
    pub broken: Vec<(Marked, Told)>,
}

impl Outbox {
    /// Sends these. Returns whom the most particular of the answers spoke of.
    pub(super) async fn round(
        &self,
        client: &Client,
        pace: Pace,
        turn: &Turn,
        numbers: Vec<Number>,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<Of, OutboxError> {
        self.shared.state.lock().under_way = numbers.iter().copied().collect();
        // marked before the first of them is sent: a crash leaves it in doubt, and not forgotten
        let Begun { sent, broken } = self.blocking_in(turn, move |shared| shared.mark(&numbers)).await?;
        self.shared.steps.at(Step::Marked);
        let records: Vec<Signed> = sent.iter().map(|(_, signed)| signed.clone()).collect();
        let answers = match records.as_slice() {
            [] => Vec::new(),
            [one] => vec![client.submit(one).await],
            many => client.submit_many(many).await,
        };
        self.shared.steps.at(Step::Answered);
        let (mut outcomes, mut asks) = (Vec::with_capacity(sent.len()), Vec::new());
        for ((mut record, signed), answer) in sent.into_iter().zip(answers) {
            let verdict = judge(answer, record.doubt.is_some());
            // what this call left open counts from now on; else what was open before it
            if signed.is_doubtful() {
                record.doubt = Some(Doubt::begins());
            }
            match self.outcome(client, pace, &record, verdict).await {
                Ok(outcome) => outcomes.push((record.number, outcome.unless_given_up(pace, record.rounds + 1))),
                Err(told) => asks.push((record, told)),
            }
        }
        for (record, told) in broken {
            match unless_in_doubt(client, pace, &record, told) {
                Ok(outcome) => outcomes.push((record.number, outcome)),
                Err(told) => asks.push((record, told)),
            }
        }
        let mut of = outcomes.iter().map(|(_, outcome)| outcome.of()).max();
        // nobody's receipt waits for what is asked of another record
        self.blocking_in(turn, move |shared| shared.settle(outcomes)).await?;
        if !asks.is_empty() {
            let outcomes = self.ask(client, pace, asks, shutdown).await;
            of = of.max(outcomes.iter().map(|(_, outcome)| outcome.of()).max());
            self.blocking_in(turn, move |shared| shared.settle(outcomes)).await?;
        }
        // nothing was left to be sent: nobody said anything against the next one
        Ok(of.unwrap_or(Of::Record))
    }

    /// Error: the store has to be asked.
    async fn outcome(&self, client: &Client, pace: Pace, record: &Marked, verdict: Verdict) -> Result<Outcome, Told> {
        match verdict {
            Verdict::Delivered(done) => {
                Ok(Outcome::Delivered { receipt: Box::new(done.receipt), duplicate: done.duplicate })
            }
            Verdict::Refused(told) => Ok(Outcome::Refused(told)),
            Verdict::Waits { why, of, hint, evidence } => {
                let why = self.keep(record.record_id, evidence, why).await;
                let pause = pace.pause(record.rounds + 1, client.seed()).max(hint);
                Ok(Outcome::Waits { why, of, doubt: record.doubt, pause })
            }
            Verdict::Ask(told) => unless_in_doubt(client, pace, record, told),
        }
    }

    /// What they supersede was refused for good: so are they.
    pub(super) async fn refuse_orphans(&self, turn: &Turn, numbers: Vec<Number>) -> Result<(), OutboxError> {
        self.blocking_in(turn, move |shared| {
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

/// Refused, or as long as what was on its way may still arrive, it waits. Error: the store has to be asked.
fn unless_in_doubt(client: &Client, pace: Pace, record: &Marked, told: Told) -> Result<Outcome, Told> {
    let Some(doubt) = record.doubt else { return Ok(Outcome::Refused(told)) };
    let settled = pace.doubt + client.timing().deadline;
    match settled.checked_sub(doubt.since.elapsed()).filter(|left| !left.is_zero()) {
        Some(left) => Ok(Outcome::Waits { why: told, of: Of::Record, doubt: Some(doubt), pause: left }),
        None => Err(told),
    }
}
