//! Senders at work, each operation in the history.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use kho_client::{Client, Signed, SubmitError};
use kho_proto::id::{NodeId, RecordId};
use kho_proto::pb::v1::SignedRecord;
use tokio::sync::watch;

use crate::history::{Checkpoint, History, Kind, Operation, Outcome};
use crate::invariants::Acknowledged;
use crate::reads;
use crate::rig::Senders;

/// A record whose outcome is unknown is submitted again for this long.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// After an attempt that did not get through.
const PAUSE: Duration = Duration::from_millis(20);

/// How a submission ended.
enum Submitted {
    Acknowledged(Box<Acknowledged>),
    /// Not in, surely; it may be tried again.
    NotYet,
    /// Not in, and never will be: with the reason.
    Refused(String),
    /// A node said what no node may say: a receipt that proves nothing (I4), an answer that is not Kho's.
    Broken(String),
    Unknown,
}

/// What came of a load.
#[derive(Default)]
pub struct Outcomes {
    /// Acknowledged, with receipts.
    pub acknowledged: Vec<Acknowledged>,
    /// May be in or not.
    pub unknown: Vec<Signed>,
    /// Certainly not in: no node could be asked.
    pub not_in: usize,
}

/// A record's id and digest: enough to ask for it.
#[derive(Debug, Clone)]
pub struct Named {
    /// UUIDv7.
    pub id: RecordId,
    /// SHA-256 of its header, hex.
    pub digest: String,
}

impl Named {
    /// Of a signed record.
    pub fn of(record: &Signed) -> Self {
        Self { id: record.record_id(), digest: record.header_digest().to_string() }
    }
}

/// A line of the history, still open.
pub(crate) fn operation(history: &History, kind: Kind, record: &Named) -> Operation {
    Operation::asked(kind, record.id.to_string(), record.digest.clone(), history.now_us())
}

/// What a receipt's signature covers, as a history keeps it.
pub(crate) fn covered(checkpoint: Option<&kho_proto::checkpoint::Checkpoint>) -> Option<Checkpoint> {
    checkpoint.map(|one| Checkpoint { size: one.size, root: one.root.to_string() })
}

async fn submit(client: &Client, history: &History, kind: Kind, record: &Signed) -> Submitted {
    let mut line = operation(history, kind, &Named::of(record));
    let answer = client.submit(record).await;
    line.returned_us = history.now_us();
    let submitted = match answer {
        Ok(done) => {
            (line.outcome, line.node, line.epoch) = (Outcome::Ok, done.node.0, done.epoch.0);
            (line.position, line.duplicate) = (done.receipt.sequence.0, done.duplicate);
            line.checkpoint = covered(done.checkpoint.as_ref());
            Submitted::Acknowledged(Box::new(Acknowledged {
                record_id: record.record_id().to_string(),
                record: record.record().clone(),
                receipt: done.receipt.to_tlog_proof(),
                duplicate: done.duplicate,
            }))
        }
        Err(error) => {
            line.detail = error.to_string();
            let submitted = match &error {
                SubmitError::Unreachable { .. } => Submitted::NotYet,
                SubmitError::Refused { refusal, .. } if refusal.code.retry() => Submitted::NotYet,
                SubmitError::Refused { .. } => Submitted::Refused(line.detail.clone()),
                SubmitError::Receipt { .. } | SubmitError::Foreign { .. } => Submitted::Broken(line.detail.clone()),
                SubmitError::Unknown { .. } => Submitted::Unknown,
            };
            if matches!(submitted, Submitted::NotYet | Submitted::Refused(_)) {
                line.outcome = Outcome::Failed;
            }
            submitted
        }
    };
    history.add(&line);
    submitted
}

/// Who submits.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// How many at once.
    pub count: usize,
    /// After each acknowledgement.
    pub rest: Duration,
}

impl Workers {
    /// So many, as fast as they can.
    pub fn busy(count: usize) -> Self {
        Self { count, rest: Duration::ZERO }
    }
}

/// `workers` submit one report after the other until `stop` says so; `told` hears of each acknowledgement. What is in
/// flight then counts as unknown.
pub async fn run(
    client: &Client,
    senders: &Senders,
    workers: Workers,
    stop: watch::Receiver<bool>,
    told: impl Fn(&Acknowledged),
) -> Result<Outcomes> {
    let told = &told;
    let worker = |mut stop: watch::Receiver<bool>| async move {
        let mut outcomes = Outcomes::default();
        while !*stop.borrow() {
            let record = senders.next(client).await?;
            // begun now, for the case that nobody waits for its end
            let mut line = operation(&senders.history, Kind::Submit, &Named::of(&record));
            let submitted = tokio::select! {
                biased;
                submitted = submit(client, &senders.history, Kind::Submit, &record) => submitted,
                _ = stop.wait_for(|stopped| *stopped) => {
                    (line.returned_us, line.detail) = (senders.history.now_us(), "given up".to_owned());
                    senders.history.add(&line);
                    Submitted::Unknown
                }
            };
            match submitted {
                Submitted::Acknowledged(one) => {
                    told(&one);
                    outcomes.acknowledged.push(*one);
                    tokio::time::sleep(workers.rest).await;
                }
                Submitted::NotYet => {
                    outcomes.not_in += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Submitted::Refused(why) => bail!("a good record was refused: {why}"),
                Submitted::Broken(why) => bail!("I4 broken: {why}"),
                Submitted::Unknown => outcomes.unknown.push(record),
            }
        }
        Ok::<_, anyhow::Error>(outcomes)
    };
    let mut all = Outcomes::default();
    for outcomes in join_all((0..workers.count).map(|_| worker(stop.clone()))).await {
        let outcomes = outcomes?;
        all.acknowledged.extend(outcomes.acknowledged);
        all.unknown.extend(outcomes.unknown);
        all.not_in += outcomes.not_in;
    }
    Ok(all)
}

/// Submits records of unknown outcome again until each has its receipt.
pub async fn settle(client: &Client, history: &History, unknown: &[Signed]) -> Result<Vec<Acknowledged>> {
    let settle_one = |record| async move {
        let settled = tokio::time::timeout(SETTLE_LIMIT, async {
            loop {
                match submit(client, history, Kind::Resubmit, record).await {
                    Submitted::Acknowledged(one) => return Ok(*one),
                    Submitted::Refused(why) => bail!("a good record was refused: {why}"),
                    Submitted::Broken(why) => bail!("I4 broken: {why}"),
                    Submitted::NotYet | Submitted::Unknown => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        settled.await.with_context(|| format!("record {} settled", record.record_id()))?
    };
    join_all(unknown.iter().map(settle_one)).await.into_iter().collect()
}

/// Submits a record, without any patience of its own beyond the client's.
pub async fn once(client: &Client, history: &History, record: &Signed) -> Result<Acknowledged, String> {
    match submit(client, history, Kind::Resubmit, record).await {
        Submitted::Acknowledged(one) => Ok(*one),
        Submitted::Refused(why) | Submitted::Broken(why) => Err(why),
        Submitted::NotYet | Submitted::Unknown => Err("no node took it in time".to_owned()),
    }
}

/// Submits an acknowledged record once more.
pub async fn resubmit(client: &Client, history: &History, one: &Acknowledged) -> Result<Acknowledged> {
    let record = Signed::from_record(one.record.clone())?;
    let again = settle(client, history, std::slice::from_ref(&record)).await;
    let mut again =
        again.with_context(|| format!("I2 broken: record {} was accepted, and is not again", one.record_id))?;
    again.pop().context("one answer for one record")
}

/// Reads an acknowledged record.
pub async fn get(client: &Client, history: &History, one: &Acknowledged) -> Result<SignedRecord, String> {
    let record = Signed::from_record(one.record.clone()).map_err(|error| error.to_string())?;
    reads::get(client, history, &Named::of(&record), NodeId(0)).await
}
