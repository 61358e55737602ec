//! What an entry brought about, as data: for the proposers that wait, never for the state.

use kho_proto::digest::Digest;
use kho_proto::error::Refusal;
use kho_proto::id::Seq;
use kho_proto::leaf::Leaf;

use crate::change::Changes;
use crate::tip::Tip;

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It left this leaf.
    Accepted {
        /// Index of the leaf.
        seq: Seq,
        /// The leaf.
        leaf: Leaf,
    },
    /// The record stands there already: its first receipt is the answer.
    Duplicate {
        /// Index of its leaf.
        seq: Seq,
    },
    /// It changed nothing.
    Refused(Refusal),
    /// It was taken and left no leaf.
    Done,
}

/// Outcomes of an entry's commands, and the tree after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// One for each command, in order.
    pub outcomes: Vec<Outcome>,
    /// Leaves after the entry.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// An applied entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Rows to write.
    pub changes: Changes,
    /// What to tell the proposers.
    pub effects: Effects,
    /// The tip after the entry.
    pub tip: Tip,
}
