//! Senders at work: each operation goes into the history, each acknowledgement is judged when it comes (I2, I4).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_chaos_tests::history::{Kind, Operation, Outcome};
use kho_chaos_tests::invariants::{Acknowledged, Breach};
use kho_client::attempt::Failed;
use kho_proto::digest::Digest;
use kho_proto::header::SubmittedAt;
use kho_proto::id::{NodeId, RecordId, UnixMs};
use kho_proto::pb::v1::SignedRecord;
use kho_proto::receipt::Receipt;
use kho_proto::record::{self, Draft};
use kho_proto::signature::Algorithm;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

use crate::caller::Caller;
use crate::cards::Card;
use crate::directory::Directory;
use crate::machine::{BEGINNING, elapsed};
use crate::record::Record;

/// Acknowledgements after which senders are in no hurry: a seed shall cost a few seconds of CPU.
const ENOUGH: usize = 300;
const THINK_LONG: Duration = Duration::from_secs(4);

/// A signed record and its id.
#[derive(Clone)]
pub struct Sent {
    /// UUIDv7.
    pub id: RecordId,
    /// As it travels.
    pub record: SignedRecord,
}

/// What all senders know.
#[derive(Default)]
pub struct Known {
    /// All that were ever made, in order: the last may be on their way.
    pub sent: Vec<Sent>,
    /// With receipts.
    pub acknowledged: Vec<(Sent, Acknowledged)>,
    /// May be in or not.
    pub unknown: Vec<Sent>,
    /// Broken promises.
    pub breaches: Vec<Breach>,
    /// Senders stop.
    pub stop: bool,
    /// Senders at work.
    pub working: usize,
}

/// A unit's senders.
pub struct Senders {
    /// Calls nodes.
    pub caller: Caller,
    /// What came of it.
    pub known: Mutex<Known>,
    /// The trace.
    pub record: Arc<Record>,
    /// Whom they ask.
    pub directory: Arc<Directory>,
    unit: String,
    card: Card,
    payload_max: usize,
}

fn us() -> u64 {
    elapsed().as_micros() as u64
}

impl Senders {
    /// Senders of `unit`, who sign with `card`.
    pub fn new(
        caller: Caller,
        record: Arc<Record>,
        directory: Arc<Directory>,
        unit: &str,
        card: Card,
        payload_max: usize,
    ) -> Self {
        Self { caller, known: Mutex::default(), record, directory, unit: unit.to_owned(), card, payload_max }
    }

    /// A report on its own.
    pub fn report(&self, chance: &mut SmallRng) -> Sent {
        let now = UnixMs(BEGINNING.0 + elapsed().as_millis() as u64);
        let id = RecordId::new_v7(now.0, &chance.random());
        let draft = Draft {
            record_id: id,
            unit: self.unit.parse().expect("a unit"),
            regime: "YT-01".parse().expect("a regime"),
            period: "2020-06-12".parse().expect("a period"),
            series: format!("bệnh viện {:x}", chance.random::<u64>()),
            supersedes: None,
            receivers: Vec::new(),
            submitted_at: SubmittedAt::from_unix_ms(now),
            media_type: "application/octet-stream".to_owned(),
            salt: chance.random(),
        };
        let mut payload = vec![0; chance.random_range(0..=self.payload_max)];
        chance.fill_bytes(&mut payload);
        let sign = |message: &[u8]| Ok::<_, Infallible>(self.card.sign(message));
        let chain = [Bytes::from(self.card.certificate.clone())];
        let record = record::sign(draft, payload.into(), Algorithm::Ed25519, &chain, sign);
        Sent { id, record: record.expect("a good draft") }
    }

    fn operation(&self, kind: Kind, sent: &Sent) -> Operation {
        Operation::asked(kind, sent.id.to_string(), Digest::of(&sent.record.header).to_string(), us())
    }

    /// Submits; whether the outcome is settled.
    pub async fn submit(&self, kind: Kind, node: NodeId, sent: &Sent) -> bool {
        let mut line = self.operation(kind, sent);
        let answer = self.caller.submit(node, sent.record.clone()).await;
        line.returned_us = us();
        let mut settled = true;
        match answer {
            Ok(done) => {
                (line.outcome, line.node, line.epoch) = (Outcome::Ok, done.node_id, done.epoch);
                line.duplicate = done.duplicate;
                match done.receipt.as_ref().map(Receipt::from_pb) {
                    Some(Ok(receipt)) => {
                        line.position = receipt.sequence.0;
                        let one = Acknowledged {
                            record_id: sent.id.to_string(),
                            record: sent.record.clone(),
                            receipt: receipt.to_tlog_proof(),
                            duplicate: done.duplicate,
                        };
                        self.known.lock().acknowledged.push((sent.clone(), one));
                    }
                    other => self.breach("I4", format!("record {}: acknowledged with {other:?}", sent.id)),
                }
            }
            Err(failed) => {
                line.detail = failed.to_string();
                match failed {
                    // refused before it was proposed; the record may be tried again, but need not
                    Failed::Refused(refusal) if refusal.code.retry() => {
                        line.outcome = Outcome::Failed;
                        settled = kind == Kind::Submit;
                    }
                    Failed::Unreached(_) => {
                        line.outcome = Outcome::Failed;
                        settled = kind == Kind::Submit;
                    }
                    Failed::Refused(refusal) => {
                        line.outcome = Outcome::Failed;
                        self.breach("I1", format!("a good record {} was refused: {refusal}", sent.id));
                    }
                    Failed::Foreign(what) => self.breach("I4", format!("record {}: {what}", sent.id)),
                    Failed::Admitted(_) | Failed::Unknown(_) => settled = false,
                }
            }
        }
        self.record.add(line);
        settled
    }

    /// Reads; what was found, or the error in words. None: no answer.
    pub async fn get(&self, node: NodeId, sent: &Sent) -> Option<Result<SignedRecord, String>> {
        let mut line = self.operation(Kind::Get, sent);
        let answer = self.caller.get(node, sent.id.as_bytes().to_vec()).await;
        line.returned_us = us();
        let found = match answer {
            Ok(found) => {
                (line.outcome, line.node, line.epoch, line.position) =
                    (Outcome::Ok, found.node_id, found.epoch, found.size);
                let receipt = found.receipt.as_ref().map(Receipt::from_pb);
                match receipt {
                    Some(Ok(receipt)) => line.found = Some(receipt.sequence.0),
                    other => self.breach("I4", format!("record {}: read with {other:?}", sent.id)),
                }
                let record = found.record.unwrap_or_default();
                line.digest = Digest::of(&record.header).to_string();
                Some(Ok(record))
            }
            Err(failed) => {
                line.detail = failed.to_string();
                if let Failed::Refused(refusal) = &failed
                    && let Some(size) = refusal.log_size
                {
                    (line.outcome, line.node, line.position) = (Outcome::Ok, node.0, size);
                }
                let absent = matches!(&failed, Failed::Refused(refusal) if !refusal.code.retry());
                absent.then(|| Err(failed.to_string()))
            }
        };
        self.record.add(line);
        found
    }

    fn breach(&self, invariant: &'static str, what: String) {
        self.known.lock().breaches.push(Breach { invariant, what });
    }

    /// Works until told to stop.
    pub async fn work(self: Arc<Self>, seed: u64, think_max: Duration) {
        let mut chance = SmallRng::seed_from_u64(seed);
        self.known.lock().working += 1;
        while !self.known.lock().stop {
            let enough = self.known.lock().acknowledged.len() >= ENOUGH;
            let think_max = if enough { THINK_LONG } else { think_max };
            tokio::time::sleep(think_max.mul_f64(chance.random())).await;
            let node = *self.directory.asked().choose(&mut chance).expect("three nodes");
            let earlier = {
                let known = self.known.lock();
                known.acknowledged.choose(&mut chance).cloned()
            };
            let doubtful = {
                let mut known = self.known.lock();
                let take = !known.unknown.is_empty() && chance.random_bool(0.3);
                take.then(|| {
                    let at = chance.random_range(0..known.unknown.len());
                    known.unknown.swap_remove(at)
                })
            };
            match (doubtful, earlier, chance.random_range(0..100)) {
                (Some(doubtful), ..) => {
                    if !self.submit(Kind::Resubmit, node, &doubtful).await {
                        self.known.lock().unknown.push(doubtful);
                    }
                }
                (None, Some((sent, _)), 0..10) => {
                    self.submit(Kind::Resubmit, node, &sent).await;
                }
                // I3: what was acknowledged before the question must be in the answer
                (None, Some((sent, first)), 10..35) => match self.get(node, &sent).await {
                    Some(Ok(found)) if found.header == first.record.header && found.payload == first.record.payload => {
                    }
                    Some(Ok(_)) => self.breach("I1", format!("record {} on node {node} is another", sent.id)),
                    Some(Err(why)) => self.breach("I3", format!("record {} on node {node}: {why}", sent.id)),
                    None => {}
                },
                // it may be on its way, or be nowhere: the history judges what was seen (I3)
                (None, Some(_), 35..45) => {
                    let newest = self.known.lock().sent.last().cloned();
                    if let Some(newest) = newest {
                        self.get(node, &newest).await;
                    }
                }
                _ => {
                    let sent = self.report(&mut chance);
                    self.known.lock().sent.push(sent.clone());
                    if !self.submit(Kind::Submit, node, &sent).await {
                        self.known.lock().unknown.push(sent);
                    }
                }
            }
        }
        self.known.lock().working -= 1;
    }
}
