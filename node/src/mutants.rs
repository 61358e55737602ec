//! Planted bugs, for the tests that must catch them: feature `mutants`, chosen by the environment variable `KHO_MUTANT`.
//! Without the feature nothing of this is compiled in. `docs/mutants.md` says which test catches which.

/// A programming error that a system of this kind has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Parts are stored as they came.
    NoSealing,
    /// 1: log and vote are reported as written before they are on disk.
    UnsyncedLog,
    /// 2: a write of the log that failed is taken for written.
    SyncErrorSwallowed,
    /// 3: a file is replaced without a sync of its content and of its directory.
    UnsyncedRename,
    /// 4: a snapshot is labelled with what is applied by now, not with what it holds, and the label is believed.
    SnapshotMislabelled,
    /// 5: the state's tables go to disk one by one, the applied index last.
    FlushApart,
    /// 6: reads don't ask the leader how far they must wait.
    ReadWithoutBarrier,
    /// 7: the table that tells retries from new records is missing from an installed snapshot.
    #[cfg(feature = "mutants")]
    SnapshotForgetsRecords,
    /// 8: a damaged log opens, cut off where the damage begins.
    DamageTruncated,
    /// 9: apply takes the time from the node's own clock.
    #[cfg(feature = "mutants")]
    ApplyOwnClock,
    /// 10: a follower counts as having what was sent to it.
    #[cfg(feature = "mutants")]
    SentIsConfirmed,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them, by the name that `KHO_MUTANT` takes.
    const NAMES: &[(&'static str, Mutant)] = &[
        ("no-sealing", Mutant::NoSealing),
        ("unsynced-log", Mutant::UnsyncedLog),
        ("sync-error-swallowed", Mutant::SyncErrorSwallowed),
        ("unsynced-rename", Mutant::UnsyncedRename),
        ("snapshot-mislabelled", Mutant::SnapshotMislabelled),
        ("flush-apart", Mutant::FlushApart),
        ("read-without-barrier", Mutant::ReadWithoutBarrier),
        ("snapshot-forgets-records", Mutant::SnapshotForgetsRecords),
        ("damage-truncated", Mutant::DamageTruncated),
        ("apply-own-clock", Mutant::ApplyOwnClock),
        ("sent-is-confirmed", Mutant::SentIsConfirmed),
    ];

    /// Whether this one was chosen.
    pub(crate) fn planted(self) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
        let choose = || {
            let name = std::env::var("KHO_MUTANT").ok().filter(|name| !name.is_empty())?;
            let chosen = Self::NAMES.iter().find(|(known, _)| *known == name);
            // A test on a bug that is not there would prove nothing.
            Some(chosen.unwrap_or_else(|| panic!("KHO_MUTANT: expected one of {:?}, found {name:?}", Self::NAMES)).1)
        };
        *CHOSEN.get_or_init(choose) == Some(self)
    }
}

#[cfg(not(feature = "mutants"))]
impl Mutant {
    /// Never.
    pub(crate) const fn planted(self) -> bool {
        false
    }
}
