//! What a certificate's subject alternative names say in Kho's terms.
//!
//! ```text
//! urn:kho:unit:CODE                a unit; repeatable for connections
//! urn:kho:units:all                every unit: a data-exchange platform
//! urn:kho:role:ROLE                submitter, reader, operator, auditor; repeatable
//! urn:kho:node:CLUSTER-UUID:ID     a node
//! ```
//! Other names are left alone.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::{Error, parse};
use crate::error::excerpt;
use crate::id::{ClusterId, NodeId, UnitCode};

/// Characters of a role, at most.
const ROLE_LENGTH_MAX: usize = 32;

/// Kho's names in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sans {
    /// Units, in the certificate's order.
    pub units: Vec<UnitCode>,
    /// Whether `urn:kho:units:all` is there.
    pub all_units: bool,
    /// Roles as written, lower-case letters and `-`.
    pub roles: Vec<String>,
    /// The node.
    pub node: Option<(ClusterId, NodeId)>,
}

/// Kho's names in a DER certificate. A name in the right place with a wrong content is an error, so that a typing
/// error does not turn into a missing right that nobody can explain.
pub fn sans(der: &[u8]) -> Result<Sans, Error> {
    from_certificate(&parse(0, der)?)
}

pub(super) fn from_certificate(certificate: &X509Certificate<'_>) -> Result<Sans, Error> {
    let mut sans = Sans::default();
    let extension = certificate.subject_alternative_name().map_err(|error| Error::malformed(0, error))?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    for name in names {
        if let GeneralName::URI(uri) = name
            && let Some(name) = uri.strip_prefix("urn:kho:")
        {
            add(&mut sans, name).ok_or_else(|| Error::malformed(0, format_args!("san uri {}", excerpt(uri))))?;
        }
    }
    Ok(sans)
}

/// None if a known name has a wrong content.
fn add(sans: &mut Sans, name: &str) -> Option<()> {
    if let Some(code) = name.strip_prefix("unit:") {
        sans.units.push(code.parse().ok()?);
    } else if let Some(rest) = name.strip_prefix("units:") {
        (rest == "all").then_some(())?;
        sans.all_units = true;
    } else if let Some(role) = name.strip_prefix("role:") {
        let good =
            (1..=ROLE_LENGTH_MAX).contains(&role.len()) && role.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        good.then(|| sans.roles.push(role.to_owned()))?;
    } else if let Some(node) = name.strip_prefix("node:") {
        let (cluster, id) = node.split_once(':')?;
        let id = id.parse::<u64>().ok().filter(|number| *number > 0 && number.to_string() == id)?;
        let node = (cluster.parse().ok()?, NodeId(id));
        (sans.node.is_none() || sans.node == Some(node)).then(|| sans.node = Some(node))?;
    }
    Some(())
}
