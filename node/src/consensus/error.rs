//! What can go wrong, per operation.

use std::io;

use kho_proto::error::Code;
use kho_proto::id::NodeId;

use super::config::ConfigError;
use super::log_store::LogOpenError;
use super::state::StateError;
use super::types::TypeConfig;
use crate::snapshot::files::FileError;
use crate::snapshot::layout::LayoutError;
use crate::snapshot::store::SnapshotError;
use crate::storage::{KvError, KvErrorKind};

/// Why consensus does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A value of the configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data is of another cluster.
    #[error("expected data of cluster {expected}, found data of {found}")]
    OtherCluster {
        /// Configured.
        expected: String,
        /// On disk.
        found: String,
    },
    /// The data is of another node.
    #[error("expected data of node {expected}, found data of node {found}")]
    OtherNode {
        /// Configured.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// Another process holds the databases.
    #[error("another process holds the data directory: {0}")]
    Locked(String),
    /// The log or the vote is gone: this node could vote twice, so it must come back under a new id.
    #[error(
        "expected a raft log that belongs to the state at index {applied}, found an empty one: log or vote were lost, the node must come back under a new id"
    )]
    LogLost {
        /// Index up to which the state is applied.
        applied: u64,
    },
    /// The log ends before the state although it was never so short.
    #[error(
        "expected a raft log up to index {applied} at least, found one up to {last}: its end was lost, the node must come back under a new id"
    )]
    LogBehindState {
        /// Index up to which the state is applied.
        applied: u64,
        /// Last index of the log.
        last: u64,
    },
    /// The state is gone and the log no longer reaches back far enough to rebuild it.
    #[error(
        "expected a state applied up to index {purged} at least, found {applied}: the state was lost; restore it from a snapshot of another node"
    )]
    StateLost {
        /// Index up to which the log is purged.
        purged: u64,
        /// Index up to which the state is applied, 0 if there is none.
        applied: u64,
    },
    /// Log or vote are damaged: what this node confirmed or voted may be forgotten.
    #[error(
        "the raft log is damaged: {detail}; this node must not start again with it: put a node with a new id in its place (kho cluster replace), or restore the disk"
    )]
    LogDamaged {
        /// What was found.
        detail: String,
    },
    /// Files of the data directory are damaged or not understood.
    #[error("the data directory does not open: {detail}")]
    Damaged {
        /// What was expected and found.
        detail: String,
    },
    /// The disk or file system failed.
    #[error("the data directory does not open: {0}")]
    Io(#[source] io::Error),
    /// Raft did not start.
    #[error("raft did not start: {detail}")]
    Raft {
        /// Its own words.
        detail: String,
    },
}

impl OpenError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            OpenError::Config(_) => Code::ConfigOutOfRange,
            OpenError::OtherCluster { .. } => Code::DataDirOtherCluster,
            OpenError::OtherNode { .. } => Code::DataDirOtherNode,
            OpenError::Locked(_) => Code::DataDirLocked,
            OpenError::LogDamaged { .. }
            | OpenError::LogLost { .. }
            | OpenError::LogBehindState { .. }
            | OpenError::StateLost { .. }
            | OpenError::Damaged { .. }
            | OpenError::Raft { .. } => Code::DataDirDamaged,
            OpenError::Io(_) => Code::StorageFailed,
        }
    }
}

impl OpenError {
    /// Of the log's database.
    pub(super) fn log(error: KvError) -> Self {
        match error.kind {
            KvErrorKind::Corruption | KvErrorKind::Misuse => OpenError::LogDamaged { detail: error.to_string() },
            KvErrorKind::Locked | KvErrorKind::Io => error.into(),
        }
    }
}

impl From<KvError> for OpenError {
    fn from(error: KvError) -> Self {
        match error.kind {
            KvErrorKind::Locked => OpenError::Locked(error.detail),
            KvErrorKind::Corruption | KvErrorKind::Misuse => OpenError::Damaged { detail: error.to_string() },
            KvErrorKind::Io => OpenError::Io(error.into()),
        }
    }
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        OpenError::Io(error.into())
    }
}

impl From<LayoutError> for OpenError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::File(error) => error.into(),
            LayoutError::Current { .. } | LayoutError::StateMissing { .. } => {
                OpenError::Damaged { detail: error.to_string() }
            }
        }
    }
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Store(error) | StateError::Snapshot(SnapshotError::Store(error)) => error.into(),
            StateError::File(error) | StateError::Snapshot(SnapshotError::File(error)) => error.into(),
            StateError::Layout(error) => error.into(),
            other => OpenError::Damaged { detail: other.to_string() },
        }
    }
}

impl From<LogOpenError> for OpenError {
    fn from(error: LogOpenError) -> Self {
        match error {
            LogOpenError::Store(error) => OpenError::log(error),
            LogOpenError::OtherCluster { expected, found } => {
                let name = |bytes| kho_proto::id::ClusterId(bytes).to_string();
                OpenError::OtherCluster { expected: name(expected), found: name(found) }
            }
            LogOpenError::OtherNode { expected, found } => OpenError::OtherNode { expected, found },
            LogOpenError::Thread(error) => OpenError::Io(error),
            other => OpenError::LogDamaged { detail: other.to_string() },
        }
    }
}

impl From<openraft::errors::Fatal<TypeConfig>> for OpenError {
    fn from(error: openraft::errors::Fatal<TypeConfig>) -> Self {
        OpenError::Raft { detail: error.to_string() }
    }
}

/// Why a proposal has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead; the entry was surely not proposed.
    #[error("expected to be the leader, which is {}", name(leader))]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// Leadership was lost on the way; the entry may have been committed, or may be yet.
    #[error("leadership was lost after proposing: the entry may or may not take effect")]
    Unknown,
    /// The node is shutting down; the entry was not proposed.
    #[error("the node is stopping")]
    Stopping,
    /// The disk failed before the entry was proposed.
    #[error("storage has failed")]
    Storage,
}

impl ProposeError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ProposeError::NotLeader { leader: Some(_) } => Code::NotLeader,
            ProposeError::NotLeader { leader: None } => Code::NoLeader,
            ProposeError::Unknown => Code::OutcomeUnknown,
            ProposeError::Stopping => Code::NodeStopping,
            ProposeError::Storage => Code::StorageFailed,
        }
    }
}

/// Why a read position is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node does not lead.
    #[error("expected to be the leader, which is {}", name(leader))]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// No majority confirmed the leadership in time.
    #[error("no majority of the members confirmed the leader in time")]
    NoQuorum,
    /// The index was not applied in time.
    #[error("the entry was not applied in time")]
    TimedOut,
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

impl ReadError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            ReadError::NotLeader { leader: Some(_) } => Code::NotLeader,
            ReadError::NotLeader { leader: None } | ReadError::NoQuorum | ReadError::TimedOut => Code::NoLeader,
            ReadError::Stopping => Code::NodeStopping,
        }
    }
}

/// Why a cluster was not formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// It is formed already.
    #[error("the cluster is formed already")]
    AlreadyInitialized,
    /// This node is no member.
    #[error("expected this node among the members: {detail}")]
    NotMember {
        /// Raft's own words.
        detail: String,
    },
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

impl InitError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            InitError::AlreadyInitialized => Code::AlreadyInitialized,
            InitError::NotMember { .. } => Code::ConfigInvalid,
            InitError::Stopping => Code::NodeStopping,
        }
    }
}

/// Why leadership was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This node does not lead.
    #[error("expected to be the leader, which is {}", name(leader))]
    NotLeader {
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// It leads already.
    #[error("expected another voter than node {0}, which leads already")]
    Leads(NodeId),
    /// There is no such voter.
    #[error("node {to} is no voting member")]
    NotVoter {
        /// Who was to lead.
        to: NodeId,
        /// Who votes.
        voters: Vec<NodeId>,
    },
    /// There is no other voter.
    #[error("expected another voter to hand over to, found none")]
    NoVoter,
    /// Nobody took over in time.
    #[error("no new leader was seen in time; leadership may move yet")]
    TimedOut,
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
}

impl TransferError {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            TransferError::NotLeader { .. } => Code::NotLeader,
            TransferError::Leads(_) => Code::MemberLeads,
            TransferError::NotVoter { .. } => Code::MemberUnknown,
            TransferError::NoVoter => Code::QuorumAtRisk,
            TransferError::TimedOut => Code::OutcomeUnknown,
            TransferError::Stopping => Code::NodeStopping,
        }
    }
}

fn name(leader: &Option<NodeId>) -> String {
    leader.map_or_else(|| "not known".to_owned(), |leader| format!("node {leader}"))
}
