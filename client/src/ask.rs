//! A question that changes nothing: asked of one node after the other, until one answers.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kho_proto::error::{Code, Refusal};
use tonic::{Request, Response, Status};

use crate::attempt::{Failed, sentence};
use crate::client::Client;
use crate::foreign::Foreign;
use crate::held::{Answer, Breach, Floor};
use crate::nodes::{Node, Store};
use crate::observe;
use crate::passage;
use crate::rounds::{Next, Rounds};

/// Why a list, a count, a history or a watch ended.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A node answered that it will not or cannot.
    #[error("{}", sentence(.refusal))]
    Refused {
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// No node answered in time.
    #[error("no answer from {tried}: {last}")]
    Unreachable {
        /// Addresses tried.
        tried: String,
        /// What the last one said.
        last: String,
    },
    /// An answer is not what a node of this version says.
    #[error("answer of {address}: {field}: expected {expected}, found {found}")]
    Answer {
        /// Who answered.
        address: String,
        /// Which field.
        field: &'static str,
        /// What it should have been.
        expected: String,
        /// What it was.
        found: String,
    },
    /// The answer reflects less of the log than was signed before it was asked for.
    #[error(transparent)]
    Breach(#[from] Box<Breach>),
}

impl ReadError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ReadError::Refused { refusal } => refusal.code,
            ReadError::Unreachable { .. } => Code::NoLeader,
            ReadError::Answer { .. } => Code::RequestMalformed,
            ReadError::Breach(breach) => breach.code,
        }
    }
}

/// Why nobody answered a question.
pub(crate) enum NoAnswer<'a> {
    /// This node will not or cannot.
    Refused(Box<Refusal>, &'a Node),
    /// No node answered in time.
    Unreachable { tried: String, last: String },
}

impl From<NoAnswer<'_>> for ReadError {
    fn from(none: NoAnswer<'_>) -> Self {
        match none {
            NoAnswer::Refused(refusal, _) => ReadError::Refused { refusal },
            NoAnswer::Unreachable { tried, last } => ReadError::Unreachable { tried, last },
        }
    }
}

impl Client {
    /// Holds a linearizable answer against what was signed before it was asked for. A node that is behind is asked last for
    /// a while.
    pub(crate) async fn reflects(&self, floor: &Floor, answer: &Answer<'_>, node: &Node) -> Result<(), Box<Breach>> {
        let held = self.receipts().held();
        let Err(breach) = held.at_least(floor, answer) else { return Ok(()) };
        node.unwell(Instant::now());
        Err(Box::new(held.filed(breach, answer.address).await))
    }

    /// Asks until a node answers, refuses for good, or the time is over. Cancel safe: it changes nothing.
    pub(crate) async fn ask<Q: Clone, A, F>(
        &self,
        question: Q,
        call: impl Fn(Store, Request<Q>) -> F,
    ) -> Result<(A, &Node), NoAnswer<'_>>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.ask_hedged(question, None, call).await.inspect(|(_, node)| node.well())
    }

    /// The same; an attempt without an answer after `hedge` gets company, once a call and as far as the budget goes. The first
    /// good answer ends both. Whoever asks says whether it was one: a node that lies is not well.
    pub(crate) async fn ask_hedged<Q: Clone, A, F>(
        &self,
        question: Q,
        hedge: Option<Duration>,
        call: impl Fn(Store, Request<Q>) -> F,
    ) -> Result<(A, &Node), NoAnswer<'_>>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut rounds = Rounds::new(self.timing(), self.seed());
        let mut last = Failed::Unreached("no attempt was made".to_owned());
        // says more than the silence of the nodes that were asked after it
        let (mut refused, mut foreign) = (None, Foreign::default());
        // with the moment when each was asked
        let (mut flight, mut asked) = (FuturesUnordered::new(), Vec::<(&Node, Instant)>::new());
        let mut company = hedge;
        let call = &call;
        let attempt = |node, budget, number| {
            let answer = passage::attempt(budget, question.clone(), move |request| call(Node::store(node), request));
            observe::attempt(node, number, answer).map(move |answer| (node, answer))
        };
        if hedge.is_some() {
            self.hedges().earn();
        }
        loop {
            if flight.is_empty() {
                let Next::Ask { node, budget } = rounds.next(self.nodes()).await else { break };
                asked.push((node, Instant::now()));
                flight.push(attempt(node, budget, rounds.attempts()));
            }
            let slow = async {
                match company {
                    Some(after) => tokio::time::sleep(after).await,
                    None => pending().await,
                }
            };
            let (node, answer): (&Node, _) = tokio::select! {
                Some(done) = flight.next() => done,
                () = slow => {
                    company = None;
                    let may = rounds.has_second() && self.hedges().spend();
                    if may && let Some((node, budget)) = rounds.second() {
                        tracing::debug!(node = %node.address, "a read is slow: another node is asked as well");
                        observe::hedged();
                        asked.push((node, Instant::now()));
                        flight.push(attempt(node, budget, rounds.attempts()));
                    }
                    continue;
                }
            };
            asked.retain(|(asked, _)| !std::ptr::eq(*asked, node));
            let failed = match answer {
                Ok(answer) => {
                    // still silent after all this time: others first, for a while; not who was asked just now
                    let now = Instant::now();
                    let slow = |at: Instant| hedge.is_none_or(|after| now.duration_since(at) >= after);
                    asked.iter().filter(|(_, at)| slow(*at)).for_each(|(slow, _)| slow.unwell(now));
                    return Ok((answer, node));
                }
                Err(failed) => failed,
            };
            tracing::debug!(node = %node.address, %failed, "attempt failed");
            if failed.rests_node() {
                node.unwell(Instant::now());
            }
            rounds.failed(&failed);
            let over = foreign.ends(&node.address, &failed, self.nodes().count());
            refused = failed.answer().map(|refusal| (refusal.clone(), node)).or(refused);
            last = failed;
            if over {
                break;
            }
            self.nodes().move_on();
        }
        Err(match refused {
            Some((refusal, node)) => NoAnswer::Refused(Box::new(refusal), node),
            None => {
                let tried = self.nodes().addresses().collect::<Vec<_>>().join(", ");
                NoAnswer::Unreachable { tried, last: foreign.beside(&last) }
            }
        })
    }
}
