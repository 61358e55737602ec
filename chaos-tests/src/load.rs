//! Senders at work, each operation in the history.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use kho_client::{Client, Signed, SubmitError};
use kho_proto::pb::v1::SignedRecord;
use tokio::sync::watch;

use crate::history::{History, Kind, Operation, Outcome};
use crate::invariants::Acknowledged;
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

/// A line of the history, still open.
fn operation(history: &History, kind: Kind, record: &Signed) -> Operation {
    Operation {
        kind,
        record_id: record.record_id().to_string(),
        digest: record.header_digest().to_string(),
        invoked_us: history.now_us(),
        returned_us: 0,
        outcome: Outcome::Unknown,
        node: 0,
        epoch: 0,
        position: 0,
        detail: String::new(),
    }
}

async fn submit(client: &Client, history: &History, kind: Kind, record: &Signed) -> Submitted {
    let mut line = operation(history, kind, record);
    let answer = client.submit(record).await;
    line.returned_us = history.now_us();
    let submitted = match answer {
        Ok(done) => {
            (line.outcome, line.node, line.epoch) = (Outcome::Ok, done.node.0, done.epoch.0);
            line.position = done.receipt.sequence.0;
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
            let submitted = tokio::select! {
                biased;
                submitted = submit(client, &senders.history, Kind::Submit, &record) => submitted,
                _ = stop.wait_for(|stopped| *stopped) => {
                    let mut line = operation(&senders.history, Kind::Submit, &record);
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

/// Submits an acknowledged record once more.
pub async fn resubmit(client: &Client, history: &History, one: &Acknowledged) -> Result<Acknowledged> {
    let record = Signed::from_record(one.record.clone())?;
    let mut again = settle(client, history, std::slice::from_ref(&record)).await?;
    again.pop().context("one answer for one record")
}

/// Reads an acknowledged record.
pub async fn get(client: &Client, history: &History, one: &Acknowledged) -> Result<SignedRecord, String> {
    let record = Signed::from_record(one.record.clone()).map_err(|error| error.to_string())?;
    let mut line = operation(history, Kind::Get, &record);
    let answer = client.get(record.record_id()).await;
    line.returned_us = history.now_us();
    let answer = match answer {
        Ok(found) => {
            (line.outcome, line.node, line.epoch, line.position) =
                (Outcome::Ok, found.node.0, found.epoch.0, found.size);
            Ok(found.record)
        }
        Err(error) => {
            line.detail = error.to_string();
            Err(line.detail.clone())
        }
    };
    history.add(&line);
    answer
}
