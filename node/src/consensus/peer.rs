//! Who speaks on the peer plane, and whether it is who it says.

use kho_proto::id::{ClusterId, Epoch, NodeId};
use kho_proto::pb::peer::v1 as pb;
use tonic::{Request, Status};

use super::wire;

/// The log of a node that is meant; there is one for now.
pub(crate) const LOG_ID: u64 = 1;

/// The peer at the other end of a connection, proved by its certificate. The TLS layer puts it into the extensions
/// of each request; without TLS (simulation, tests) it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Cluster of the certificate.
    pub cluster_id: ClusterId,
    /// Node of the certificate.
    pub node_id: NodeId,
}

/// Makes the origin of outgoing messages and checks that of incoming ones.
#[derive(Debug, Clone, Copy)]
pub struct PeerGate {
    cluster_id: ClusterId,
    node_id: NodeId,
    epoch: Epoch,
}

/// An origin that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peer-mismatch: {field}: expected {expected}, found {found}")]
pub struct PeerMismatch {
    /// Field.
    pub field: &'static str,
    /// What this node is.
    pub expected: String,
    /// What was said.
    pub found: String,
}

impl From<PeerMismatch> for Status {
    fn from(mismatch: PeerMismatch) -> Self {
        Status::permission_denied(mismatch.to_string())
    }
}

impl PeerGate {
    /// The gate of a node.
    pub fn new(cluster_id: ClusterId, node_id: NodeId, epoch: Epoch) -> Self {
        Self { cluster_id, node_id, epoch }
    }

    /// Epoch of this node.
    pub fn epoch(&self) -> u64 {
        self.epoch.0
    }

    /// Origin of a message to `target`.
    pub fn origin(&self, target: NodeId) -> pb::Origin {
        pb::Origin {
            version: wire::VERSION,
            cluster_id: self.cluster_id.0.to_vec().into(),
            node_id: self.node_id.0,
            epoch: self.epoch.0,
            target: target.0,
            log_id: LOG_ID,
        }
    }

    /// The identity that the TLS layer proved, if any.
    pub fn identity<T>(request: &Request<T>) -> Option<PeerIdentity> {
        request.extensions().get().copied()
    }

    /// Checks an origin, against the proved identity too if there is one.
    pub fn check(&self, origin: Option<&pb::Origin>, identity: Option<&PeerIdentity>) -> Result<NodeId, PeerMismatch> {
        let none = pb::Origin::default();
        let origin = origin.unwrap_or(&none);
        let same = |field, expected: u64, found: u64| {
            let mismatch = PeerMismatch { field, expected: expected.to_string(), found: found.to_string() };
            if expected == found { Ok(()) } else { Err(mismatch) }
        };
        same("version", wire::VERSION.into(), origin.version.into())?;
        if origin.cluster_id != self.cluster_id.0.as_slice() {
            let found = ClusterId::try_from(origin.cluster_id.as_ref());
            let found = found.map_or_else(|error| error.to_string(), |id| id.to_string());
            return Err(PeerMismatch { field: "cluster", expected: self.cluster_id.to_string(), found });
        }
        same("target", self.node_id.0, origin.target)?;
        same("log", LOG_ID, origin.log_id)?;
        same("epoch", self.epoch.0, origin.epoch)?;
        if let Some(identity) = identity {
            if identity.cluster_id != self.cluster_id {
                let (expected, found) = (self.cluster_id.to_string(), identity.cluster_id.to_string());
                return Err(PeerMismatch { field: "certificate's cluster", expected, found });
            }
            same("certificate's node", identity.node_id.0, origin.node_id)?;
        }
        Ok(NodeId(origin.node_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId([1; 16]);

    fn check(change: impl FnOnce(&mut pb::Origin), identity: Option<PeerIdentity>, expect: Option<&str>) {
        let mut origin = PeerGate::new(CLUSTER, NodeId(2), Epoch(1)).origin(NodeId(1));
        change(&mut origin);
        let result = PeerGate::new(CLUSTER, NodeId(1), Epoch(1)).check(Some(&origin), identity.as_ref());
        assert_eq!(result.err().map(|mismatch| mismatch.field), expect);
    }

    #[test]
    fn an_origin_is_refused_for_each_of_its_fields() {
        let identity = PeerIdentity { cluster_id: CLUSTER, node_id: NodeId(2) };
        check(|_| {}, None, None);
        check(|_| {}, Some(identity), None);
        check(|origin| origin.version = 2, None, Some("version"));
        check(|origin| origin.cluster_id = vec![2; 16].into(), None, Some("cluster"));
        check(|origin| origin.target = 3, None, Some("target"));
        check(|origin| origin.log_id = 2, None, Some("log"));
        check(|origin| origin.epoch = 2, None, Some("epoch"));
        check(|origin| origin.node_id = 3, Some(identity), Some("certificate's node"));
        let other = PeerIdentity { cluster_id: ClusterId([2; 16]), ..identity };
        check(|_| {}, Some(other), Some("certificate's cluster"));
    }
}
