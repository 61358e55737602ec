//! The load: senders at a steady pace, through the same client as everybody's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kho_client::{Acknowledged, Client, Draft, Signed, Signer, SubmitError};
use kho_proto::id::{DRILL_REGIME, DRILL_UNIT};
use kho_proto::period::Period;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exit::Result;

/// What became of a test record's submission.
#[derive(Debug)]
pub enum Outcome {
    /// It has its receipt.
    Acknowledged(Box<Acknowledged>),
    /// It may be in; why.
    Unknown(String),
    /// It is certainly not in; why.
    Failed(String),
}

/// One submission, times since the load's beginning.
#[derive(Debug)]
pub struct Operation {
    /// What was sent.
    pub record: Signed,
    /// When.
    pub begun: Duration,
    /// When the client gave its answer.
    pub ended: Duration,
    /// The answer.
    pub outcome: Outcome,
}

impl Operation {
    /// The acknowledgement, if it was one.
    pub fn acknowledged(&self) -> Option<&Acknowledged> {
        match &self.outcome {
            Outcome::Acknowledged(acknowledged) => Some(acknowledged),
            _ => None,
        }
    }
}

/// What a submission's answer says.
pub fn outcome(answer: std::result::Result<Acknowledged, SubmitError>) -> Outcome {
    match answer {
        Ok(acknowledged) => Outcome::Acknowledged(Box::new(acknowledged)),
        // a receipt that proves nothing proves no absence either
        Err(error @ (SubmitError::Unknown { .. } | SubmitError::Receipt { .. })) => Outcome::Unknown(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Makes test records.
pub struct Maker {
    signer: Arc<dyn Signer>,
    client: Client,
    period: Period,
    drill: String,
    payload: usize,
}

impl Maker {
    /// Records of the drill that began at `period` and is called `drill`, signed by `signer`.
    pub fn new(signer: Arc<dyn Signer>, client: Client, period: Period, drill: &str, payload: usize) -> Self {
        Self { signer, client, period, drill: drill.to_owned(), payload }
    }

    /// The client that they go through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The next one: each is a series of its own, so that none waits for another.
    pub async fn make(&self, name: &str) -> Result<Signed> {
        let series = format!("{} {name}", self.drill);
        let mut payload = format!("test record of kho drill: {series} ").into_bytes();
        payload.resize(self.payload, b'.');
        let draft = Draft {
            record_id: None,
            unit: DRILL_UNIT.parse()?,
            regime: DRILL_REGIME.parse()?,
            period: self.period,
            series,
            supersedes: None,
            receivers: Vec::new(),
            media_type: "text/plain; charset=utf-8".to_owned(),
            payload: payload.into(),
        };
        Ok(draft.sign(&*self.signer, self.client.surroundings()).await?)
    }
}

/// A load under way. Ends with [`Load::stop`], or with this value.
pub struct Load {
    /// Its beginning.
    pub start: Instant,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    senders: JoinSet<Result>,
}

struct Shared {
    maker: Maker,
    start: Instant,
    /// Between two records of all senders together.
    every: Duration,
    senders: u64,
    done: Mutex<Done>,
}

/// What the senders did.
#[derive(Default)]
pub struct Done {
    /// All submissions, in the order of their answers.
    pub operations: Vec<Operation>,
    /// Records that were not sent at their time, since their sender was waiting for an answer.
    pub missed: u64,
}

impl Load {
    /// Starts `senders` senders with `rate` records a second together.
    pub fn start(maker: Maker, senders: u64, rate: u64) -> Self {
        let start = Instant::now();
        let every = Duration::from_nanos(1_000_000_000 / rate.max(1));
        let shared = Arc::new(Shared { maker, start, every, senders, done: Mutex::default() });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for first in 0..senders {
            tasks.spawn(send(shared.clone(), first, stopped.clone()));
        }
        Self { start, shared, stop, senders: tasks }
    }

    /// Fails as soon as a sender does: the load would not be what it says.
    pub async fn failure(&mut self) -> crate::exit::Failure {
        loop {
            match self.senders.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => return failure,
                Some(Err(error)) => return error.into(),
                None => std::future::pending().await,
            }
        }
    }

    /// Lets every sender have its last answer, and says what they did.
    pub async fn stop(mut self) -> Result<(Maker, Done)> {
        // nobody listens if all have ended
        let _ = self.stop.send(true);
        while let Some(ended) = self.senders.join_next().await {
            ended??;
        }
        let shared = Arc::into_inner(self.shared).ok_or_else(|| anyhow::anyhow!("a sender still runs"))?;
        Ok((shared.maker, shared.done.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

async fn send(shared: Arc<Shared>, first: u64, mut stopped: watch::Receiver<bool>) -> Result {
    let mut number = first;
    loop {
        let record = shared.maker.make(&number.to_string()).await?;
        let due = shared.start + shared.every * u32::try_from(number)?;
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let begun = shared.start.elapsed();
        let outcome = outcome(shared.maker.client.submit(&record).await);
        let ended = shared.start.elapsed();
        // what was due meanwhile is left out, and counted: sent late in one burst it would look like another fault
        let mut missed = 0;
        number += shared.senders;
        while shared.every * u32::try_from(number + shared.senders)? < ended {
            number += shared.senders;
            missed += 1;
        }
        let mut done = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.missed += missed;
        done.operations.push(Operation { record, begun, ended, outcome });
    }
}
