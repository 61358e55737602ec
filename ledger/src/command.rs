//! The commands, one file each. A command is decided as a whole before it changes anything.

mod crl;
pub(crate) mod data_key;
mod genesis;
pub(crate) mod object;
pub(crate) mod submit;

use kho_proto::error::{Code, Refusal};
use kho_proto::id::LengthError;
use kho_proto::pb::ledger::v1::{Command, command::Kind};

use crate::draft::Draft;
use crate::effects::Outcome;
use crate::view::ReadError;

/// Why a command ends early.
pub(crate) enum Stop {
    /// It is refused, and changes nothing.
    Refused(Box<Refusal>),
    /// The state could not be read: the entry fails.
    Read(ReadError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(Box::new(refusal))
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Stop::Read(error)
    }
}

/// Applies one command of an entry. Kinds and fields that a later version adds are none in an earlier one, whatever build
/// applies it: what an older build could not read a newer one must not interpret otherwise.
pub(crate) fn apply(draft: &mut Draft<'_>, version: u32, epoch: u64, command: &Command) -> Result<Outcome, ReadError> {
    let result = match &command.kind {
        Some(Kind::Genesis(genesis)) => genesis::apply(draft, epoch, genesis),
        Some(Kind::CreateDataKey(create)) => check_state(draft, epoch).and_then(|()| data_key::apply(draft, create)),
        Some(Kind::Submit(submit)) => check_state(draft, epoch).and_then(|()| submit::apply(draft, version, submit)),
        Some(Kind::InstallCrl(install)) if version >= 2 => {
            check_state(draft, epoch).and_then(|()| crl::apply(draft, install))
        }
        Some(Kind::PutObjectChunk(put)) if version >= 2 => {
            check_state(draft, epoch).and_then(|()| object::put(draft, put))
        }
        Some(Kind::CompleteObject(complete)) if version >= 2 => {
            check_state(draft, epoch).and_then(|()| object::complete(draft, complete))
        }
        Some(Kind::DropObjects(drop)) if version >= 2 => {
            check_state(draft, epoch).and_then(|()| object::drop_objects(draft, drop))
        }
        Some(Kind::InstallCrl(_) | Kind::PutObjectChunk(_) | Kind::CompleteObject(_) | Kind::DropObjects(_)) | None => {
            Err(wrong("kind", format!("a command of entry version {version}"), "none").into())
        }
    };
    match result {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(refusal)) => Ok(Outcome::Refused(*refusal)),
        Err(Stop::Read(error)) => Err(error),
    }
}

/// The cluster is formed, and the entry is of its epoch.
fn check_state(draft: &Draft<'_>, epoch: u64) -> Result<(), Stop> {
    if draft.tip().genesis.is_none() {
        return Err(Refusal::new(Code::NotInitialized, "the cluster is not formed yet").into());
    }
    check_epoch(draft.tip().epoch().0, epoch)
}

fn check_epoch(expected: u64, found: u64) -> Result<(), Stop> {
    if expected == found {
        return Ok(());
    }
    let refusal = Refusal::new(Code::EpochMismatch, "the proposal is of another epoch than the state");
    Err(refusal.expected_found(expected.to_string(), found.to_string()).into())
}

/// A refusal of a field of the command.
fn wrong(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Refusal {
    let message = format!("field {field} of the command breaks its rule");
    Refusal::new(Code::RequestMalformed, message).expected_found(expected, found)
}

/// A field of fixed length.
fn fixed<'a, T: TryFrom<&'a [u8], Error = LengthError>>(field: &str, bytes: &'a [u8]) -> Result<T, Stop> {
    T::try_from(bytes)
        .map_err(|error| wrong(field, format!("{} bytes", error.expected), format!("{} bytes", error.found)).into())
}

/// A field whose length, or number of elements, has bounds.
fn within(field: &str, unit: &str, least: usize, most: usize, found: usize) -> Result<(), Stop> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(wrong(field, format!("{least} to {most} {unit}"), format!("{found} {unit}")).into())
}
