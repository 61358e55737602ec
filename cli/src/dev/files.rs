//! Certificates of a development cluster: five authorities, the nodes, the usual connections.

use std::net::Ipv4Addr;

use kho_proto::id::{ClusterId, NodeId, UnixMs};

use super::{Error, Identity, Layout, Plane};
use crate::certs::{Authority, KeyKind, Profile, Role, Validity};

/// Certificates of development clusters hold for this long.
pub const DEV_VALIDITY_DAYS: u32 = 825;
/// Connections that every development cluster has.
pub const IDENTITIES: [Identity; 2] = [Identity::Platform, Identity::Operator];
/// How nodes are reached, besides an address of their own.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// Makes all authorities, the certificates of nodes 1 to `nodes`, and of [`IDENTITIES`]. Refuses where an authority
/// stands already.
pub fn write_certificates(layout: &Layout, cluster: ClusterId, nodes: u64, now: UnixMs) -> Result<(), Error> {
    write_authorities(layout, now)?;
    for node in (1..=nodes).map(NodeId) {
        write_node_certificates(layout, cluster, node, Ipv4Addr::LOCALHOST, now)?;
    }
    Ok(())
}

/// Makes all authorities and the certificates of [`IDENTITIES`]. Refuses where an authority stands already.
pub(super) fn write_authorities(layout: &Layout, now: UnixMs) -> Result<(), Error> {
    let validity = Validity::days(now, DEV_VALIDITY_DAYS);
    // all before the first: nothing is left half made
    Plane::ALL.iter().try_for_each(|plane| Authority::check_absent(&layout.authorities(), &plane.authority()))?;
    for plane in Plane::ALL {
        let name = format!("Kho development CA: {}", plane.as_str());
        Authority::create(&name, KeyKind::P256, validity)?.write(&layout.authorities(), &plane.authority())?;
    }
    for identity in IDENTITIES {
        write_identity(layout, &identity, validity)?;
    }
    Ok(())
}

/// Makes a node's certificates, for loopback and for its own address.
pub(super) fn write_node_certificates(
    layout: &Layout,
    cluster: ClusterId,
    node: NodeId,
    host: Ipv4Addr,
    now: UnixMs,
) -> Result<(), Error> {
    let validity = Validity::days(now, DEV_VALIDITY_DAYS);
    let authority = |plane: Plane| Authority::load(&layout.authorities(), &plane.authority());
    let dir = layout.node_certificates(node);
    let own = Some(host).filter(|host| !host.is_loopback()).map(|host| host.to_string());
    let hosts: Vec<String> = HOSTS.map(str::to_owned).into_iter().chain(own).collect();
    let server = Profile::Server { hosts: hosts.clone() };
    for plane in [Plane::Client, Plane::Admin, Plane::Log] {
        authority(plane)?.issue(&server, KeyKind::P256, validity)?.write(&dir, plane.as_str())?;
    }
    let member = Profile::Peer { cluster, node, hosts };
    authority(Plane::Peer)?.issue(&member, KeyKind::P256, validity)?.write(&dir, Plane::Peer.as_str())?;
    Ok(())
}

/// Makes a connection's certificate.
pub(super) fn write_identity(layout: &Layout, identity: &Identity, validity: Validity) -> Result<(), Error> {
    let (name, roles, units, all_units) = match identity {
        Identity::Platform => {
            ("Kho development platform".to_owned(), vec![Role::Submitter, Role::Reader], vec![], true)
        }
        Identity::Operator => ("Kho development operator".to_owned(), vec![Role::Operator], vec![], false),
        Identity::Unit(unit) => {
            (format!("Kho development system {unit}"), vec![Role::Submitter, Role::Reader], vec![unit.clone()], false)
        }
    };
    let profile = Profile::Connection { name, roles, units, all_units };
    let authority = Authority::load(&layout.authorities(), &identity.plane().authority())?;
    authority.issue(&profile, KeyKind::P256, validity)?.write(&layout.identities(), &identity.name())?;
    Ok(())
}
