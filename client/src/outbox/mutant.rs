//! Planted bugs, for the crash test that must catch them: feature `mutants`, chosen by `KHO_MUTANT`, as in the node.
//! Without the feature nothing of this is compiled in.

/// A programming error that a spool could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A record is acknowledged before it is committed.
    AddedBeforeCommit,
    /// A delivered record is removed in one transaction, and its receipt stored in the next.
    RemovedBeforeReceipt,
}

#[cfg(feature = "mutants")]
impl Mutant {
    const NAMES: [(&'static str, Mutant); 2] = [
        ("outbox-added-before-commit", Mutant::AddedBeforeCommit),
        ("outbox-removed-before-receipt", Mutant::RemovedBeforeReceipt),
    ];

    /// Whether this one was chosen. The node's have names of their own, and are none of these.
    pub(super) fn planted(self) -> bool {
        let chosen = std::env::var("KHO_MUTANT").unwrap_or_default();
        Self::NAMES.iter().any(|(name, mutant)| *name == chosen && *mutant == self)
    }
}

#[cfg(not(feature = "mutants"))]
impl Mutant {
    /// Never.
    pub(super) const fn planted(self) -> bool {
        false
    }
}
