//! openraft's values as protobuf, both ways. The only place that maps one to the other.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kho_proto::pb::peer::v1 as pb;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use prost::Message;

use super::types::{
    Entry, EntryBytes, LogId, MemberAddress, Membership, SnapshotMeta, StoredMembership, TypeConfig, Vote, log_id,
};

/// Version of log entries and of every peer message.
pub(crate) const VERSION: u32 = 1;

/// Bytes that are not of the peer protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// Not protobuf.
    #[error("expected a protobuf message, found bytes that do not decode: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field that every message of its type has is absent.
    #[error("expected the field {0}, found none")]
    Missing(&'static str),
    /// Another version.
    #[error("expected version {VERSION}, found {0}")]
    Version(u32),
    /// A membership that openraft refuses.
    #[error("expected a membership whose voters have addresses: {0}")]
    Membership(String),
}

pub(crate) fn vote_to_pb(vote: &Vote) -> pb::Vote {
    pb::Vote { term: vote.leader_id.term, node_id: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn vote_from_pb(vote: Option<pb::Vote>) -> Result<Vote, WireError> {
    let vote = vote.ok_or(WireError::Missing("vote"))?;
    Ok(if vote.committed { Vote::new_committed(vote.term, vote.node_id) } else { Vote::new(vote.term, vote.node_id) })
}

/// The node id stays 0: with one leader per term the term says who it was.
pub(crate) fn log_id_to_pb(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.committed_leader_id().term, node_id: 0, index: id.index() }
}

pub(crate) fn log_id_from_pb(id: &pb::LogId) -> LogId {
    log_id(id.term, id.index)
}

pub(crate) fn some_log_id(id: Option<&LogId>) -> Option<pb::LogId> {
    id.map(log_id_to_pb)
}

pub(crate) fn maybe_log_id(id: Option<pb::LogId>) -> Option<LogId> {
    id.as_ref().map(log_id_from_pb)
}

pub(crate) fn membership_to_pb(membership: &Membership) -> pb::Membership {
    pb::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| pb::Config { voters: voters.iter().copied().collect() })
            .collect(),
        members: membership
            .nodes()
            .map(|(id, address)| pb::Member {
                node_id: *id,
                peer_address: address.peer.clone(),
                client_address: address.client.clone(),
                admin_address: address.admin.clone(),
            })
            .collect(),
    }
}

pub(crate) fn membership_from_pb(membership: pb::Membership) -> Result<Membership, WireError> {
    let configs: Vec<BTreeSet<u64>> =
        membership.configs.into_iter().map(|config| config.voters.into_iter().collect()).collect();
    let members: BTreeMap<u64, MemberAddress> = membership
        .members
        .into_iter()
        .map(|member| {
            let address =
                MemberAddress { peer: member.peer_address, client: member.client_address, admin: member.admin_address };
            (member.node_id, address)
        })
        .collect();
    Membership::new(configs, members).map_err(|error| WireError::Membership(error.to_string()))
}

pub(crate) fn entry_to_pb(entry: &Entry) -> pb::LogEntry {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::log_entry::Payload::Blank(pb::Blank {}),
        EntryPayload::Normal(EntryBytes(bytes)) => pb::log_entry::Payload::Normal(bytes.clone()),
        EntryPayload::Membership(membership) => pb::log_entry::Payload::Membership(membership_to_pb(membership)),
    };
    pb::LogEntry { version: VERSION, log_id: Some(log_id_to_pb(&entry.log_id)), payload: Some(payload) }
}

pub(crate) fn entry_from_pb(entry: pb::LogEntry) -> Result<Entry, WireError> {
    if entry.version != VERSION {
        return Err(WireError::Version(entry.version));
    }
    let log_id = log_id_from_pb(&entry.log_id.ok_or(WireError::Missing("log_id"))?);
    let payload = match entry.payload.ok_or(WireError::Missing("payload"))? {
        pb::log_entry::Payload::Blank(_) => EntryPayload::Blank,
        pb::log_entry::Payload::Normal(bytes) => EntryPayload::Normal(EntryBytes(bytes)),
        pb::log_entry::Payload::Membership(membership) => EntryPayload::Membership(membership_from_pb(membership)?),
    };
    Ok(Entry { log_id, payload })
}

/// A log entry as it stands in the log.
pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    entry_to_pb(entry).encode_to_vec().into()
}

/// The payload shares `bytes`.
pub(crate) fn decode_entry(bytes: Bytes) -> Result<Entry, WireError> {
    entry_from_pb(pb::LogEntry::decode(bytes)?)
}

/// Bytes that an entry occupies, for caps.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    const OVERHEAD_BYTES: usize = 64;
    OVERHEAD_BYTES
        + match &entry.payload {
            EntryPayload::Normal(EntryBytes(bytes)) => bytes.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

pub(crate) fn append_to_pb(origin: pb::Origin, request: AppendEntriesRequest<TypeConfig>) -> pb::AppendRequest {
    pb::AppendRequest {
        origin: Some(origin),
        vote: Some(vote_to_pb(&request.vote)),
        prev_log_id: some_log_id(request.prev_log_id.as_ref()),
        entries: request.entries.iter().map(entry_to_pb).collect(),
        leader_commit: some_log_id(request.leader_commit.as_ref()),
    }
}

pub(crate) fn append_from_pb(request: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, WireError> {
    Ok(AppendEntriesRequest {
        vote: vote_from_pb(request.vote)?,
        prev_log_id: maybe_log_id(request.prev_log_id),
        entries: request.entries.into_iter().map(entry_from_pb).collect::<Result<_, _>>()?,
        leader_commit: maybe_log_id(request.leader_commit),
    })
}

pub(crate) fn appended_to_pb(epoch: u64, result: &StreamAppendResult<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Result as Outcome;
    let result = match result {
        Ok(matched) => Outcome::Matched(pb::MaybeLogId { log_id: some_log_id(matched.as_ref()) }),
        Err(StreamAppendError::Conflict(at)) => Outcome::Conflict(log_id_to_pb(at)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_to_pb(vote)),
    };
    pb::AppendResponse { epoch, result: Some(result), partial: false }
}

pub(crate) fn appended_from_pb(response: pb::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, WireError> {
    use pb::append_response::Result as Outcome;
    Ok(match response.result.ok_or(WireError::Missing("result"))? {
        Outcome::Matched(matched) => Ok(maybe_log_id(matched.log_id)),
        Outcome::Conflict(at) => Err(StreamAppendError::Conflict(log_id_from_pb(&at))),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from_pb(Some(vote))?)),
    })
}

pub(crate) fn meta_to_pb(meta: &SnapshotMeta) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last_log_id: some_log_id(meta.last_log_id.as_ref()),
        membership_log_id: some_log_id(meta.last_membership.log_id().as_ref()),
        membership: Some(membership_to_pb(meta.last_membership.membership())),
    }
}

pub(crate) fn meta_from_pb(meta: &pb::SnapshotMeta) -> Result<SnapshotMeta, WireError> {
    let membership = meta.membership.clone().ok_or(WireError::Missing("membership"))?;
    Ok(SnapshotMeta {
        last_log_id: maybe_log_id(meta.last_log_id),
        last_membership: StoredMembership::new(maybe_log_id(meta.membership_log_id), membership_from_pb(membership)?),
    })
}
