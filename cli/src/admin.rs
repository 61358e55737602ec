//! The operators' plane of one node.

use std::time::Duration;

use kho_client::attempt::{Failed, sentence};
use kho_client::channel::{self, Tls};
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;
use kho_proto::pb::admin::v1 as pb;
use kho_proto::pb::admin::v1::admin_client::AdminClient;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// Connecting to an admin listener, each of TCP and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A question about a node's state.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Something that takes an election or a flush.
pub const ACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why an operator's call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node did not answer.
    #[error("node at {address} unreachable: {why}")]
    Unreachable {
        /// Its admin address.
        address: String,
        /// What the network said.
        why: String,
    },
    /// It answered that it will not or cannot.
    #[error("node at {address}: {}", sentence(.refusal))]
    Refused {
        /// Its admin address.
        address: String,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// Certificate files or address.
    #[error(transparent)]
    Channel(#[from] channel::Error),
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::Unreachable { .. } => Code::NoLeader,
            Error::Refused { refusal, .. } => refusal.code,
            Error::Channel(error) => error.code(),
        }
    }
}

/// A connection to one node's admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    address: String,
    client: AdminClient<Channel>,
}

impl Admin {
    /// Connects when first used. Must be called within a tokio runtime.
    pub fn new(address: &str, tls: &Tls) -> Result<Self, Error> {
        let channel = channel::open(address, Some(tls), CONNECT_TIMEOUT)?;
        Ok(Self { address: address.to_owned(), client: AdminClient::new(channel) })
    }

    /// The admin address.
    pub fn address(&self) -> &str {
        &self.address
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        let unreachable = |why| Error::Unreachable { address: self.address.clone(), why };
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                let failed = Failed::of(&status);
                Err(match failed.answer() {
                    Some(refusal) => {
                        Error::Refused { address: self.address.clone(), refusal: Box::new(refusal.clone()) }
                    }
                    None => unreachable(failed.to_string()),
                })
            }
            Err(_) => Err(unreachable(format!("no answer within {} ms", limit.as_millis()))),
        }
    }

    /// Forms the cluster out of the members in the node's configuration, once.
    pub async fn init_cluster(&self) -> Result<pb::InitClusterResponse, Error> {
        self.within(ACTION_TIMEOUT, self.client.clone().init_cluster(pb::InitClusterRequest {})).await
    }

    /// What the node says of itself.
    pub async fn status(&self) -> Result<pb::NodeStatusResponse, Error> {
        self.within(STATUS_TIMEOUT, self.client.clone().node_status(pb::NodeStatusRequest {})).await
    }

    /// Hands leadership to `to`, or to the most advanced voter.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<pb::TransferLeaderResponse, Error> {
        let request = pb::TransferLeaderRequest { to: to.map_or(0, |node| node.0) };
        self.within(ACTION_TIMEOUT, self.client.clone().transfer_leader(request)).await
    }

    /// Builds a snapshot and purges the log behind it.
    pub async fn trigger_snapshot(&self) -> Result<pb::TriggerSnapshotResponse, Error> {
        self.within(ACTION_TIMEOUT, self.client.clone().trigger_snapshot(pb::TriggerSnapshotRequest {})).await
    }

    /// The next step of replacing a member; ask again until it is done.
    pub async fn replace_member(&self, request: pb::ReplaceMemberRequest) -> Result<pb::ReplaceMemberResponse, Error> {
        self.within(ACTION_TIMEOUT, self.client.clone().replace_member(request)).await
    }

    /// Installs a list of revoked certificates (DER), with those of its authority where that is no root.
    pub async fn install_crl(&self, request: pb::InstallCrlRequest) -> Result<pb::CrlStatus, Error> {
        let response = self.within(ACTION_TIMEOUT, self.client.clone().install_crl(request)).await?;
        Ok(response.crl.unwrap_or_default())
    }

    /// The lists of revoked certificates that count on the node.
    pub async fn crls(&self) -> Result<pb::ListCrlsResponse, Error> {
        self.within(STATUS_TIMEOUT, self.client.clone().list_crls(pb::ListCrlsRequest {})).await
    }

    /// Root of the tree at `size`.
    pub async fn tree_root(&self, size: u64) -> Result<pb::TreeRootResponse, Error> {
        self.within(STATUS_TIMEOUT, self.client.clone().tree_root(pb::TreeRootRequest { size })).await
    }
}
