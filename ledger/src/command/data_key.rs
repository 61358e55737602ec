//! `CreateDataKey`: the first per unit and generation is kept, so that nodes may race to create one.

use kho_proto::digest::Digest;
use kho_proto::id::{KeyId, Token};
use kho_proto::pb::ledger::v1::CreateDataKey;

use super::{Stop, fixed, within, wrong};
use crate::bounds::WRAPPED_KEY_LENGTH_MAX;
use crate::draft::Draft;
use crate::effects::Outcome;
use crate::row::DataKeyRow;

/// Generation of a unit's first data key.
pub const FIRST_GENERATION: u32 = 1;

pub(super) fn apply(draft: &mut Draft<'_>, command: &CreateDataKey) -> Result<Outcome, Stop> {
    let key_id: KeyId = fixed("create_data_key.key_id", &command.key_id)?;
    let unit: Token = fixed("create_data_key.unit_token", &command.unit_token)?;
    let wrapped_by: Digest = fixed("create_data_key.wrapped_by", &command.wrapped_by)?;
    within("create_data_key.wrapped_key", "bytes", 1, WRAPPED_KEY_LENGTH_MAX, command.wrapped_key.len())?;
    let latest = draft.generation(unit)?;
    let next = latest.checked_add(1);
    if (FIRST_GENERATION..=latest).contains(&command.generation) {
        return Ok(Outcome::Done);
    }
    if Some(command.generation) != next {
        let expected = format!("{FIRST_GENERATION} to {}", latest.saturating_add(1));
        return Err(wrong("create_data_key.generation", expected, command.generation.to_string()).into());
    }
    if draft.key_owner(key_id)?.is_some() {
        return Err(wrong("create_data_key.key_id", "a new id", "the id of another key").into());
    }
    let row = DataKeyRow {
        size_before: draft.tip().size(),
        key_id,
        generation: command.generation,
        wrapped_by,
        wrapped_key: command.wrapped_key.clone(),
    };
    draft.put_data_key(unit, &row);
    Ok(Outcome::Done)
}
