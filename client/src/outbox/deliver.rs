//! The long-running part: rounds, and the pauses between them.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use futures::FutureExt;
use futures::future::FusedFuture;

use super::limits::UNIT_PAUSE;
use super::verdict::Of;
use super::{Drained, Outbox, OutboxError, Pace, Turn};
use crate::client::Client;

impl Pace {
    /// Pauses of the whole outbox, while nobody says anything of a single record.
    fn pauses(&self, seed: u64) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.pause_min)
            .with_max_delay(self.pause_max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed)
            .build()
    }

    /// The pause of one record after so many rounds: doubling, with up to a half more, so that records which failed
    /// together are not sent together for ever.
    pub(super) fn pause(&self, rounds: u32, draw: u64) -> Duration {
        let pause = self.pause_min.saturating_mul(1 << rounds.saturating_sub(1).min(20)).min(self.pause_max);
        pause + pause.mul_f64((draw % 1000) as f64 / 2000.0)
    }
}

/// When delivering ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Shutdown,
    Empty,
}

impl Outbox {
    /// Delivers what is there and what comes, until `shutdown` is done: then the round under way is ended (a call's
    /// deadline, at most) and this returns. An error: the store failed, and the outbox has to be opened again; nothing
    /// that a cluster says is one.
    ///
    /// May be dropped at any moment: what was on its way is in doubt, and sent again. Of several callers one delivers,
    /// the others wait for their turn.
    pub async fn deliver(&self, client: &Client, shutdown: impl Future<Output = ()>) -> Result<(), OutboxError> {
        self.run(client, Pace::default(), Until::Shutdown, shutdown).await.map(drop)
    }

    /// The same at another pace.
    pub async fn deliver_at(
        &self,
        client: &Client,
        pace: Pace,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), OutboxError> {
        self.run(client, pace, Until::Shutdown, shutdown).await.map(drop)
    }

    /// Delivers until nothing waits any more, until what waits does so for a change of the sender alone, or until
    /// `shutdown` is done. What was refused is not waited for; a cluster that does not answer is.
    pub async fn drain(
        &self,
        client: &Client,
        pace: Pace,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, OutboxError> {
        self.run(client, pace, Until::Empty, shutdown).await
    }

    async fn run(
        &self,
        client: &Client,
        pace: Pace,
        until: Until,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, OutboxError> {
        let mut shutdown = pin!(shutdown.fuse());
        let turn: Turn = tokio::select! {
            () = &mut shutdown => return Ok(Drained::Stopped),
            turn = self.shared.delivering.clone().lock_owned() => turn.into(),
        };
        let mut pauses = pace.pauses(client.seed());
        {
            let mut state = self.shared.state.lock();
            // what an earlier turn left paused may be sent by this one; and what it left under way is not any more
            state.queue.values_mut().for_each(|queued| queued.not_before = None);
            state.under_way.clear();
        }
        loop {
            let plan = self.shared.state.lock().plan(Instant::now());
            if !plan.orphans.is_empty() {
                self.refuse_orphans(&turn, plan.orphans).await?;
                continue;
            }
            if until == Until::Empty
                && let Some(drained) = self.shared.state.lock().drained(pace)
            {
                return Ok(drained);
            }
            let pause = if plan.send.is_empty() {
                let wait = async {
                    match plan.next {
                        Some(next) => tokio::time::sleep_until(next.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = &mut shutdown => return Ok(Drained::Stopped),
                    () = self.shared.changed.notified() => {}
                    () = wait => {}
                }
                Duration::ZERO
            } else {
                let of = self.round(client, pace, &turn, plan.send, &mut shutdown).await?;
                if shutdown.is_terminated() {
                    return Ok(Drained::Stopped);
                }
                if of != Of::All {
                    pauses = pace.pauses(client.seed());
                }
                match of {
                    Of::Record => Duration::ZERO,
                    Of::Unit => UNIT_PAUSE.min(pace.pause_min),
                    Of::All => pauses.next().unwrap_or(pace.pause_max),
                }
            };
            if !pause.is_zero() {
                tracing::debug!(pause_ms = pause.as_millis() as u64, "no node said anything of a record");
            }
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(Drained::Stopped),
                // a new record says nothing of the cluster, and waits; who retries has mended something
                () = self.shared.retried.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
