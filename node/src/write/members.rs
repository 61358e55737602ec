//! Whether every member knows a command: one that does not would stop when it is committed.

use std::sync::Arc;

use futures::future::join_all;
use kho_ledger::bounds::ENTRY_VERSIONS;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;

use super::forward::Peers;
use crate::consensus::Consensus;

/// The members, as this node knows them.
pub struct Members {
    pub(crate) node: NodeId,
    pub(crate) consensus: Consensus,
    pub(crate) peers: Arc<Peers>,
}

impl Members {
    /// Refuses where a member does not say that it applies entries of `version`.
    pub(crate) async fn check(&self, version: u32) -> Result<(), Refusal> {
        let members = self.consensus.status().members.into_keys().filter(|member| *member != self.node);
        let asked = members.map(|member| async move { (member, self.peers.entry_version_max(member).await) });
        for (member, known) in join_all(asked).await {
            if known.is_none_or(|known| known < version) {
                let found = known.map_or("no answer".to_owned(), |known| format!("up to {known}"));
                let refusal = Refusal::new(Code::MembersOutdated, format!("node {member} may not know the command"));
                return Err(refusal.expected_found(format!("entries of version {version}"), found));
            }
        }
        debug_assert!(ENTRY_VERSIONS.contains(&version));
        Ok(())
    }
}
