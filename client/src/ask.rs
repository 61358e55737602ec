//! A question that changes nothing: asked of one node after the other, until one answers.

use std::future::Future;
use std::time::Instant;

use kho_proto::error::{Code, Refusal};
use tonic::{Request, Response, Status};

use crate::attempt::{Failed, sentence};
use crate::client::Client;
use crate::nodes::{Node, Store};
use crate::rounds::{Next, Rounds, within};

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
}

impl ReadError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ReadError::Refused { refusal } => refusal.code,
            ReadError::Unreachable { .. } => Code::NoLeader,
            ReadError::Answer { .. } => Code::RequestMalformed,
        }
    }
}

/// Why nobody answered a question.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// A node will not or cannot.
    Refused(Box<Refusal>),
    /// No node answered in time.
    Unreachable { tried: String, last: String },
}

impl From<NoAnswer> for ReadError {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Refused(refusal) => ReadError::Refused { refusal },
            NoAnswer::Unreachable { tried, last } => ReadError::Unreachable { tried, last },
        }
    }
}

impl Client {
    /// Asks until a node answers, refuses for good, or the time is over.
    pub(crate) async fn ask<Q: Clone, A, F>(
        &self,
        question: Q,
        call: impl Fn(Store, Request<Q>) -> F,
    ) -> Result<(A, &Node), NoAnswer>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut rounds = Rounds::new(self.timing(), self.seed());
        let mut last = Failed::Unreached("no attempt was made".to_owned());
        // says more than the silence of the nodes that were asked after it
        let mut refused = None;
        while let Next::Ask { node, budget } = rounds.next(self.nodes()).await {
            let request = within(budget, question.clone());
            let failed = match tokio::time::timeout(budget, call(node.store.clone(), request)).await {
                Ok(Ok(answer)) => {
                    node.well();
                    return Ok((answer.into_inner(), node));
                }
                Ok(Err(status)) => Failed::of(&status),
                Err(_) => Failed::timed_out(budget),
            };
            tracing::debug!(node = %node.address, %failed, "attempt failed");
            if failed.rests_node() {
                node.unwell(Instant::now());
            }
            rounds.failed(&failed);
            let over = !failed.retry();
            refused = failed.answer().cloned().or(refused);
            last = failed;
            if over {
                break;
            }
            self.nodes().move_on();
        }
        Err(match refused {
            Some(refusal) => NoAnswer::Refused(Box::new(refusal)),
            None => {
                let tried = self.nodes().addresses().collect::<Vec<_>>().join(", ");
                NoAnswer::Unreachable { tried, last: last.to_string() }
            }
        })
    }
}
