//! Calls nodes as a platform does: the public API over the simulated network. A call that gets no answer in time gives its
//! connection up, since what a lost segment stops never goes on here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kho_client::attempt::Failed;
use kho_node::seams::Net;
use kho_proto::id::NodeId;
use kho_proto::pb::admin::v1::admin_client::AdminClient;
use kho_proto::pb::admin::v1::{
    InitClusterRequest, ReplaceMemberRequest, ReplaceMemberResponse, TransferLeaderRequest, TransferLeaderResponse,
};
use kho_proto::pb::v1::store_client::StoreClient;
use kho_proto::pb::v1::{GetRequest, GetResponse, SignedRecord, SubmitRequest, SubmitResponse};
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};
use tower::service_fn;

use crate::host::addresses;
use crate::transport::dial;

/// A call has so long.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Calls nodes.
pub struct Caller {
    net: Arc<dyn Net>,
    certificate: Arc<Vec<u8>>,
    channels: Mutex<BTreeMap<(NodeId, bool), Channel>>,
}

impl Caller {
    /// As whoever `certificate` says.
    pub fn new(net: Arc<dyn Net>, certificate: Vec<u8>) -> Self {
        Self { net, certificate: Arc::new(certificate), channels: Mutex::default() }
    }

    /// With connections of its own: those that others made end with their machines.
    pub fn another(&self) -> Self {
        Self { net: self.net.clone(), certificate: self.certificate.clone(), channels: Mutex::default() }
    }

    fn channel(&self, node: NodeId, admin: bool) -> Channel {
        let connect = || {
            let [client, _, operator] = addresses(node);
            let (net, certificate) = (self.net.clone(), self.certificate.clone());
            let address = if admin { operator } else { client };
            let connector = service_fn(move |_: Uri| {
                let (net, certificate, address) = (net.clone(), certificate.clone(), address.clone());
                async move { dial(&*net, &address, &certificate).await.map(TokioIo::new) }
            });
            Endpoint::from_static("http://node").connect_with_connector_lazy(connector)
        };
        self.channels.lock().entry((node, admin)).or_insert_with(connect).clone()
    }

    async fn within<T>(
        &self,
        node: NodeId,
        admin: bool,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failed> {
        let failed = match tokio::time::timeout(DEADLINE, call).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => Failed::of(&status),
            Err(_) => Failed::timed_out(DEADLINE),
        };
        if !matches!(failed, Failed::Refused(_) | Failed::Admitted(_)) {
            self.channels.lock().remove(&(node, admin));
        }
        Err(failed)
    }

    /// Forms the cluster; the log's verifier key.
    pub async fn form(&self, node: NodeId) -> Result<String, Failed> {
        let mut admin = AdminClient::new(self.channel(node, true));
        let formed = self.within(node, true, admin.init_cluster(InitClusterRequest {})).await?;
        Ok(formed.verifier_key)
    }

    /// The next step of replacing `old` by `new`.
    pub async fn replace(&self, leader: NodeId, old: NodeId, new: NodeId) -> Result<ReplaceMemberResponse, Failed> {
        let [client_address, peer_address, admin_address] = addresses(new);
        let (old, new) = (old.0, new.0);
        let request = ReplaceMemberRequest { old, new, peer_address, client_address, admin_address };
        let mut admin = AdminClient::new(self.channel(leader, true));
        self.within(leader, true, admin.replace_member(request)).await
    }

    /// Has a leader hand over, to whom it likes.
    pub async fn transfer(&self, leader: NodeId) -> Result<TransferLeaderResponse, Failed> {
        let mut admin = AdminClient::new(self.channel(leader, true));
        self.within(leader, true, admin.transfer_leader(TransferLeaderRequest { to: 0 })).await
    }

    /// Submits.
    pub async fn submit(&self, node: NodeId, record: SignedRecord) -> Result<SubmitResponse, Failed> {
        let mut request = Request::new(SubmitRequest { record: Some(record) });
        request.set_timeout(DEADLINE);
        let mut store = StoreClient::new(self.channel(node, false));
        self.within(node, false, store.submit(request)).await
    }

    /// Reads.
    pub async fn get(&self, node: NodeId, id: Vec<u8>) -> Result<GetResponse, Failed> {
        let mut request = Request::new(GetRequest { record_id: id.into() });
        request.set_timeout(DEADLINE);
        let mut store = StoreClient::new(self.channel(node, false));
        self.within(node, false, store.get(request)).await
    }
}
