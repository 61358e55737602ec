//! `kho.admin.v1.Admin`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kho_ledger::Prover;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::{ClusterId, NodeId};
use kho_proto::pb::admin::v1::admin_server::Admin;
use kho_proto::pb::admin::v1::{
    InitClusterRequest, InitClusterResponse, NodeStatusRequest, NodeStatusResponse, PeerStatus, ReplaceMemberRequest,
    ReplaceMemberResponse, TransferLeaderRequest, TransferLeaderResponse, TreeRootRequest, TreeRootResponse,
    TriggerSnapshotRequest, TriggerSnapshotResponse,
};
use tonic::{Extensions, Request, Response, Status};

use super::disk::disk_use;
use super::formation::Formation;
use super::members;
use crate::api::{identity, refuse};
use crate::consensus::{Consensus, ConsensusStatus, MemberAddress, Replacing, StateStore};
use crate::disk::Disk;
use crate::identity::Role;
use crate::pulse::Pulse;
use crate::seams::{Clock, Tasks};
use crate::telemetry::resident_bytes;

const OPERATORS: &[Role] = &[Role::Operator];
const OBSERVERS: &[Role] = &[Role::Operator, Role::Auditor];

/// The admin plane's service.
pub struct AdminService {
    pub(crate) cluster: ClusterId,
    pub(crate) consensus: Consensus,
    pub(crate) state: StateStore,
    pub(crate) formation: Arc<Formation>,
    pub(crate) data_dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Arc<dyn Tasks>,
    pub(crate) started: Duration,
    pub(crate) keyed: bool,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) disk: Arc<Disk>,
}

/// A node that was never told of a cluster is a learner to Raft; to people it is not initialized.
fn role(status: &ConsensusStatus) -> String {
    let role = if status.initialized { status.role.as_str() } else { "uninitialized" };
    role.to_owned()
}

fn allow(extensions: &Extensions, roles: &[Role]) -> Result<(), Status> {
    identity(extensions).party().and_then(|party| party.require(roles)).map_err(refuse)
}

#[async_trait]
impl Admin for AdminService {
    async fn init_cluster(
        &self,
        request: Request<InitClusterRequest>,
    ) -> Result<Response<InitClusterResponse>, Status> {
        allow(request.extensions(), OPERATORS)?;
        Ok(Response::new(self.formation.init().await.map_err(refuse)?))
    }

    async fn node_status(&self, request: Request<NodeStatusRequest>) -> Result<Response<NodeStatusResponse>, Status> {
        allow(request.extensions(), OBSERVERS)?;
        let data_dir = self.data_dir.clone();
        let disk = self.tasks.blocking(move || disk_use(&data_dir)).await;
        let disk = disk.ok().and_then(Result::ok).unwrap_or_default();
        let status = self.consensus.status();
        let tip = self.state.tip();
        let peers = status.members.iter().map(|(id, address)| PeerStatus {
            node_id: id.0,
            peer_address: address.peer.clone(),
            client_address: address.client.clone(),
            admin_address: address.admin.clone(),
            voter: status.voters.contains(id),
            lost: status.lost.contains(id),
            matched: status.matched.get(id).map_or(0, |index| index.0),
        });
        Ok(Response::new(NodeStatusResponse {
            node_id: status.node_id.0,
            cluster_id: Bytes::copy_from_slice(self.cluster.as_ref()),
            role: role(&status),
            term: status.term.0,
            epoch: tip.epoch().0,
            leader_id: status.leader.map_or(0, |leader| leader.0),
            last_log: status.last_log.0,
            committed: status.committed.0,
            applied: status.applied.0,
            purged: status.purged.0,
            snapshot: status.snapshot.0,
            tree_size: tip.size(),
            tree_root: Bytes::copy_from_slice(tip.root().as_ref()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            disk_used: disk.used,
            disk_total: disk.total,
            disk_free: disk.free,
            rss: resident_bytes().unwrap_or(0),
            uptime_ms: u64::try_from((self.clock.monotonic() - self.started).as_millis()).unwrap_or(u64::MAX),
            peers: peers.collect(),
            keyed: self.keyed,
            committed_term: status.committed_term.0,
            applied_term: status.applied_term.0,
            purged_term: status.purged_term.0,
            snapshot_term: status.snapshot_term.0,
            vote_term: status.vote.0.0,
            vote_for: status.vote.1.0,
            vote_committed: status.vote.2,
            joint: status.joint,
            clock_offset_ms: self.pulse.offset_ms().unwrap_or(0),
            clock_peers: u32::try_from(self.pulse.peer_offsets_ms().len()).unwrap_or(u32::MAX),
            disk_short: self.disk.is_short(),
            disk_ballast: self.disk.ballast(),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        allow(request.extensions(), OPERATORS)?;
        let to = Some(request.into_inner().to).filter(|to| *to != 0).map(NodeId);
        let leader = self.consensus.transfer_leader(to).await.map_err(|error| refuse(error.into()))?;
        Ok(Response::new(TransferLeaderResponse { leader_id: leader.0, term: self.consensus.status().term.0 }))
    }

    async fn trigger_snapshot(
        &self,
        request: Request<TriggerSnapshotRequest>,
    ) -> Result<Response<TriggerSnapshotResponse>, Status> {
        allow(request.extensions(), OPERATORS)?;
        if !self.consensus.snapshot_now().await {
            let text = "no snapshot was made; the node's log says why, if it still runs";
            return Err(refuse(Refusal::new(Code::StorageFailed, text)));
        }
        let status = self.consensus.status();
        Ok(Response::new(TriggerSnapshotResponse { snapshot: status.snapshot.0, purged: status.purged.0 }))
    }

    async fn replace_member(
        &self,
        request: Request<ReplaceMemberRequest>,
    ) -> Result<Response<ReplaceMemberResponse>, Status> {
        allow(request.extensions(), OPERATORS)?;
        let ReplaceMemberRequest { old, new, peer_address: peer, client_address: client, admin_address: admin } =
            request.into_inner();
        let address = MemberAddress { peer, client, admin };
        members::check(new, &address).map_err(refuse)?;
        let replacing = self.consensus.replace(NodeId(old), NodeId(new), address).await;
        Ok(Response::new(match replacing.map_err(|error| refuse(error.into()))? {
            Replacing::Done => ReplaceMemberResponse { done: true, ..ReplaceMemberResponse::default() },
            Replacing::CatchingUp { matched, last } => {
                ReplaceMemberResponse { done: false, matched: matched.0, last_log: last.0 }
            }
        }))
    }

    async fn tree_root(&self, request: Request<TreeRootRequest>) -> Result<Response<TreeRootResponse>, Status> {
        allow(request.extensions(), OBSERVERS)?;
        let size = request.into_inner().size;
        let (view, tip) = self.state.read();
        let root = Prover::new(&view, &tip).root_at(size).map_err(|error| {
            let refusal = Refusal::new(Code::RequestMalformed, format!("no root at this size: {error}"));
            refuse(refusal.expected_found(format!("at most {}", tip.size()), size.to_string()))
        })?;
        Ok(Response::new(TreeRootResponse { size, root: Bytes::copy_from_slice(root.as_ref()) }))
    }
}
