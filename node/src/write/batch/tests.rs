use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kho_proto::error::Code;
use kho_proto::pb::ledger::v1::{Command, Submit, command::Kind};
use kho_proto::pb::v1::Receipt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX, Hop, IN_FLIGHT_MAX, Queue, SMALL_WAIT_MAX, WORTHWHILE_BYTES,
    WORTHWHILE_COMMANDS,
};
use crate::config::LimitsConfig;
use crate::seams::Seams;
use crate::write::deadline::Deadline;
use crate::write::propose::{Answer, Error, Propose};

/// A log that answers each command with its first byte as the sequence number.
struct Fake {
    batches: Mutex<Vec<usize>>,
    refusals: Mutex<VecDeque<Error>>,
    gate: Semaphore,
    leads: AtomicBool,
}

impl Fake {
    fn new() -> Arc<Self> {
        let gate = Semaphore::new(1 << 20);
        Arc::new(Self { batches: Mutex::default(), refusals: Mutex::default(), gate, leads: AtomicBool::new(true) })
    }

    fn closed() -> Arc<Self> {
        let gate = Semaphore::new(0);
        Arc::new(Self { batches: Mutex::default(), refusals: Mutex::default(), gate, leads: AtomicBool::new(true) })
    }

    fn refuse(&self, errors: impl IntoIterator<Item = Error>) {
        self.refusals.lock().extend(errors);
    }

    fn queue(self: &Arc<Self>) -> Queue {
        self.queue_of(&LimitsConfig::default())
    }

    fn queue_of(self: &Arc<Self>, limits: &LimitsConfig) -> Queue {
        Queue::start(limits, self.clone(), Seams::system().tasks)
    }
}

#[async_trait]
impl Propose for Fake {
    async fn propose(&self, commands: &[Command]) -> Result<Vec<Answer>, Error> {
        self.batches.lock().push(commands.len());
        self.gate.acquire().await.unwrap().forget();
        if let Some(error) = self.refusals.lock().pop_front() {
            return Err(error);
        }
        let answer = |command: &Command| {
            let Some(Kind::Submit(submit)) = &command.kind else { panic!("only submits are sent") };
            let receipt = Receipt { sequence: u64::from(submit.sealed_payload[0]), ..Receipt::default() };
            Answer::Accepted { receipt, duplicate: false }
        };
        Ok(commands.iter().map(answer).collect())
    }

    async fn leader_may_have_changed(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn leads(&self) -> bool {
        self.leads.load(Ordering::SeqCst)
    }
}

fn command(mark: u8, length: usize) -> Command {
    let submit = Submit { sealed_payload: Bytes::from(vec![mark; length]), ..Submit::default() };
    Command { kind: Some(Kind::Submit(submit)) }
}

fn sequence(answer: &Answer) -> u64 {
    match answer {
        Answer::Accepted { receipt, .. } => receipt.sequence,
        other => panic!("expected an accepted record, found {other:?}"),
    }
}

fn soon() -> Deadline {
    Deadline::after(Some(Duration::from_millis(50)))
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

#[tokio::test]
async fn the_first_goes_alone_and_what_waits_goes_together() {
    let fake = Fake::closed();
    let queue = fake.queue();
    let mut callers = Vec::new();
    for mark in 0..50 {
        let queue = queue.clone();
        callers.push(tokio::spawn(async move { queue.propose(command(mark, 10), Deadline::after(None)).await }));
        if mark == 0 {
            settle().await;
        }
    }
    settle().await;
    fake.gate.add_permits(1000);
    for (mark, caller) in callers.into_iter().enumerate() {
        assert_eq!(sequence(&caller.await.unwrap().unwrap()), mark as u64, "each caller gets its own answer");
    }
    let batches = fake.batches.lock().clone();
    assert_eq!(batches[0], 1, "idle: at once");
    assert!(batches[1] >= WORTHWHILE_COMMANDS, "in flight: when it is worth an entry");
    assert_eq!(batches.iter().sum::<usize>(), 50);
    assert!(batches.len() <= 3, "{batches:?}");
}

#[tokio::test]
async fn what_is_ready_together_goes_together() {
    for leads in [true, false] {
        let fake = Fake::new();
        fake.leads.store(leads, Ordering::SeqCst);
        let queue = fake.queue();
        let callers = (0..6).map(|mark| {
            let queue = queue.clone();
            tokio::spawn(async move {
                // some have a step more before them
                for _ in 0..mark % 3 {
                    tokio::task::yield_now().await;
                }
                queue.propose(command(mark, 10), Deadline::after(None)).await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap().unwrap();
        }
        assert_eq!(*fake.batches.lock(), [6], "leads: {leads}");
    }
}

#[tokio::test]
async fn a_node_that_does_not_lead_sends_what_it_has_while_places_are_free() {
    let fake = Fake::closed();
    fake.leads.store(false, Ordering::SeqCst);
    let queue = fake.queue();
    let mut callers = Vec::new();
    for mark in 0..IN_FLIGHT_MAX + 3 {
        let queue = queue.clone();
        let sent = command(u8::try_from(mark).unwrap(), 10);
        callers.push(tokio::spawn(async move { queue.propose(sent, Deadline::after(None)).await }));
        tokio::time::sleep(SMALL_WAIT_MAX / 10).await;
    }
    assert_eq!(*fake.batches.lock(), [1; IN_FLIGHT_MAX], "none waits for another");
    fake.gate.add_permits(1000);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(*fake.batches.lock(), [1, 1, 1, 1, 3], "and what found no place goes together");
}

/// A batch on its way to a leader that handed over held back everything behind it for 200 ms.
#[tokio::test]
async fn a_small_batch_does_not_wait_long_for_one_that_is_stuck() {
    let fake = Fake::closed();
    let queue = fake.queue();
    let mut callers = Vec::new();
    for mark in 0..2 {
        let queue = queue.clone();
        callers.push(tokio::spawn(async move { queue.propose(command(mark, 10), Deadline::after(None)).await }));
        if mark == 0 {
            settle().await;
        }
    }
    assert_eq!(*fake.batches.lock(), [1], "the first is on its way");
    tokio::time::timeout(50 * SMALL_WAIT_MAX, async {
        while fake.batches.lock().len() < 2 {
            tokio::time::sleep(SMALL_WAIT_MAX / 4).await;
        }
    })
    .await
    .expect("the second goes although the first never came back");
    fake.gate.add_permits(2);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_entry_keeps_to_its_bounds() {
    let fake = Fake::closed();
    let queue = fake.queue();
    let mut callers = Vec::new();
    for _ in 0..40 {
        let queue = queue.clone();
        let large = command(1, ENTRY_BYTES_MAX / 3);
        callers.push(tokio::spawn(async move { queue.propose(large, Deadline::after(None)).await }));
    }
    settle().await;
    fake.gate.add_permits(1000);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert!(fake.batches.lock().iter().all(|commands| *commands <= 2), "three thirds and their heads do not fit");
    let many = vec![command(2, 1); ENTRY_COMMANDS_MAX];
    let answers = queue.propose_all(many, Hop::Peer, Deadline::after(None)).await.unwrap();
    assert_eq!(answers.len(), ENTRY_COMMANDS_MAX);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let fake = Fake::closed();
    let queue = fake.queue_of(&LimitsConfig { queue_records: 16, queue_mib: 8, ..LimitsConfig::default() });
    let mut callers = Vec::new();
    for _ in 0..10_000 {
        let queue = queue.clone();
        callers.push(tokio::spawn(async move { queue.propose(command(1, 10), soon()).await }));
    }
    let mut refused = 0;
    for caller in callers {
        refused += usize::from(caller.await.unwrap().unwrap_err().code() == Code::Overloaded);
    }
    let held = 16 + (IN_FLIGHT_MAX + 1) * ENTRY_COMMANDS_MAX;
    assert!((10_000 - held..10_000).contains(&refused), "{refused}");
    let large = queue.propose(command(1, 9 << 20), soon()).await.unwrap_err();
    assert_eq!(large.code(), Code::Overloaded, "bytes are bounded too");
}

#[tokio::test]
async fn what_was_surely_not_proposed_is_tried_again() {
    let fake = Fake::new();
    fake.refuse([Error::NotLeader, Error::NotLeader]);
    let answer = fake.queue().propose(command(7, 10), Deadline::after(None)).await.unwrap();
    assert_eq!(sequence(&answer), 7);
    assert_eq!(fake.batches.lock().len(), 3);
}

#[tokio::test]
async fn what_may_have_been_proposed_is_never_sent_again() {
    let fake = Fake::new();
    fake.refuse([Error::Unknown]);
    let error = fake.queue().propose(command(7, 10), Deadline::after(None)).await.unwrap_err();
    assert_eq!(error, Error::Unknown);
    assert_eq!(fake.batches.lock().len(), 1);
}

#[tokio::test]
async fn a_deadline_in_the_log_is_unknown_and_one_before_it_is_not() {
    let fake = Fake::closed();
    let error = fake.queue().propose(command(7, 10), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::OutcomeUnknown);

    let fake = Fake::new();
    fake.refuse(std::iter::repeat_n(Error::NotLeader, 10_000));
    let queue = fake.queue();
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(queue.propose(command(7, 10), soon()).await.unwrap_err().code());
    }
    // The deadline may strike while an attempt is under way, and then nobody can say.
    assert!(codes.contains(&Code::NoLeader), "{codes:?}");
    assert!(codes.iter().all(|code| [Code::NoLeader, Code::OutcomeUnknown].contains(code)), "{codes:?}");
}

#[tokio::test]
async fn what_was_given_up_is_not_proposed_later() {
    let fake = Fake::closed();
    let queue = fake.queue();
    let mut blocking = Vec::new();
    for _ in 0..IN_FLIGHT_MAX {
        let queue = queue.clone();
        let large = command(1, WORTHWHILE_BYTES);
        blocking.push(tokio::spawn(async move { queue.propose(large, Deadline::after(None)).await }));
        settle().await;
    }
    let error = queue.propose(command(2, 10), soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::NoLeader);
    fake.gate.add_permits(1000);
    for caller in blocking {
        caller.await.unwrap().unwrap();
    }
    settle().await;
    assert_eq!(*fake.batches.lock(), [1; IN_FLIGHT_MAX]);
}

#[tokio::test]
async fn what_a_peer_sent_goes_back_when_this_node_does_not_lead() {
    let fake = Fake::new();
    fake.leads.store(false, Ordering::SeqCst);
    let queue = fake.queue();
    let error = queue.propose_all(vec![command(1, 10)], Hop::Peer, Deadline::after(None)).await.unwrap_err();
    assert_eq!(error, Error::NotLeader);
    assert!(fake.batches.lock().is_empty());
    queue.propose(command(1, 10), Deadline::after(None)).await.unwrap();
}
