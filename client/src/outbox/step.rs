//! Named points in the life of an outbox: where a crash test ends the process, or takes its power away.

use std::fmt::Debug;

/// A point between two steps that matter. Those of the disk come at every write and sync that the store makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The process holds the lock, and has opened nothing.
    Locked,
    /// A new store is on the disk, under a name that nobody opens.
    Made,
    /// It has its name; the directory was not synced.
    Named,
    /// Records were put into a transaction that is not committed.
    Adding,
    /// They are durable, and the caller has not been told.
    Added,
    /// That records are about to be sent stands in a transaction that is not committed.
    Marking,
    /// It is durable, and nothing was sent.
    Marked,
    /// The cluster answered, and nobody but this process's memory knows.
    Answered,
    /// The answers stand in a transaction that is not committed.
    Settling,
    /// They are durable, and nobody was told.
    Settled,
    /// Refused records stand in a transaction that queues them again.
    Retrying,
    /// The store is about to write a piece.
    Writing,
    /// It is about to sync.
    Syncing,
    /// It has synced.
    Synced,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 14] = [
        Step::Locked,
        Step::Made,
        Step::Named,
        Step::Adding,
        Step::Added,
        Step::Marking,
        Step::Marked,
        Step::Answered,
        Step::Settling,
        Step::Settled,
        Step::Retrying,
        Step::Writing,
        Step::Syncing,
        Step::Synced,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Locked => "locked",
            Step::Made => "made",
            Step::Named => "named",
            Step::Adding => "adding",
            Step::Added => "added",
            Step::Marking => "marking",
            Step::Marked => "marked",
            Step::Answered => "answered",
            Step::Settling => "settling",
            Step::Settled => "settled",
            Step::Retrying => "retrying",
            Step::Writing => "writing",
            Step::Syncing => "syncing",
            Step::Synced => "synced",
        }
    }
}

/// Told of each step as it is reached, on the thread that takes it. For crash tests; a service has no use for it.
pub trait Steps: Debug + Send + Sync + 'static {
    /// The process is there.
    fn at(&self, step: Step);
}

/// Nobody listens.
#[derive(Debug)]
pub(super) struct Unwatched;

impl Steps for Unwatched {
    fn at(&self, _: Step) {}
}
