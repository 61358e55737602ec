//! One call's way over the nodes: each node once per round, a pause between rounds, an end at the deadline.

use std::time::{Duration, Instant};

use backon::ExponentialBackoff;

use crate::attempt::Failed;
use crate::nodes::{Node, Nodes};
use crate::timing::Timing;

/// An attempt with less time than this proves nothing but doubt: a node leaves a quarter of it for the way back.
pub const ATTEMPT_MIN: Duration = Duration::from_millis(80);

/// Tells the node how long it is waited for (`grpc-timeout`): one that finds no leader says so in time, and what is
/// certainly not in does not end as unknown.
pub(crate) fn within<T>(budget: Duration, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(budget);
    request
}

pub(crate) enum Next<'a> {
    Ask { node: &'a Node, budget: Duration },
    Over,
}

pub(crate) struct Rounds<'a> {
    deadline: Instant,
    attempt: Duration,
    pauses: ExponentialBackoff,
    /// Nodes of this round that are still to be asked, the next one last.
    left: Vec<&'a Node>,
    /// Site of the node that was named last.
    site: usize,
    /// Before the next attempt.
    pause: Duration,
    attempts: u32,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(timing: &Timing, seed: u64) -> Self {
        Self {
            deadline: Instant::now() + timing.deadline,
            attempt: timing.attempt,
            pauses: timing.pauses(seed),
            left: Vec::new(),
            site: 0,
            pause: Duration::ZERO,
            attempts: 0,
        }
    }

    /// Waits if it has to, then names the node to ask and the time that it has.
    pub(crate) async fn next(&mut self, nodes: &'a Nodes) -> Next<'a> {
        if self.left.is_empty() {
            if self.attempts > 0 {
                self.pause = self.pause.max(self.pauses.next().unwrap_or_default());
            }
            self.left = nodes.round(Instant::now());
            self.left.reverse();
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        let Some(budget) = left.checked_sub(self.pause).filter(|budget| *budget >= ATTEMPT_MIN) else {
            return Next::Over;
        };
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
            self.pause = Duration::ZERO;
        }
        let Some(node) = self.left.pop() else { return Next::Over };
        self.attempts += 1;
        self.site = node.site;
        Next::Ask { node, budget: budget.min(self.attempt) }
    }

    /// Attempts that were named.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether there is a second node of the site to ask.
    pub(crate) fn has_second(&self) -> bool {
        self.left.last().is_some_and(|node| node.site == self.site)
            && self.deadline.saturating_duration_since(Instant::now()) >= ATTEMPT_MIN
    }

    /// A second node to ask while the first is slow: another one of this round and of the same site, without a pause.
    pub(crate) fn second(&mut self) -> Option<(&'a Node, Duration)> {
        let budget = self.deadline.saturating_duration_since(Instant::now());
        if budget < ATTEMPT_MIN {
            return None;
        }
        let node = self.left.pop_if(|node| node.site == self.site)?;
        self.attempts += 1;
        Some((node, budget.min(self.attempt)))
    }

    /// Respects a node's wish to be left alone: the others are likely in the same state.
    pub(crate) fn failed(&mut self, failed: &Failed) {
        if let Some(after) = failed.retry_after() {
            self.pause = self.pause.max(after);
        }
    }
}
