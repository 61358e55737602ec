//! What nodes tell each other of their surroundings, once a second: the time on their clocks, and whether their disks are
//! below their reserve or stand still. R-A2, R-D4.
//!
//! The leader's clock is the one that counts (accepted-at never goes back, so a leader that is ahead spoils it for all that
//! come after it): 500 ms from the cluster's median it hands over, 5 s from it no node takes leadership or proposes anything.
//! A leader acknowledges nothing that is not on its own disk, and goes on saying that it leads however long that takes: when
//! its disk does not answer for a second, and another's does, it hands over.
//! Nothing of this is in the log: a node judges itself.

mod clocks;
pub(crate) mod metric_definitions;
mod standstill;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;
use kho_proto::pb::peer::v1::PulseResponse;
use parking_lot::Mutex;

pub use clocks::Clocks;

use crate::consensus::Consensus;
use crate::disk::Disk;
use crate::seams::Clock;
use crate::write::Peers;
use clocks::{Moment, Sample};
use standstill::Standstill;

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);
/// A leader whose disk is below its reserve tries again after so long: where all are all but full, nobody else is better.
const DISK_HAND_OVER_PAUSE: Duration = Duration::from_secs(10);
/// Between two looks at the write that waits for the disk.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A leader whose disk has not answered for so long hands over: a record that came meanwhile is still acknowledged within
/// the 3 s of R-B1.
pub const STANDS_STILL: Duration = Duration::from_secs(1);
/// Others have so long to say how they are, before one of them is chosen.
const ASK_LIMIT: Duration = Duration::from_millis(300);
/// A leader whose disk stands still, and that asked another to lead, does so again after so long: it sends no heartbeats any
/// more, so the others elect by themselves if that one did not; and it may hear of it only when its disk answers.
const LEFT_PAUSE: Duration = Duration::from_secs(10);
/// Where nobody could be elected, it looks again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A leader so far from the median hands over: time-stamps of a second are then still right.
pub const HAND_OVER_OFFSET: Duration = Duration::from_millis(500);
/// A node so far from it does not lead.
pub const LEAD_OFFSET_MAX: Duration = Duration::from_secs(5);

/// How the disk of the log is.
#[derive(Debug, Clone, Copy, Default)]
struct Log {
    /// For so long it has not answered.
    standing: Duration,
    /// It did not answer for long lately.
    unfit: bool,
}

/// A node's view of the others' surroundings.
pub struct Pulse {
    node: NodeId,
    consensus: Consensus,
    peers: Arc<Peers>,
    clock: Arc<dyn Clock>,
    disk: Arc<Disk>,
    clocks: Mutex<Clocks>,
    log: Mutex<Log>,
    keyed: bool,
}

impl Pulse {
    /// Nothing is known yet.
    pub(crate) fn new(
        node: NodeId,
        consensus: Consensus,
        peers: Arc<Peers>,
        clock: Arc<dyn Clock>,
        disk: Arc<Disk>,
        keyed: bool,
    ) -> Arc<Self> {
        Arc::new(Self { node, consensus, peers, clock, disk, clocks: Mutex::default(), log: Mutex::default(), keyed })
    }

    fn moment(&self) -> Moment {
        Moment { monotonic: self.clock.monotonic(), wall: self.clock.now() }
    }

    /// Asks all others, judges, and acts on it; for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut disk_again = Duration::ZERO;
        loop {
            self.ask_all().await;
            let offset = self.offset_ms();
            metric_definitions::observe(offset.unwrap_or(0), &self.peer_offsets_ms());
            let far = offset.is_some_and(|offset| over(offset, LEAD_OFFSET_MAX));
            self.consensus.may_stand(!far);
            if offset.is_some_and(|offset| over(offset, HAND_OVER_OFFSET)) {
                self.hand_over("its clock is off", |_| true).await;
            } else if self.disk.is_short()
                && self.clock.monotonic() >= disk_again
                && self.hand_over("its disk is below its reserve", |_| true).await
            {
                // also where leadership came to it later, and where the first attempt failed
                disk_again = self.clock.monotonic() + DISK_HAND_OVER_PAUSE;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Looks at the write that waits for the disk, and hands over if it waits for long; for ever.
    pub(crate) async fn watch_log(self: Arc<Self>) {
        // beside each other: who waits for the next leader goes on looking
        tokio::join!(self.look_at_log(), self.leave_standing_disk());
    }

    async fn look_at_log(&self) {
        let mut standstill = Standstill::default();
        loop {
            let now = self.clock.monotonic();
            let standing = standstill.look(self.consensus.log_write_under_way(), now);
            *self.log.lock() = Log { standing, unfit: standstill.is_unfit(now) };
            metric_definitions::observe_standstill(standing);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn leave_standing_disk(&self) {
        let (mut stood, mut again) = (false, Duration::ZERO);
        loop {
            let Log { standing, .. } = *self.log.lock();
            let stands = standing >= STANDS_STILL;
            if stands && self.consensus.is_leader() && self.clock.monotonic() >= again {
                let pause = if self.leave().await { LEFT_PAUSE } else { LOOK_AGAIN };
                again = self.clock.monotonic() + pause;
            }
            // only now: what is logged may have to wait for the same disk
            match (stood, stands) {
                (false, true) => tracing::error!(?standing, "the disk of the log stands still"),
                (true, false) => tracing::info!("the disk of the log answers again"),
                _ => {}
            }
            stood = stands;
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Gives leadership to one of a majority that can elect without this disk. False: there is none, and a leader that others
    /// still hear is better than none.
    async fn leave(&self) -> bool {
        let asked = self.clock.monotonic();
        // what was heard a second ago is of a time when this disk answered, too
        let _late = tokio::time::timeout(ASK_LIMIT, self.ask_all()).await;
        let able = self.clocks.lock().disks_answer(asked);
        let voters = self.consensus.status().voters;
        // while members change, of all who vote before or after
        if voters.intersection(&able).count() <= voters.len() / 2 {
            return false;
        }
        self.hand_over("its disk stands still", |node| able.contains(node)).await
    }

    async fn ask_all(&self) {
        let others = self.consensus.status().members.into_keys().filter(|member| *member != self.node);
        let asked = others.map(|member| async move {
            let asked = self.clock.monotonic();
            let Ok(answer) = self.peers.pulse(member).await else { return };
            let sample = Sample::of(&answer, asked, self.moment());
            self.clocks.lock().add(member, sample);
        });
        join_all(asked).await;
    }

    /// Milliseconds that this node's clock is ahead of the median of all; none: nobody else is known.
    pub fn offset_ms(&self) -> Option<i64> {
        self.clocks.lock().offset_ms(self.moment())
    }

    /// Milliseconds that others' clocks are ahead of this node's.
    pub fn peer_offsets_ms(&self) -> BTreeMap<NodeId, i64> {
        self.clocks.lock().peers_ms(self.moment())
    }

    /// Gives leadership, if this node has it, to a voter that is fit for it, of those who `may` have it. Whether it had it.
    async fn hand_over(&self, why: &str, may: impl Fn(&NodeId) -> bool) -> bool {
        let status = self.consensus.status();
        if status.leader != Some(self.node) {
            return false;
        }
        let fit = self.clocks.lock().fit(self.moment(), HAND_OVER_OFFSET);
        let candidates = fit.into_iter().filter(|node| status.voters.contains(node) && may(node));
        let Some(to) = candidates.max_by_key(|node| status.matched.get(node).copied()) else {
            tracing::error!(why, "leadership should go, and no other node is fit for it");
            return true;
        };
        match self.consensus.transfer_leader(Some(to)).await {
            Ok(to) => tracing::warn!(why, %to, "handed leadership over"),
            Err(error) => tracing::warn!(why, %to, %error, "asked it to lead, and saw no other leader yet"),
        }
        true
    }

    /// Whether this node may propose pieces of attachments, if it may propose at all.
    pub(crate) fn check_object(&self) -> Result<(), Refusal> {
        self.disk.check_object()
    }

    /// Whether this node may propose as the leader.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.disk.check()?;
        let now = self.moment();
        let clocks = self.clocks.lock();
        let offset = clocks.offset_ms(now).unwrap_or(0);
        if over(offset, LEAD_OFFSET_MAX) {
            let text = "the leader's clock is too far from the other nodes'; it proposes nothing";
            return Err(Refusal::new(Code::ClockOff, text).expected_found(
                format!("at most {} ms from their median", LEAD_OFFSET_MAX.as_millis()),
                format!("{offset} ms"),
            ));
        }
        let short = clocks.short(now);
        drop(clocks);
        if short.is_empty() {
            return Ok(());
        }
        let voters = self.consensus.status().voters;
        let roomy = voters.iter().filter(|voter| !short.contains(voter)).count();
        if roomy > voters.len() / 2 {
            return Ok(());
        }
        let text = "the disks of too many nodes are below their reserve; nothing is proposed";
        Err(Refusal::new(Code::DiskReserve, text)
            .expected_found(format!("{} voters with room", voters.len() / 2 + 1), roomy.to_string()))
    }

    /// What others are told.
    pub(crate) fn tell(&self, epoch: u64) -> PulseResponse {
        PulseResponse {
            epoch,
            now_ms: self.clock.now().0,
            disk_short: self.disk.is_short(),
            keyless: !self.keyed,
            disk_standing: self.log.lock().unfit,
        }
    }
}

fn over(offset_ms: i64, bound: Duration) -> bool {
    u128::from(offset_ms.unsigned_abs()) > bound.as_millis()
}
