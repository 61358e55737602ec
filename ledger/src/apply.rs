//! Applying one committed entry.

use bytes::Bytes;
use kho_proto::error::{Code, Refusal};
use kho_proto::pb::ledger::v1 as pb;
use prost::Message;

use crate::bounds::{ENTRY_COMMANDS_MAX, ENTRY_LENGTH_MAX, ENTRY_VERSIONS, PROPOSED_AT_MS_MAX};
use crate::command;
use crate::draft::Draft;
use crate::effects::{Applied, Effects, Outcome};
use crate::tip::Tip;
use crate::view::{ReadError, View};

/// Why an entry could not be applied. Fatal: the entry is committed, so the node stops rather than skip it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry is damaged.
    #[error("expected an encoded entry of the ledger")]
    EntryMalformed(#[from] prost::DecodeError),
    /// The entry was written by another version of the software: this one cannot know what it means.
    #[error("expected entry version {} to {}, found {found}", ENTRY_VERSIONS.start(), ENTRY_VERSIONS.end())]
    EntryVersion {
        /// Version found.
        found: u32,
    },
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Applies an encoded `kho.ledger.v1.Entry` to the state that `view` and `tip` stand for, both of one moment.
///
/// Answers with what to write, in one atomic batch. It depends on nothing but its arguments, and an entry
/// that was cut anywhere into two has the same leaves (accepted-at apart) in the same order.
pub fn apply(view: &dyn View, tip: &Tip, entry: &Bytes) -> Result<Applied, Error> {
    // Decoded from `Bytes`, the fields share the entry's memory: sealed parts are copied once, into their row.
    let length = entry.len();
    let entry = pb::Entry::decode(entry.clone())?;
    if !ENTRY_VERSIONS.contains(&entry.version) {
        return Err(Error::EntryVersion { found: entry.version });
    }
    let mut draft = Draft::new(view, tip, entry.proposed_at_ms);
    let outcomes = match beyond_bounds(length, &entry) {
        Some(refusal) => entry.commands.iter().map(|_| Outcome::Refused(refusal.clone())).collect(),
        None => apply_all(&mut draft, &entry)?,
    };
    let (changes, tip) = draft.finish();
    let effects = Effects { outcomes, size: tip.size(), root: tip.root() };
    Ok(Applied { changes, effects, tip })
}

fn apply_all(draft: &mut Draft<'_>, entry: &pb::Entry) -> Result<Vec<Outcome>, ReadError> {
    entry.commands.iter().map(|command| command::apply(draft, entry.version, entry.epoch, command)).collect()
}

/// An entry that no proposer may make is refused as a whole: to stop here would stop every node for good.
fn beyond_bounds(length: usize, entry: &pb::Entry) -> Option<Refusal> {
    let over = |what: &str, most: u64, found: u64| {
        let refusal = Refusal::new(Code::RequestMalformed, format!("the entry has too large a {what}"));
        (found > most).then(|| refusal.expected_found(format!("at most {most}"), found.to_string()))
    };
    over("length in bytes", ENTRY_LENGTH_MAX as u64, length as u64)
        .or_else(|| over("number of commands", ENTRY_COMMANDS_MAX as u64, entry.commands.len() as u64))
        .or_else(|| over("time of proposal", PROPOSED_AT_MS_MAX, entry.proposed_at_ms))
}
