//! Points at which a test has the process killed: those that no system call shows. Feature `mutants`, as the planted bugs;
//! without it nothing of this is compiled in. `chaos-tests/tests/kill_points.rs` has the table of all points.
//!
//! The process dies at a point while a file of the point's name stands in the directory that `KHO_KILL_DIR` names; the file
//! is called `NAME.reached` then, which proves where it died.

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillPoint {
    /// A vote is about to be written.
    VoteUnsaved,
    /// A vote is on disk, and nobody was told.
    VoteSaved,
    /// Entries are on disk, and nobody was told.
    LogWritten,
    /// The log was purged on disk, and nobody was told.
    LogPurged,
    /// An entry was handed to raft; it is not applied.
    Proposed,
    /// An entry is applied; who waits for it was not told.
    Applied,
    /// A record has its receipt, which was not sent.
    Unacknowledged,
    /// A snapshot is here and verified; nothing of it is installed.
    SnapshotReceived,
    /// The state of a snapshot is the live one on disk, and not yet in memory.
    SnapshotInstalled,
}

#[cfg(feature = "mutants")]
impl KillPoint {
    fn name(self) -> &'static str {
        match self {
            KillPoint::VoteUnsaved => "vote-unsaved",
            KillPoint::VoteSaved => "vote-saved",
            KillPoint::LogWritten => "log-written",
            KillPoint::LogPurged => "log-purged",
            KillPoint::Proposed => "proposed",
            KillPoint::Applied => "applied",
            KillPoint::Unacknowledged => "unacknowledged",
            KillPoint::SnapshotReceived => "snapshot-received",
            KillPoint::SnapshotInstalled => "snapshot-installed",
        }
    }

    /// Dies here if a test wants it to.
    pub(crate) fn reached(self) {
        use rustix::process::{Signal, getpid, kill_process};
        static DIRECTORY: std::sync::OnceLock<Option<std::path::PathBuf>> = std::sync::OnceLock::new();
        let directory = DIRECTORY.get_or_init(|| std::env::var_os("KHO_KILL_DIR").map(Into::into));
        let Some(directory) = directory else { return };
        let (armed, reached) = (directory.join(self.name()), directory.join(format!("{}.reached", self.name())));
        // of several threads that come by one takes it
        if std::fs::rename(armed, reached).is_ok() {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
            // nothing is done on this thread until the signal is there
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(not(feature = "mutants"))]
impl KillPoint {
    /// Never.
    pub(crate) const fn reached(self) {}
}
