//! Attachments.

use serde::Deserialize;

use super::error::{Error, within};

/// Attachments: how large, and how long one waits for its record.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentsConfig {
    /// Largest attachment, in MiB.
    pub length_max_mib: u64,
    /// What no record names after so many seconds is dropped.
    pub orphan_after_s: u64,
}

impl AttachmentsConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("attachments.length_max_mib", self.length_max_mib, 1, kho_ledger::bounds::OBJECT_LENGTH_MAX >> 20)?;
        within("attachments.orphan_after_s", self.orphan_after_s, 1, 366 * 24 * 60 * 60)
    }
}
