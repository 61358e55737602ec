//! The lists of revoked certificates that count now, read from the state once for each change of them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use kho_ledger::{ReadError, crl_heads};
use kho_proto::certificate::{self, Crl, Crls, IssuerId, RevocationPolicy};
use kho_proto::digest::Digest;
use kho_proto::id::UnixMs;

use super::metric_definitions::CRLS;
use crate::consensus::StateStore;

/// Why nobody can be judged here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state can't be read.
    #[error("state: {0}")]
    State(#[from] ReadError),
    /// An installed list can't be read: without it a revoked certificate would pass.
    #[error("installed list of authority {issuer}: {source}")]
    List {
        /// Digest of its authority's name and key.
        issuer: Digest,
        /// What is wrong.
        source: certificate::Error,
    },
}

/// Lists of one moment.
pub struct Lists {
    /// How many were installed: the number of this set. A record's command carries it, and apply holds it against its own.
    pub version: u64,
    /// The lists.
    pub crls: Crls,
}

impl Lists {
    /// Until when a verdict by them holds: where expired lists are refused, until the first of them expires.
    pub(super) fn hold_until(&self) -> UnixMs {
        let expiring = if self.crls.policy.accept_expired { None } else { Some(&self.crls.lists) };
        let ends = expiring.into_iter().flatten().filter_map(|(_, crl)| crl.next_update());
        ends.min().unwrap_or(UnixMs(u64::MAX))
    }
}

/// The lists of this node's state.
pub struct Revocations {
    state: StateStore,
    policy: RevocationPolicy,
    current: ArcSwapOption<Lists>,
}

impl Revocations {
    /// Read by `policy`.
    pub fn new(state: StateStore, policy: RevocationPolicy) -> Self {
        Self { state, policy, current: ArcSwapOption::empty() }
    }

    /// Those of the state as it is now.
    pub fn current(&self) -> Result<Arc<Lists>, Error> {
        let version = self.state.tip().crl_version();
        match self.current.load_full() {
            Some(lists) if lists.version == version => Ok(lists),
            _ => self.read(),
        }
    }

    /// Several may read at once; the last one's stays, and is read again if it is not the newest.
    fn read(&self) -> Result<Arc<Lists>, Error> {
        let (view, tip) = self.state.read();
        let mut crls = Crls { policy: self.policy, ..Crls::default() };
        for row in crl_heads(&view)? {
            let crl = Crl::from_der(&row.der).map_err(|source| Error::List { issuer: row.issuer, source })?;
            crls.lists.insert(IssuerId(row.issuer), crl);
        }
        metrics::gauge!(CRLS).set(crls.lists.len() as f64);
        let lists = Arc::new(Lists { version: tip.crl_version(), crls });
        self.current.store(Some(lists.clone()));
        Ok(lists)
    }
}
