//! The handle that the rest of the node holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kho_ledger::Effects;
use kho_proto::id::{LogIndex, NodeId, Term};
use kho_proto::pb::peer::v1::raft_server::RaftServer;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::config::ConsensusConfig;
use super::error::{InitError, ProposeError, ReadError, TransferError};
use super::heard::Heard;
use super::log_store::LogStore;
use super::network::Network;
use super::peer::PeerGate;
use super::service::RaftService;
use super::state::StateCore;
use super::types::{EntryBytes, Raft, TypeConfig};
use crate::kill_points::KillPoint;
use crate::seams::Clock;
use crate::storage::fatal::FatalSwitch;

/// Raft of one log. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: Raft,
    pub(super) log: LogStore,
    pub(super) state: Arc<StateCore>,
    pub(super) config: ConsensusConfig,
    pub(super) gate: PeerGate,
    pub(super) network: Network,
    pub(super) service: RaftService,
    pub(super) leader: watch::Sender<Option<NodeId>>,
    pub(super) stop: CancellationToken,
    pub(super) fatal: FatalSwitch,
    pub(super) heard: Arc<Heard>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A committed and applied entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its index in the log.
    pub index: LogIndex,
    /// The term of the leader that proposed it.
    pub term: Term,
    /// What it brought about.
    pub effects: Effects,
}

pub(super) fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<NodeId> {
    forward.leader_id.map(NodeId)
}

impl Consensus {
    /// Proposes an encoded `kho.ledger.v1.Entry` and waits until it is applied here.
    ///
    /// Only under the leadership that it finds: an entry never slips into a later term unnoticed.
    pub async fn propose(&self, entry: Bytes) -> Result<Committed, ProposeError> {
        let raft = &self.inner.raft;
        if self.inner.stop.is_cancelled() {
            return Err(ProposeError::Stopping);
        }
        if self.inner.fatal.fired() {
            return Err(ProposeError::Storage);
        }
        let leader = raft.as_leader().map_err(|forward| ProposeError::NotLeader { leader: leader_of(&forward) })?;
        let (responder, answer) = ProgressResponder::complete_only();
        let sent =
            raft.write(EntryBytes(entry)).with_leader(leader.to_committed_leader_id()).responder(responder).await;
        // The core was gone before it took the message.
        sent.map_err(|fatal| match fatal {
            Fatal::StorageError(_) => ProposeError::Storage,
            Fatal::Panicked | Fatal::Stopped => ProposeError::Stopping,
        })?;
        KillPoint::Proposed.reached();
        match answer.await {
            Ok(Ok(written)) => {
                let term = Term(written.log_id.committed_leader_id().term);
                let index = LogIndex(written.log_id.index());
                let effects = written.data.0.ok_or(ProposeError::Unknown)?;
                Ok(Committed { index, term, effects })
            }
            // openraft: "rejected before its entry was appended".
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: leader_of(&forward) })
            }
            Ok(Err(
                ClientWriteError::LogEntryDiscarded(_)
                | ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_),
            ))
            | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until the entry at `index` is applied here.
    pub async fn wait_applied(&self, index: LogIndex, timeout: Duration) -> Result<(), ReadError> {
        let mut applied = self.inner.state.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= Some(index.0));
        tokio::select! {
            biased;
            reached = reached => reached.map(drop).map_err(|_| ReadError::Stopping),
            () = self.inner.stop.cancelled() => Err(ReadError::Stopping),
            () = tokio::time::sleep(timeout) => Err(ReadError::TimedOut),
        }
    }

    /// Forms the cluster: all configured members become voters. Once, on one node.
    pub async fn initialize(&self) -> Result<(), InitError> {
        let members: std::collections::BTreeMap<u64, _> =
            self.inner.config.members.iter().map(|(id, address)| (id.0, address.clone())).collect();
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(InitError::AlreadyInitialized),
            Err(RaftError::APIError(InitializeError::NotInMembers(error))) => {
                Err(InitError::NotMember { detail: error.to_string() })
            }
            Err(RaftError::Fatal(_)) => Err(InitError::Stopping),
        }
    }

    /// Hands leadership to `to`, or to the voter whose log is furthest, and waits until a new leader is seen.
    /// Bounded by a few election time-outs.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let status = self.status();
        if status.leader != Some(status.node_id) {
            return Err(TransferError::NotLeader { leader: status.leader });
        }
        let voters: Vec<NodeId> = self.inner.raft.voter_ids().map(NodeId).collect();
        let furthest = || {
            let others = voters.iter().copied().filter(|id| *id != status.node_id);
            others.max_by_key(|id| status.matched.get(id).copied())
        };
        let to = match to {
            Some(to) if to == status.node_id => return Err(TransferError::Leads(to)),
            Some(to) if !voters.contains(&to) => return Err(TransferError::NotVoter { to, voters }),
            Some(to) => to,
            None => furthest().ok_or(TransferError::NoVoter)?,
        };
        let mut leader = self.watch_leader();
        self.inner.raft.trigger().transfer_leader(to.0).await.map_err(|_| TransferError::Stopping)?;
        let limit = Duration::from_millis(4 * self.inner.config.timing.election_timeout_max_ms);
        let seen = leader.wait_for(|leader| leader.is_some_and(|leader| leader != status.node_id));
        match tokio::time::timeout(limit, seen).await {
            Ok(Ok(leader)) => (*leader).ok_or(TransferError::TimedOut),
            Ok(Err(_)) => Err(TransferError::Stopping),
            Err(_) => Err(TransferError::TimedOut),
        }
    }

    /// Makes a snapshot now, and purges the log that it covers as soon as no replication is using it.
    /// Whether it was made.
    pub async fn snapshot_now(&self) -> bool {
        self.snapshot_and_purge(super::background::Purge::All).await
    }

    /// Stops: no proposal is taken from now on; returns once raft has stopped and the state is on disk.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
        // Nothing is lost if it fails: the log has it all.
        if let Err(error) = self.inner.state.blocking(|state| state.flush()).await {
            tracing::warn!(%error, "the state was not flushed; it is rebuilt from the log");
        }
    }

    /// The leader as this node sees it, whenever that changes.
    pub fn watch_leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.inner.leader.subscribe()
    }

    /// Whether this node leads now, as far as it knows.
    pub fn is_leader(&self) -> bool {
        *self.inner.leader.borrow() == Some(self.inner.config.node_id)
    }

    /// Number of the write of the log that waits for the disk, if one does; as long as it is the same, the disk has not
    /// answered.
    pub fn log_write_under_way(&self) -> Option<u64> {
        self.inner.log.write_under_way()
    }

    /// Whether this node stands for election; it still votes.
    pub fn may_stand(&self, may: bool) {
        self.inner.raft.runtime_config().elect(may);
    }

    /// The peer plane's `Raft` service.
    pub fn raft_service(&self) -> RaftServer<RaftService> {
        self.inner.service.clone().server()
    }

    /// Where a member's peer plane is: as configured here, else as it joined. None: no member.
    pub fn peer_address(&self, node: NodeId) -> Option<String> {
        if let Some(member) = self.inner.config.members.get(&node) {
            return Some(member.peer.clone());
        }
        let metrics = self.inner.raft.server_metrics();
        let address = metrics.borrow_watched().membership_config.membership().get_node(&node.0)?.peer.clone();
        Some(address)
    }

    /// Origins of this node's peer messages and checks of others'.
    pub fn peer_gate(&self) -> PeerGate {
        self.inner.gate
    }

    /// Follows what openraft says of the leader; ends with it.
    pub(super) async fn follow_leader(raft: Raft, leader: watch::Sender<Option<NodeId>>) {
        let mut metrics = raft.server_metrics();
        drop(raft);
        loop {
            let now = metrics.borrow_watched().current_leader.map(NodeId);
            leader.send_if_modified(|seen| std::mem::replace(seen, now) != now);
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }
}
