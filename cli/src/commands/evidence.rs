//! Receipts that prove nothing are kept: a node that signs a wrong one has to answer for it.

use std::path::Path;

use kho_client::Rejected;
use kho_proto::id::RecordId;

/// Writes `ID.tlog-proof.rejected`, and says so. The command fails for the receipt itself: not for this.
pub fn evidence(rejected: &Rejected, dir: &Path, id: RecordId) {
    let Some(bytes) = rejected.to_file() else { return };
    let path = dir.join(format!("{id}.tlog-proof.rejected"));
    match kho::files::write(&path, &bytes) {
        Ok(()) => eprintln!("the receipt is kept as evidence: {}", path.display()),
        Err(error) => eprintln!("the receipt could not be kept as evidence: {}: {error}", path.display()),
    }
}
