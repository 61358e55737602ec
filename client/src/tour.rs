//! A stream's way over the nodes, for as long as it goes on: each node once a round, growing pauses between rounds.
//!
//! A call has a deadline and [`Rounds`](crate::rounds::Rounds); a stream goes on where it was, and only gets slower. That a
//! node opens it does not mean that it is well: others' calls say so all the time of a node that can't serve this stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::time::Instant;
use tonic::{Response, Status};

use crate::attempt::Failed;
use crate::client::Client;
use crate::nodes::{Node, Nodes, Store};
use crate::observe;
use crate::timing::Timing;

/// A node's wish to be left alone is respected for so long at most: it may be wrong, and others wait with it.
const WISH_MAX: Duration = Duration::from_secs(10);

type Opening<S> = Pin<Box<dyn Future<Output = (Arc<Node>, Result<S, Failed>)> + Send>>;

/// Where a stream may be opened next.
pub(crate) struct Tour<S> {
    timing: Timing,
    seed: u64,
    pauses: ExponentialBackoff,
    /// Of this round, the next one last.
    left: Vec<Arc<Node>>,
    /// No node is asked before.
    resting: Option<Instant>,
    /// The attempt under way. It outlives a call that is dropped: a caller who drops often would else never get beyond a node
    /// that hangs.
    opening: Option<Opening<S>>,
    attempts: u32,
    /// Whose stream broke last: others first in the next round, whoever leads.
    broken: Option<Arc<Node>>,
    /// Nobody got any further since.
    failing: Option<Instant>,
    /// A round was begun since somebody did, and whether all of one failed.
    begun: bool,
    lost: bool,
}

impl<S: Send + 'static> Tour<S> {
    /// An attempt is as long as one of the timing, pauses are between its bounds.
    pub fn new(client: &Client, timing: Timing) -> Self {
        let seed = client.seed();
        Self {
            pauses: timing.pauses(seed),
            timing,
            seed,
            left: Vec::new(),
            resting: None,
            opening: None,
            attempts: 0,
            broken: None,
            failing: None,
            begun: false,
            lost: false,
        }
    }

    /// Asks the next node, after a pause if one is due; an error says which one it was. Cancel safe: the next call goes on with the
    /// same pause and attempt.
    pub async fn open<F>(
        &mut self,
        nodes: &Nodes,
        call: impl FnOnce(Store) -> F,
    ) -> Result<(S, Arc<Node>), (Arc<Node>, Failed)>
    where
        F: Future<Output = Result<Response<S>, Status>> + Send + 'static,
    {
        if self.opening.is_none() {
            if let Some(resting) = self.resting {
                tokio::time::sleep_until(resting).await;
                self.resting = None;
            }
            if self.left.is_empty() {
                self.left = nodes.round_owned(Instant::now().into_std());
                let broken = self.broken.take();
                let last = |node: &Arc<Node>| broken.as_ref().is_some_and(|broken| Arc::ptr_eq(broken, node));
                self.left.sort_by_key(last);
                self.left.reverse();
                self.begun = true;
            }
            let node = self.left.pop().expect("a client has a node");
            self.attempts += 1;
            let call = call(node.store());
            self.opening = Some(attempt(node, self.attempts, self.timing.attempt, call));
        }
        let opening = self.opening.as_mut().expect("it is there since a moment ago");
        let (node, opened) = opening.await;
        self.opening = None;
        match opened {
            Ok(stream) => Ok((stream, node)),
            Err(failed) => {
                self.failed(nodes, &node, &failed);
                Err((node, failed))
            }
        }
    }

    /// A stream that was open ended, whatever for: others first.
    pub fn broke(&mut self, nodes: &Nodes, node: &Arc<Node>, failed: &Failed) {
        node.unwell(Instant::now().into_std());
        self.broken = Some(node.clone());
        self.failed(nodes, node, failed);
    }

    fn failed(&mut self, nodes: &Nodes, node: &Node, failed: &Failed) {
        let now = Instant::now();
        self.failing.get_or_insert(now);
        if failed.rests_node() {
            node.unwell(now.into_std());
        }
        nodes.move_on();
        let mut pause = failed.retry_after().map(|wish| wish.min(WISH_MAX));
        if self.left.is_empty() {
            self.lost |= self.begun;
            pause = pause.max(self.pauses.next());
        }
        self.resting = pause.map(|pause| now + pause);
    }

    /// The stream got further with this node.
    pub fn well(&mut self, node: &Node) {
        node.well();
        self.left.clear();
        (self.begun, self.lost) = (false, false);
        if self.failing.take().is_some() {
            self.pauses = self.timing.pauses(self.seed);
        }
    }

    /// Since when nobody got any further, or that was told; it is asked by who waits: now at the latest.
    pub fn failing(&mut self) -> Instant {
        *self.failing.get_or_insert_with(Instant::now)
    }

    /// Whether a whole round of nodes failed since somebody got further.
    pub fn lost(&self) -> bool {
        self.lost
    }

    /// It was told how long it has failed: that begins anew. Pauses do not.
    pub fn told(&mut self) {
        self.failing = None;
    }
}

fn attempt<S, F>(node: Arc<Node>, number: u32, limit: Duration, call: F) -> Opening<S>
where
    S: Send + 'static,
    F: Future<Output = Result<Response<S>, Status>> + Send + 'static,
{
    Box::pin(async move {
        let answer = async {
            match tokio::time::timeout(limit, call).await {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err(Failed::of(&status)),
                Err(_) => Err(Failed::timed_out(limit)),
            }
        };
        let opened = observe::attempt(&node, number, answer).await;
        (node, opened)
    })
}
