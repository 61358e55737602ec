//! What a certificate is for: names and usages.

use std::fmt;
use std::net::IpAddr;

use kho_proto::id::{ClusterId, NodeId, UnitCode};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Role {
    /// Submits records.
    Submitter,
    /// Reads records that its units sent or receive.
    Reader,
    /// Runs the cluster; sees no content.
    Operator,
    /// Reads the log and its proofs.
    Auditor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Submitter => "submitter",
            Role::Reader => "reader",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        })
    }
}

/// What a certificate is for.
#[derive(Debug, Clone)]
pub enum Profile {
    /// A node's client or admin listener.
    Server {
        /// Host names and addresses that it is reached by.
        hosts: Vec<String>,
    },
    /// A node towards its peers: server and client.
    Peer {
        /// Its cluster.
        cluster: ClusterId,
        /// Its id there.
        node: NodeId,
        /// Host names and addresses that it is reached by.
        hosts: Vec<String>,
    },
    /// A system that connects to the client or the admin plane.
    Connection {
        /// For people: which system this is.
        name: String,
        /// What it may do.
        roles: Vec<Role>,
        /// For which units.
        units: Vec<UnitCode>,
        /// For all units: a platform.
        all_units: bool,
    },
    /// A unit's signer of records.
    Signer {
        /// Whose records it signs.
        unit: UnitCode,
    },
}

impl Profile {
    pub(super) fn common_name(&self) -> String {
        match self {
            Profile::Server { hosts } => format!("kho server {}", hosts.first().map_or("", String::as_str)),
            Profile::Peer { node, .. } => format!("kho node {node}"),
            Profile::Connection { name, .. } => name.clone(),
            Profile::Signer { unit } => format!("kho signer {unit}"),
        }
    }

    pub(super) fn names(&self) -> Result<Vec<SanType>, rcgen::Error> {
        let host = |name: &String| match name.parse::<IpAddr>() {
            Ok(address) => Ok(SanType::IpAddress(address)),
            Err(_) => Ok(SanType::DnsName(name.clone().try_into()?)),
        };
        let uri = |text: String| Ok(SanType::URI(text.try_into()?));
        match self {
            Profile::Server { hosts } => hosts.iter().map(host).collect(),
            Profile::Peer { cluster, node, hosts } => {
                hosts.iter().map(host).chain([uri(format!("urn:kho:node:{cluster}:{node}"))]).collect()
            }
            Profile::Connection { roles, units, all_units, .. } => roles
                .iter()
                .map(|role| uri(format!("urn:kho:role:{role}")))
                .chain(units.iter().map(|unit| uri(format!("urn:kho:unit:{unit}"))))
                .chain(all_units.then(|| uri("urn:kho:units:all".to_owned())))
                .collect(),
            Profile::Signer { unit } => Ok(vec![uri(format!("urn:kho:unit:{unit}"))?]),
        }
    }

    pub(super) fn key_usages(&self) -> Vec<KeyUsagePurpose> {
        match self {
            Profile::Signer { .. } => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment],
            _ => vec![KeyUsagePurpose::DigitalSignature],
        }
    }

    /// A signer has none: key usage says all there is to say, and the chain check refuses TLS certificates.
    pub(super) fn extended_key_usages(&self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Profile::Server { .. } => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Profile::Peer { .. } => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Profile::Connection { .. } => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Profile::Signer { .. } => Vec::new(),
        }
    }
}
