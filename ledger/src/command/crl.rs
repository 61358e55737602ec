//! `InstallCrl`: the newest list of an authority counts from the next command on.

use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::id::UnixMs;
use kho_proto::pb::ledger::v1::InstallCrl;

use super::{Stop, fixed, within, wrong};
use crate::bounds::{CRL_LENGTH_MAX, PROPOSED_AT_MS_MAX};
use crate::draft::Draft;
use crate::effects::Outcome;
use crate::row::CrlRow;

pub(super) fn apply(draft: &mut Draft<'_>, command: &InstallCrl) -> Result<Outcome, Stop> {
    within("install_crl.der", "bytes", 1, CRL_LENGTH_MAX, command.der.len())?;
    let issuer: Digest = fixed("install_crl.issuer", &command.issuer)?;
    if command.this_update_ms > PROPOSED_AT_MS_MAX {
        let found = command.this_update_ms.to_string();
        return Err(wrong("install_crl.this_update_ms", format!("at most {PROPOSED_AT_MS_MAX}"), found).into());
    }
    let this_update = UnixMs(command.this_update_ms);
    let held = draft.crl_head(issuer)?.map(|held| (held.this_update, held.der == command.der));
    match held {
        Some((_, true)) => return Ok(Outcome::Done),
        Some((held, false)) if this_update <= held => {
            let refusal =
                Refusal::new(Code::CrlNotNewer, "a list of this authority that is as new is installed already");
            return Err(refusal.expected_found(format!("one made after {held}"), this_update.to_string()).into());
        }
        Some(_) | None => {}
    }
    let (version, size_before) = (draft.tip().crl_version() + 1, draft.tip().size());
    draft.put_crl(CrlRow { version, size_before, issuer, this_update, der: command.der.clone() });
    Ok(Outcome::Done)
}
