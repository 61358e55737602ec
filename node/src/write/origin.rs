//! Who speaks on the peer plane, and to whom: stands in every message.

use kho_proto::error::{Code, Refusal};
use kho_proto::id::{ClusterId, Epoch, NodeId};
use kho_proto::pb::peer::v1::Origin;

use crate::identity::PeerIdentity;

/// Version of the peer protocol.
const VERSION: u32 = 1;
/// The only log of a node, for now.
const LOG_ID: u64 = 1;

/// Makes and checks origins of this node's messages.
#[derive(Debug, Clone, Copy)]
pub struct Origins {
    /// This cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// Epoch that it works in.
    pub epoch: Epoch,
}

impl Origins {
    /// For a message to `target`.
    pub fn to(&self, target: NodeId) -> Origin {
        Origin {
            version: VERSION,
            cluster_id: bytes::Bytes::copy_from_slice(self.cluster.as_ref()),
            node_id: self.node.0,
            epoch: self.epoch.0,
            target: target.0,
            log_id: LOG_ID,
        }
    }

    /// Whether a message that came over `peer`'s connection is for this node.
    pub fn check(&self, origin: Option<&Origin>, peer: PeerIdentity) -> Result<(), Refusal> {
        let Some(origin) = origin else { return Err(mismatch("origin", "one in every message", "none")) };
        let cluster = ClusterId::try_from(origin.cluster_id.as_ref()).ok();
        if peer.cluster_id != self.cluster || cluster != Some(self.cluster) {
            return Err(mismatch("cluster", self.cluster, cluster.unwrap_or(peer.cluster_id)));
        }
        let fields = [
            ("version", u64::from(VERSION), u64::from(origin.version)),
            ("node", peer.node_id.0, origin.node_id),
            ("target", self.node.0, origin.target),
            ("log", LOG_ID, origin.log_id),
        ];
        match fields.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => Err(mismatch(what, expected, found)),
            None if origin.epoch != self.epoch.0 => {
                Err(Refusal::new(Code::EpochMismatch, "the message is of another epoch")
                    .expected_found(self.epoch.to_string(), origin.epoch.to_string()))
            }
            None => Ok(()),
        }
    }
}

fn mismatch(what: &str, expected: impl ToString, found: impl ToString) -> Refusal {
    Refusal::new(Code::PeerMismatch, format!("a peer message is of another {what}"))
        .expected_found(expected.to_string(), found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origins = Origins { cluster: ClusterId([1; 16]), node: NodeId(1), epoch: Epoch(1) };
    const THERE: Origins = Origins { node: NodeId(2), ..HERE };
    const PEER: PeerIdentity = PeerIdentity { cluster_id: ClusterId([1; 16]), node_id: NodeId(2) };

    #[test]
    fn a_message_of_a_member_to_this_node_passes() {
        HERE.check(Some(&THERE.to(NodeId(1))), PEER).unwrap();
    }

    #[test]
    fn anything_else_is_refused() {
        let good = THERE.to(NodeId(1));
        let other_cluster = Origin { cluster_id: vec![2; 16].into(), ..good.clone() };
        let cases = [
            (None, Code::PeerMismatch),
            (Some(other_cluster), Code::PeerMismatch),
            (Some(Origin { version: 2, ..good.clone() }), Code::PeerMismatch),
            (Some(Origin { node_id: 3, ..good.clone() }), Code::PeerMismatch),
            (Some(Origin { target: 3, ..good.clone() }), Code::PeerMismatch),
            (Some(Origin { log_id: 2, ..good.clone() }), Code::PeerMismatch),
            (Some(Origin { epoch: 2, ..good }), Code::EpochMismatch),
        ];
        for (origin, code) in cases {
            assert_eq!(HERE.check(origin.as_ref(), PEER).unwrap_err().code, code, "{origin:?}");
        }
    }
}
