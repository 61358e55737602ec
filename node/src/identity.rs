//! Who is at the other end of a connection: read once from the certificate that TLS has verified.

use std::collections::BTreeSet;
use std::sync::Arc;

use kho_proto::certificate::{self, Sans};
use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::UnitCode;

use crate::consensus::PeerIdentity;

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Submits records for its units.
    Submitter,
    /// Reads what its units sent or receive.
    Reader,
    /// Runs the cluster; sees no content.
    Operator,
    /// Looks at the cluster's state; sees no content.
    Auditor,
}

impl Role {
    fn parse(text: &str) -> Option<Role> {
        Some(match text {
            "submitter" => Role::Submitter,
            "reader" => Role::Reader,
            "operator" => Role::Operator,
            "auditor" => Role::Auditor,
            _ => return None,
        })
    }

    /// As it stands in `urn:kho:role:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Submitter => "submitter",
            Role::Reader => "reader",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }
}

/// The units a party acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Units {
    All,
    These(BTreeSet<UnitCode>),
}

/// A system that talks to the store: its roles and units. Made of a verified certificate only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    roles: BTreeSet<Role>,
    units: Units,
    /// SHA-256 of its certificate.
    certificate: Digest,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub enum Identity {
    /// TLS, but no client certificate.
    Anonymous,
    /// A client certificate that names no role.
    Nobody,
    /// A client or an operator.
    Party(Arc<Party>),
    /// A node.
    Node(PeerIdentity),
}

impl Identity {
    /// Reads the certificate that the other side proved; none: anonymous.
    pub fn of_certificate(der: Option<&[u8]>) -> Result<Identity, certificate::Error> {
        let Some(der) = der else { return Ok(Identity::Anonymous) };
        Ok(Self::of_sans(certificate::sans(der)?, Digest::of(der)))
    }

    fn of_sans(sans: Sans, certificate: Digest) -> Identity {
        if let Some((cluster_id, node_id)) = sans.node {
            return Identity::Node(PeerIdentity { cluster_id, node_id });
        }
        let roles: BTreeSet<Role> = sans.roles.iter().filter_map(|role| Role::parse(role)).collect();
        if roles.is_empty() {
            return Identity::Nobody;
        }
        let units = if sans.all_units { Units::All } else { Units::These(sans.units.into_iter().collect()) };
        Identity::Party(Arc::new(Party { roles, units, certificate }))
    }

    /// SHA-256 of a party's certificate: connections are counted by it.
    pub fn certificate(&self) -> Option<Digest> {
        match self {
            Identity::Party(party) => Some(party.certificate),
            _ => None,
        }
    }

    /// The party, or why there is none.
    pub fn party(&self) -> Result<&Arc<Party>, Refusal> {
        match self {
            Identity::Party(party) => Ok(party),
            Identity::Anonymous => Err(Refusal::new(
                Code::ClientCertificateMissing,
                "this listener answers only connections with a client certificate",
            )
            .expected_found("a client certificate", "none")),
            Identity::Nobody => Err(Refusal::new(Code::IdentityMissing, "the client certificate names no role")
                .expected_found(
                    "a subject alternative name urn:kho:role:submitter, reader, operator or auditor",
                    "none",
                )),
            Identity::Node(_) => Err(Refusal::new(Code::IdentityMissing, "the client certificate is a node's")
                .expected_found("a party's certificate", "a node's")),
        }
    }

    /// The node, or why there is none.
    pub fn node(&self) -> Result<PeerIdentity, Refusal> {
        match self {
            Identity::Node(node) => Ok(*node),
            _ => Err(Refusal::new(Code::PeerMismatch, "the certificate is not a node's")
                .expected_found("a subject alternative name urn:kho:node:CLUSTER:ID", "none")),
        }
    }
}

impl Party {
    /// Whether it has any of `roles`.
    pub fn has_role(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles.contains(role))
    }

    /// Refuses a party that has none of `roles`.
    pub fn require(&self, roles: &[Role]) -> Result<(), Refusal> {
        if self.has_role(roles) {
            return Ok(());
        }
        let names =
            |roles: &mut dyn Iterator<Item = &Role>| roles.map(|role| role.as_str()).collect::<Vec<_>>().join(" or ");
        Err(Refusal::new(Code::RoleNotPermitted, "the connection's role does not include this call")
            .expected_found(names(&mut roles.iter()), names(&mut self.roles.iter())))
    }

    /// Whether it acts for `unit`.
    pub fn acts_for(&self, unit: &UnitCode) -> bool {
        match &self.units {
            Units::All => true,
            Units::These(units) => units.contains(unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::id::{ClusterId, NodeId};

    fn sans(roles: &[&str], units: &[&str], all_units: bool) -> Sans {
        Sans {
            units: units.iter().map(|unit| unit.parse().unwrap()).collect(),
            all_units,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            node: None,
        }
    }

    #[test]
    fn a_party_acts_for_its_units_only() {
        let identity = Identity::of_sans(sans(&["submitter"], &["BYT", "T01"], false), Digest::ZERO);
        let party = identity.party().unwrap();
        assert!(party.acts_for(&"BYT".parse().unwrap()));
        assert!(!party.acts_for(&"BCA".parse().unwrap()));
        assert!(
            Identity::of_sans(sans(&["submitter"], &[], true), Digest::ZERO)
                .party()
                .unwrap()
                .acts_for(&"BCA".parse().unwrap())
        );
    }

    #[test]
    fn roles_are_kept_apart() {
        let identity = Identity::of_sans(sans(&["operator"], &[], true), Digest::ZERO);
        let party = identity.party().unwrap();
        party.require(&[Role::Operator, Role::Auditor]).unwrap();
        let refusal = party.require(&[Role::Submitter]).unwrap_err();
        assert_eq!(refusal.code, Code::RoleNotPermitted);
        assert_eq!((refusal.expected.as_str(), refusal.found.as_str()), ("submitter", "operator"));
    }

    #[test]
    fn without_a_certificate_or_a_known_role_nobody_is_there() {
        let anonymous = Identity::of_certificate(None).unwrap();
        assert_eq!(anonymous.party().unwrap_err().code, Code::ClientCertificateMissing);
        let nobody = Identity::of_sans(sans(&["minister"], &["BYT"], false), Digest::ZERO);
        assert_eq!(nobody.party().unwrap_err().code, Code::IdentityMissing);
    }

    #[test]
    fn a_node_is_no_party_and_a_party_no_node() {
        let mut node = sans(&["operator"], &[], true);
        node.node = Some((ClusterId([1; 16]), NodeId(2)));
        let node = Identity::of_sans(node, Digest::ZERO);
        assert_eq!(node.node().unwrap().node_id, NodeId(2));
        assert_eq!(node.party().unwrap_err().code, Code::IdentityMissing);
        let party = Identity::of_sans(sans(&["reader"], &[], true), Digest::ZERO);
        assert_eq!(party.node().unwrap_err().code, Code::PeerMismatch);
    }
}
