//! Records that were refused for good and may yet be in: the store knows. And what is kept of answers that prove nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::RecordId;

use super::limits::{ASKS_MAX, Pace};
use super::round::{Marked, Outcome};
use super::store::Number;
use super::verdict::{Of, Told};
use super::{Outbox, files};
use crate::client::Client;
use crate::get::{Fetched, GetError};
use crate::held::Breach;
use crate::receipts::{ReceiptError, Rejected};

/// What a node or a log has to answer for.
#[derive(Debug)]
pub(super) struct Evidence {
    rejected: Option<Box<Rejected>>,
    breach: Option<Box<Breach>>,
}

impl Evidence {
    pub fn of(source: &ReceiptError, rejected: Box<Rejected>) -> Self {
        let breach = match source {
            ReceiptError::Breach(breach) => Some(breach.clone()),
            _ => None,
        };
        Self { rejected: Some(rejected), breach }
    }

    /// Its files, and their names.
    fn files(self, record_id: RecordId) -> impl Iterator<Item = (String, Vec<u8>)> {
        let rejected = self.rejected.and_then(|rejected| rejected.to_file());
        let breach = self.breach.map(|breach| *breach);
        rejected
            .map(|bytes| (format!("{record_id}.tlog-proof.rejected"), bytes))
            .into_iter()
            .chain(breach.map(|breach| (format!("{record_id}.{}.json", breach.code.as_str()), breach.document.into())))
    }
}

impl Outbox {
    /// Keeps it. Where that fails the record waits all the same, and its sentence says so: what others deliver counts more.
    pub(super) async fn keep(&self, record_id: RecordId, evidence: Option<Evidence>, mut why: Told) -> Told {
        for (name, bytes) in evidence.into_iter().flat_map(|evidence| evidence.files(record_id)) {
            match self.blocking(move |shared| files::keep_evidence(&shared.dir, &name, &bytes)).await {
                Ok(path) => tracing::error!(record = %record_id, evidence = %path.display(), "{}", why.sentence),
                Err(error) => {
                    tracing::error!(record = %record_id, error = %error, "evidence is not kept: {}", why.sentence);
                    why.sentence = format!("the evidence could not be kept ({error}): {}", why.sentence);
                }
            }
        }
        why
    }

    /// Asks for these at the same time; all of it takes a call's deadline at most, or until `shutdown`.
    pub(super) async fn ask(
        &self,
        client: &Client,
        pace: Pace,
        asks: Vec<(Marked, Told)>,
        shutdown: &mut (impl Future<Output = ()> + Unpin),
    ) -> Vec<(Number, Outcome)> {
        let mut outcomes = Vec::with_capacity(asks.len());
        let ids: Vec<_> = asks.iter().map(|(record, _)| (record.number, record.record_id)).collect();
        let mut open: BTreeMap<_, _> = asks.into_iter().map(|ask| (ask.0.number, ask)).collect();
        let answers = futures::stream::iter(ids).map(|(number, id)| async move { (number, client.get(id).await) });
        let mut answers = std::pin::pin!(answers.buffer_unordered(ASKS_MAX));
        let mut late = std::pin::pin!(tokio::time::sleep(client.timing().deadline));
        loop {
            let answer = tokio::select! {
                biased;
                () = &mut *shutdown => break,
                answer = answers.next() => answer,
                () = &mut late => break,
            };
            let Some((number, answer)) = answer else { break };
            let Some((record, told)) = open.remove(&number) else { continue };
            let pause = pace.pause(record.rounds + 1, client.seed());
            outcomes.push((number, self.asked(&record, told, answer, pause).await));
        }
        for (number, (record, told)) in open {
            let pause = pace.pause(record.rounds + 1, client.seed());
            outcomes.push((number, unknown(&record, &told, Code::OutcomeUnknown, "no answer in time", pause)));
        }
        outcomes
    }

    async fn asked(&self, record: &Marked, told: Told, answer: Result<Fetched, GetError>, pause: Duration) -> Outcome {
        let error = match answer {
            Ok(found) if Digest::of(&found.record.header).as_ref() == record.header_digest => {
                return Outcome::Delivered { receipt: Box::new(found.receipt), duplicate: true };
            }
            Ok(_) => {
                let refusal = Refusal::new(Code::RecordIdConflict, "the record id is held by another header");
                return Outcome::Refused(Told::refusal(&refusal));
            }
            // every attempt's time is long over, and it is not there: said by a log that has all that it ever signed to this client
            Err(error) if error.proves_absence() => return Outcome::Refused(told),
            Err(error) => error,
        };
        let sentence = error.to_string();
        let (code, evidence) = match error {
            GetError::Receipt { source, rejected, .. } => (source.code(), Some(Evidence::of(&source, rejected))),
            GetError::Breach { breach, .. } => (breach.code, Some(Evidence { rejected: None, breach: Some(breach) })),
            GetError::Refused { .. } | GetError::Unreachable { .. } => (Code::OutcomeUnknown, None),
        };
        match unknown(record, &told, code, &sentence, pause) {
            Outcome::Waits { why, of, doubt, pause } => {
                Outcome::Waits { why: self.keep(record.record_id, evidence, why).await, of, doubt, pause }
            }
            other => other,
        }
    }
}

/// Refused, and whether it is in all the same is not known.
fn unknown(record: &Marked, told: &Told, code: Code, why: &str, pause: Duration) -> Outcome {
    let sentence = format!("{}: {}; whether it is in all the same: {why}", told.code.as_str(), told.sentence);
    Outcome::Waits { why: Told { code, sentence }, of: Of::Record, doubt: record.doubt, pause }
}
