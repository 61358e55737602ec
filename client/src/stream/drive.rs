//! What keeps a stream going: the only owner of its records, so that each gets one answer.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kho_proto::batch::SUBMIT_MANY_BYTES_MAX;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{Epoch, NodeId};
use kho_proto::pb::v1::{SubmitStreamResponse, Taken};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::link::{Link, Moved, Opening};
use super::open::{Certificates, Number, Records};
use super::way::{Way, leaves};
use super::{Given, Settled};
use crate::attempt::Failed;
use crate::case::Case;
use crate::client::Client;
use crate::draft::Signed;
use crate::many::{is_later, read};
use crate::nodes::Node;
use crate::observe;
use crate::submit::{Acknowledged, Answered, SubmitError};

/// A node that has not answered a record after so many times the length of an attempt hangs: it was asked to answer within one.
const PATIENCE_FACTOR: u32 = 2;
/// Bytes of a record beside its message's other fields.
const RECORD_BYTES_MAX: usize = SUBMIT_MANY_BYTES_MAX - 64;

/// What happened.
enum Event {
    Given(Option<Given>),
    Opened(Result<Link, (Arc<Node>, Failed)>),
    Link(Moved),
    /// Nobody takes results any more.
    Deserted,
    /// It is time to look.
    Woke,
}

/// Keeps one stream.
pub(super) struct Driver {
    client: Client,
    given: Option<mpsc::Receiver<Given>>,
    settled: mpsc::Sender<(Settled, OwnedSemaphorePermit)>,
    records: Records,
    link: Option<Link>,
    opening: Option<Opening>,
    way: Way,
    /// No record is sent before: the node asked for it.
    held: Instant,
}

impl Driver {
    pub fn new(
        client: Client,
        given: mpsc::Receiver<Given>,
        settled: mpsc::Sender<(Settled, OwnedSemaphorePermit)>,
    ) -> Self {
        Self {
            way: Way::new(&client),
            client,
            given: Some(given),
            settled,
            records: Records::default(),
            link: None,
            opening: None,
            held: Instant::now(),
        }
    }

    fn patience(&self) -> Duration {
        self.client.timing().attempt * PATIENCE_FACTOR
    }

    /// Until all senders are gone and all records are answered, or nobody takes answers.
    pub async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.look(now);
            if self.given.is_none() && self.records.is_empty() {
                return;
            }
            match self.next(now).await {
                Event::Given(Some(Given { record, place })) => self.take(record, place),
                Event::Given(None) => self.given = None,
                Event::Opened(opened) => self.opened(opened),
                Event::Link(Moved::Room) => self.send(),
                Event::Link(Moved::Answer(answer)) => self.answered(answer),
                Event::Link(Moved::Over(failed)) => self.lost(&failed),
                Event::Deserted => return,
                Event::Woke => {}
            }
        }
    }

    /// Does what is due.
    fn look(&mut self, now: Instant) {
        if self.records.stalls(now, self.patience()) {
            self.lost(&Failed::timed_out(self.patience()));
        }
        for number in self.records.overdue(now) {
            self.over(number);
        }
        if self.link.as_ref().is_some_and(|link| link.leaving) && self.records.sent().is_empty() {
            self.link = None;
        }
        let idle = self.link.is_none() && self.opening.is_none() && now >= self.way.resting;
        if idle && self.records.ready(now).is_some() {
            self.open(now);
        }
    }

    async fn next(&mut self, now: Instant) -> Event {
        let open = self.link.as_ref().is_some_and(|link| !link.leaving);
        let sends = open && now >= self.held && self.records.ready(now).is_some();
        let due = [self.way.resting, self.held].into_iter().filter(|due| *due > now);
        let wake = self.records.wake(now, self.patience()).into_iter().chain(due).min();
        let woke = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => pending().await,
            }
        };
        let given = async {
            match &mut self.given {
                Some(given) => given.recv().await,
                None => pending().await,
            }
        };
        let opened = async {
            match &mut self.opening {
                Some(opening) => opening.await,
                None => pending().await,
            }
        };
        let moved = async {
            match &mut self.link {
                Some(link) => link.moved(sends).await,
                None => pending().await,
            }
        };
        tokio::select! {
            given = given => Event::Given(given),
            opened = opened => Event::Opened(opened),
            moved = moved => Event::Link(moved),
            () = self.settled.closed() => Event::Deserted,
            () = woke => Event::Woke,
        }
    }

    fn take(&mut self, record: Signed, place: OwnedSemaphorePermit) {
        let length = record.record().encoded_len();
        let case = Case::of(&record, self.client.nodes().count());
        let number = self.records.add(record, case, place, self.client.timing().deadline);
        if length > RECORD_BYTES_MAX {
            // it would end the stream for its neighbours
            let refusal = Refusal::new(Code::PayloadTooLarge, "the record is larger than a message may be")
                .expected_found(format!("at most {RECORD_BYTES_MAX} bytes"), length.to_string());
            self.failed(number, "this client", Failed::Refused(refusal), Duration::ZERO);
        }
    }

    /// Tries the next node.
    fn open(&mut self, now: Instant) {
        if let Some(node) = self.way.next(&self.client, now) {
            // an attempt like any other: a node that hangs leaves time for the others
            self.opening = Some(Link::open(node, self.client.timing().attempt));
        }
    }

    fn opened(&mut self, opened: Result<Link, (Arc<Node>, Failed)>) {
        self.opening = None;
        let (node, failed) = match opened {
            Ok(link) => return self.link = Some(link),
            Err(failed) => failed,
        };
        self.way.leave(&self.client, &node, failed.retry_after());
        for number in self.records.waiting() {
            self.failed(number, &node.address, failed.clone(), Duration::ZERO);
        }
    }

    fn send(&mut self) {
        let attempt = self.client.timing().attempt;
        let (Some(link), Some(number)) = (&mut self.link, self.records.ready(Instant::now())) else { return };
        if let Some(open) = self.records.get_mut(number) {
            link.send(number, open, attempt);
        }
    }

    fn answered(&mut self, answer: SubmitStreamResponse) {
        let SubmitStreamResponse { correlation: number, result, node_id, epoch, leader_id } = answer;
        let Some(link) = &mut self.link else { return };
        let node = link.node.clone();
        let Some(open) = self.records.get_mut(number) else { return };
        let attempts = open.case.attempts();
        let from = Answered { node: NodeId(node_id), leader: NodeId(leader_id), epoch: Epoch(epoch), attempts };
        let failed = match read(result) {
            Ok(Taken { receipt, duplicate }) => {
                let answer = self.client.acknowledged(&open.record, receipt, duplicate, from, &node);
                match &answer {
                    // its hints are worth as much as its receipts
                    Ok(_) => {
                        self.client.nodes().learn(&node, from.node, from.leader);
                        self.way.well(&self.client);
                    }
                    Err(SubmitError::Receipt { source, .. }) if source.blames_node() && !link.leaving => {
                        link.leaving = true;
                        self.way.leave(&self.client, &node, None);
                    }
                    Err(_) => {}
                }
                return self.settle(number, answer);
            }
            Err(failed) => failed,
        };
        self.client.nodes().learn(&node, from.node, from.leader);
        let missing = matches!(&failed, Failed::Refused(refusal) if refusal.code == Code::CertificateMissing);
        if missing && open.certificates == Certificates::LeftOut {
            // it does not keep them, or not as long: they go along
            open.certificates = Certificates::Along;
            open.not_taken_unless(false);
            return open.again(Duration::ZERO);
        }
        let timing = self.client.timing();
        let growing = timing.backoff_min * 2u32.pow(attempts.min(10));
        let pause = failed.retry_after().unwrap_or(growing.min(timing.backoff_max));
        if matches!(&failed, Failed::Refused(refusal) if refusal.code == Code::Overloaded) {
            self.held = self.held.max(Instant::now() + pause);
        }
        let (elsewhere, later) = (leaves(&failed), is_later(&failed));
        let goes_on = self.failed(number, &node.address, failed, pause);
        if elsewhere
            && goes_on
            && let Some(link) = self.link.as_mut().filter(|link| !link.leaving)
        {
            link.leaving = true;
            match later {
                true => self.way.turn(&self.client, None),
                false => self.way.leave(&self.client, &node, None),
            }
        }
    }

    /// The stream is over: what is with its node goes to another one.
    fn lost(&mut self, failed: &Failed) {
        let Some(link) = self.link.take() else { return };
        let sent = self.records.sent();
        // a node ends a stream on which nothing happens, and there is nothing wrong with it
        if !self.records.is_empty() {
            self.way.leave(&self.client, &link.node, None);
        }
        for number in sent {
            self.failed(number, &link.node.address, failed.clone(), Duration::ZERO);
        }
    }

    /// An attempt failed. True: it is made again after `pause`; else nothing else can come of it.
    fn failed(&mut self, number: Number, address: &str, failed: Failed, pause: Duration) -> bool {
        let Some(open) = self.records.get_mut(number) else { return false };
        let doubt = failed.leaves_doubt();
        let over = open.case.failed(address, failed);
        open.not_taken_unless(doubt);
        let Some(error) = over else {
            open.again(pause);
            return true;
        };
        self.settle(number, Err(error));
        false
    }

    /// Its time is up.
    fn over(&mut self, number: Number) {
        let address = self.link.as_ref().map_or_else(|| "no node".to_owned(), |link| link.node.address.clone());
        let Some(mut open) = self.records.remove(number) else { return };
        if open.is_sent() {
            // whatever it says now
            open.case.failed(&address, Failed::timed_out(self.client.timing().deadline));
        }
        let error = open.case.over(self.client.nodes());
        self.tell(open.record, open.permit, Err(error));
    }

    fn settle(&mut self, number: Number, answer: Result<Acknowledged, SubmitError>) {
        if let Some(open) = self.records.remove(number) {
            self.tell(open.record, open.permit, answer);
        }
    }

    fn tell(&self, record: Signed, permit: OwnedSemaphorePermit, answer: Result<Acknowledged, SubmitError>) {
        observe::settled("submit_stream", answer.as_ref().err().map(SubmitError::code));
        // There is room for as many as there are permits. An error: nobody takes answers, and the driver ends next.
        drop(self.settled.try_send((Settled { record, answer }, permit)));
    }
}
