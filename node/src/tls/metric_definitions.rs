//! Metrics of certificates.

use super::Plane;
use super::revoked::Lists;

/// When the first list of revoked certificates is due to be renewed, in Unix seconds, by `plane`.
pub const CRL_NEXT_UPDATE: &str = "kho_tls_crl_next_update_seconds";
/// Certificates that the lists take back, by `plane`.
pub const CRL_REVOKED: &str = "kho_tls_crl_revoked";

/// Registers descriptions.
pub fn describe() {
    metrics::describe_gauge!(CRL_NEXT_UPDATE, "when the first list of revoked certificates is due, Unix seconds");
    metrics::describe_gauge!(CRL_REVOKED, "certificates that the plane's lists take back");
}

/// Lists that count from now on.
pub(super) fn read(plane: Plane, lists: &Lists) {
    let due = lists.next_update().map_or(f64::INFINITY, |at| at.0 as f64 / 1000.0);
    metrics::gauge!(CRL_NEXT_UPDATE, "plane" => plane.as_str()).set(due);
    metrics::gauge!(CRL_REVOKED, "plane" => plane.as_str()).set(lists.revoked() as f64);
}
