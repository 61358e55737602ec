//! Receipts that prove nothing are kept: a node that signs a wrong one has to answer for it.

use std::path::Path;

use kho_client::Rejected;
use kho_proto::id::RecordId;

use crate::lang;

/// Writes `ID.tlog-proof.rejected`, and says so. The command fails for the receipt itself: not for this.
pub fn evidence(rejected: &Rejected, dir: &Path, id: RecordId) {
    let Some(bytes) = rejected.to_file() else { return };
    let path = dir.join(format!("{id}.tlog-proof.rejected"));
    let (lang, path_text) = (lang::current(), path.display());
    match kho::files::write(&path, &bytes) {
        Ok(()) => eprintln!("{}", lang::EVIDENCE_KEPT.with(lang, &[("path", &path_text)])),
        Err(error) => eprintln!("{}", lang::EVIDENCE_LOST.with(lang, &[("path", &path_text), ("error", &error)])),
    }
}
