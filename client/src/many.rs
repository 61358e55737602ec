//! Many records in one call: messages of as many as a node takes, each sent until every record of it has its answer.

use std::time::Instant;

use bytes::Bytes;
use kho_proto::batch::{Known, SUBMIT_MANY_BYTES_MAX, SUBMIT_MANY_RECORDS_MAX};
use kho_proto::detail;
use kho_proto::error::Kind;
use kho_proto::id::{Epoch, NodeId};
use kho_proto::pb::v1::submit_result::Result as Wire;
use kho_proto::pb::v1::{NotTaken, SubmitManyRequest, SubmitManyResponse, SubmitResult, Taken};
use kho_proto::record::to_file;
use prost::Message as _;

use crate::attempt::Failed;
use crate::case::Case;
use crate::client::Client;
use crate::draft::Signed;
use crate::observe;
use crate::passage;
use crate::rounds::{Next, Rounds};
use crate::submit::{Acknowledged, Answered, SubmitError};

/// One record's answer.
type Answer = Result<Acknowledged, SubmitError>;

/// An attempt with many records may take so many times as long as one with a single record.
const ATTEMPT_FACTOR: u32 = 2;
/// What a record or a certificate costs in a message besides its own bytes: its tag and its length.
const ELEMENT_BYTES: usize = 8;

/// A record that has no answer yet.
struct Open<'a> {
    place: usize,
    record: &'a Signed,
    case: Case,
}

/// Records of one message: their certificates once, as far as the node keeps them.
#[derive(Default)]
struct Message {
    records: Vec<Bytes>,
    certificates: Vec<Bytes>,
    known: Known,
    bytes: usize,
}

impl Message {
    /// False: there is no room for it. The first one always has.
    fn add(&mut self, record: &Signed) -> bool {
        let whole = record.record();
        let length = self.known.without(whole).map_or_else(|| whole.encoded_len(), |short| short.encoded_len());
        let bytes = length + (1 + whole.certificates.len()) * ELEMENT_BYTES;
        let full = self.records.len() >= SUBMIT_MANY_RECORDS_MAX || self.bytes + bytes > SUBMIT_MANY_BYTES_MAX;
        if full && !self.records.is_empty() {
            return false;
        }
        self.certificates.extend(self.known.learn(&whole.certificates));
        let sent = self.known.without(whole).map_or_else(|| to_file(whole), |short| to_file(&short));
        self.records.push(sent.into());
        self.bytes += bytes;
        true
    }

    fn request(self) -> SubmitManyRequest {
        SubmitManyRequest { records: self.records, certificates: self.certificates }
    }
}

/// A node's answer about one record, as the failure that it is; else the receipt.
pub(crate) fn read(result: Option<SubmitResult>) -> Result<Taken, Failed> {
    let not_taken = |NotTaken { message, detail }: NotTaken, unknown: bool| {
        let detail = detail.unwrap_or_default();
        let unknown = unknown || detail.unknown;
        let (code, retry) = (detail.code.clone(), detail.retry);
        match detail::refusal(detail, &message) {
            Some(refusal) if unknown || matches!(refusal.code.kind(), Kind::Unknown | Kind::Fault) => {
                Failed::Admitted(refusal)
            }
            Some(refusal) => Failed::Refused(refusal),
            // of a later version, with a code that is not known here
            None if unknown || retry => Failed::Unknown(format!("{code}: {message}")),
            None => Failed::Foreign(format!("{code}: {message}")),
        }
    };
    match result.and_then(|result| result.result) {
        Some(Wire::Taken(taken)) => Ok(taken),
        Some(Wire::Refused(refused)) => Err(not_taken(refused, false)),
        Some(Wire::Unknown(unknown)) => Err(not_taken(unknown, true)),
        None => Err(Failed::Unknown("the answer says nothing about the record".to_owned())),
    }
}

/// Whether a failure that was [`read`] is a refusal of a later version: it is about one record, and nothing is wrong with the node.
pub(crate) fn is_later(failed: &Failed) -> bool {
    matches!(failed, Failed::Foreign(_))
}

impl Client {
    /// Submits signed records and returns an answer for each, in their order: as [`Client::submit`] would give it.
    ///
    /// The records of one message (256 of them, or 4 MiB) go to the log together and in their order, so one may supersede
    /// an earlier one. Each message has the deadline of a call for itself, and the next begins when it is answered. For
    /// records as they come a stream is better: [`Client::submit_stream`].
    ///
    /// Dropped while it waits, the records of the message under way are in doubt, those behind it were not sent: submit them
    /// all again, each gets its first receipt.
    ///
    /// ```no_run
    /// # async fn example(client: kho_client::Client, records: Vec<kho_client::Signed>) {
    /// for (record, answer) in records.iter().zip(client.submit_many(&records).await) {
    ///     match answer {
    ///         Ok(done) => println!("{} stands at {}", done.record_id, done.receipt.sequence),
    ///         Err(error) => println!("{}: {error}", record.record_id()),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn submit_many(&self, records: &[Signed]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
        let mut from = 0;
        while from < records.len() {
            let mut message = Message::default();
            let upto = records.iter().enumerate().skip(from).find(|(_, record)| !message.add(record));
            let upto = upto.map_or(records.len(), |(place, _)| place);
            let (open, nodes) = (records[from..upto].iter().zip(from..), self.nodes().count());
            let open = open.map(|(record, place)| Open { place, record, case: Case::of(record, nodes) }).collect();
            self.submit_message(open, &mut answers).await;
            from = upto;
        }
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        answers.iter().for_each(|answer| observe::settled("submit_many", answer.as_ref().err().map(SubmitError::code)));
        answers
    }

    /// Answers all of `open`. Dropped while it waits, each of them that was sent is in doubt.
    async fn submit_message(&self, mut open: Vec<Open<'_>>, answers: &mut [Option<Answer>]) {
        let mut timing = *self.timing();
        timing.attempt = (timing.attempt * ATTEMPT_FACTOR).min(timing.deadline);
        let mut rounds = Rounds::new(&timing, self.seed());
        while !open.is_empty()
            && let Next::Ask { node, budget } = rounds.next(self.nodes()).await
        {
            let mut message = Message::default();
            // Fewer than fitted before; but the node keeps a bounded number of certificates, and without the records that
            // were answered others of them may have to be sent.
            let fits = open.iter().position(|open| !message.add(open.record)).unwrap_or(open.len());
            let later = open.split_off(fits);
            open.iter_mut().for_each(|open| open.case.attempt());
            // whatever ends this call, a record without an answer may have been taken
            let under_way: Vec<_> = open.iter().map(|open| open.record.send()).collect();
            let mut store = node.store();
            let attempt = async {
                let call = |request| async move { store.submit_many(request).await };
                results(passage::attempt(budget, message.request(), call).await?, open.len())
            };
            let results = observe::attempt(node, rounds.attempts(), attempt).await;
            let (results, from) = match results {
                Ok((results, from)) => (results, Some(from)),
                Err(failed) => (open.iter().map(|_| Err(failed.clone())).collect(), None),
            };
            let (mut left, mut rests, mut proven) = (Vec::new(), false, true);
            for ((mut one, under_way), result) in open.into_iter().zip(under_way).zip(results) {
                let failed = match result {
                    Ok(Taken { receipt, duplicate }) => {
                        let from = Answered { attempts: one.case.attempts(), ..from.unwrap_or_default() };
                        let answer = self.acknowledged(one.record, receipt, duplicate, from, node);
                        proven &= answer.is_ok();
                        answers[one.place] = Some(answer);
                        continue;
                    }
                    Err(failed) => failed,
                };
                rests |= failed.rests_node() && !(from.is_some() && is_later(&failed));
                if !failed.leaves_doubt() {
                    under_way.not_taken();
                }
                rounds.failed(&failed);
                match one.case.failed(&node.address, failed) {
                    Some(error) => answers[one.place] = Some(Err(error)),
                    None => left.push(one),
                }
            }
            // its hints are worth as much as its receipts
            if let Some(from) = from.filter(|_| proven) {
                self.nodes().learn(node, from.node, from.leader);
            }
            if rests {
                node.unwell(Instant::now());
            }
            if !left.is_empty() {
                self.nodes().move_on();
            }
            left.extend(later);
            open = left;
        }
        for Open { place, case, .. } in open {
            answers[place] = Some(Err(case.over(self.nodes())));
        }
    }
}

/// One result for each of `expected` records, and who gave them.
fn results(response: SubmitManyResponse, expected: usize) -> Result<(Vec<Result<Taken, Failed>>, Answered), Failed> {
    let SubmitManyResponse { results, node_id, epoch, leader_id } = response;
    if results.len() != expected {
        let found = results.len();
        return Err(Failed::Unknown(format!("expected {expected} results, found {found}")));
    }
    let from = Answered { node: NodeId(node_id), leader: NodeId(leader_id), epoch: Epoch(epoch), attempts: 0 };
    Ok((results.into_iter().map(|result| read(Some(result))).collect(), from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::error::{Code, Refusal};

    #[test]
    fn what_a_node_says_of_one_record_is_what_a_call_would_have_said() {
        let wire = |result| Some(SubmitResult { result: Some(result) });
        let not_taken = |code| detail::not_taken(&Refusal::new(code, "why"));
        assert!(matches!(
            read(wire(Wire::Refused(not_taken(Code::SignatureInvalid)))),
            Err(Failed::Refused(refusal)) if refusal.code == Code::SignatureInvalid
        ));
        for result in [
            Wire::Unknown(not_taken(Code::OutcomeUnknown)),
            Wire::Unknown(not_taken(Code::NoLeader)),
            Wire::Refused(not_taken(Code::StorageFailed)),
        ] {
            assert!(read(wire(result)).unwrap_err().leaves_doubt());
        }
        assert!(read(None).unwrap_err().leaves_doubt());
        assert!(read(Some(SubmitResult { result: None })).unwrap_err().leaves_doubt());
        assert!(read(wire(Wire::Taken(Taken { receipt: None, duplicate: true }))).unwrap().duplicate);
    }

    #[test]
    fn a_code_of_a_later_version_is_no_promise() {
        let mut later = detail::not_taken(&Refusal::new(Code::NoLeader, "the moon is too low"));
        later.detail.as_mut().unwrap().code = "moon-too-low".to_owned();
        let read = |later: &NotTaken| read(Some(SubmitResult { result: Some(Wire::Refused(later.clone())) }));
        assert!(matches!(read(&later), Err(Failed::Unknown(_))), "it says that a retry helps");
        later.detail.as_mut().unwrap().retry = false;
        assert!(matches!(read(&later), Err(Failed::Foreign(_))));
    }
}
