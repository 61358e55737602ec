//! `Submit`: a verified, sealed record gets its place, once.

mod fields;

use kho_proto::digest::Digest;
use kho_proto::error::{Code, Refusal};
use kho_proto::leaf::{Leaf, LeafKind, attachments_digest};
use kho_proto::pb::ledger::v1::Submit;

use self::fields::Fields;
use super::{Stop, object};
use crate::draft::Draft;
use crate::effects::Outcome;
use crate::read;
use crate::row::{Body, CertificateRow, INDEX_VALUE, RecordRow};
use crate::table;

/// Revision of a series' first record.
pub const FIRST_REVISION: u32 = 1;

pub(super) fn apply(draft: &mut Draft<'_>, version: u32, command: &Submit) -> Result<Outcome, Stop> {
    let mut fields = Fields::of(version, command)?;
    if let Some(outcome) = check_identity(draft, &fields)? {
        return Ok(outcome);
    }
    check_verdict(draft, if version >= 2 { command.crl_version } else { 0 })?;
    check_key(draft, &fields)?;
    check_certificates(draft, &mut fields)?;
    check_attachments(draft, &fields)?;
    let revision = check_supersession(draft, &fields)?;
    Ok(take(draft, fields, revision))
}

/// The same header is the same record, whoever signed it again; another header under the id is refused.
fn check_identity(draft: &mut Draft<'_>, fields: &Fields<'_>) -> Result<Option<Outcome>, Stop> {
    let Some(row) = draft.record(fields.record_id)? else { return Ok(None) };
    let (seq, held_by, held) = (row.seq, row.unit_token, row.header_digest);
    if held == fields.header_digest {
        return Ok(Some(Outcome::Duplicate { seq }));
    }
    let mut refusal = Refusal::new(Code::RecordIdConflict, "the record id is held by another header");
    refusal.found = format!("header {}", fields.header_digest);
    // To another unit not even the digest: that the id is taken is all it may know.
    if held_by == fields.unit_token {
        refusal.expected = format!("header {held}");
        refusal.evidence_leaf = Some(draft.leaf(seq)?.encode().to_vec().into());
    }
    Err(refusal.into())
}

/// The signer was judged by the lists of revoked certificates that are installed here, no older ones.
fn check_verdict(draft: &Draft<'_>, judged_by: u64) -> Result<(), Stop> {
    let installed = draft.tip().crl_version();
    if judged_by == installed {
        return Ok(());
    }
    let refusal = Refusal::new(Code::VerdictOutdated, "the signer was judged by other lists of revoked certificates");
    Err(refusal.expected_found(format!("list {installed}"), format!("list {judged_by}")).into())
}

/// Sealed under a data key of the record's unit, and one that is applied.
fn check_key(draft: &mut Draft<'_>, fields: &Fields<'_>) -> Result<(), Stop> {
    let ids = fields.new_certificates.iter().map(|new| new.key_id).chain([fields.key_id]);
    for id in ids {
        if draft.key_owner(id)?.is_none_or(|owner| owner.unit_token != fields.unit_token) {
            let refusal = Refusal::new(Code::KeyNotApplied, "the data key is not applied");
            return Err(refusal.expected_found("an applied data key of the record's unit", id.to_string()).into());
        }
    }
    Ok(())
}

/// The whole chain is stored, or comes with the record. Of what comes, only what is not stored yet is kept.
fn check_certificates(draft: &mut Draft<'_>, fields: &mut Fields<'_>) -> Result<(), Stop> {
    for digest in &fields.certificate_digests {
        let new = fields.new_certificates.iter().position(|new| new.digest == *digest);
        match (new, draft.has_certificate(fields.unit_token, *digest)?) {
            (Some(at), true) => drop(fields.new_certificates.remove(at)),
            (None, false) => {
                let refusal = Refusal::new(Code::CertificateNotStored, "a certificate of the chain is not stored");
                return Err(refusal.expected_found("the certificate in the command", digest.to_string()).into());
            }
            (Some(_), false) | (None, true) => {}
        }
    }
    Ok(())
}

/// What the leaf will speak of is there, whole, and the unit's own.
fn check_attachments(draft: &mut Draft<'_>, fields: &Fields<'_>) -> Result<(), Stop> {
    let objects = draft.objects();
    for (id, digest) in &fields.attachments.0 {
        let own = read::object(objects, id)?.is_some_and(|row| row.unit_token == fields.unit_token);
        let complete = read::complete_object(objects, id)?.is_some_and(|row| row.sealed_digest == *digest);
        if !own || !complete {
            return Err(object::missing(*id).into());
        }
    }
    Ok(())
}

/// Revision n names revision n-1. The revision that the record becomes.
fn check_supersession(draft: &mut Draft<'_>, fields: &Fields<'_>) -> Result<u32, Stop> {
    let head = draft.series_head(fields.series_token)?;
    let (code, message) = match (head, fields.supersedes) {
        (None, None) => return Ok(FIRST_REVISION),
        (Some(head), Some(supersedes)) if head.record_id == supersedes => {
            let next = head.revision.checked_add(1);
            return next.ok_or_else(|| super::wrong("submit.series_token", "a revision of 4 bytes", "one more").into());
        }
        (Some(_), None) => (Code::SeriesHasHead, "the series has a revision already, and the record supersedes none"),
        (_, Some(supersedes)) => {
            let older = draft.record(supersedes)?.is_some_and(|row| row.series_token == fields.series_token);
            if older {
                (Code::SupersedesNotLatest, "the superseded record is not the latest of its series")
            } else {
                (Code::SupersedesUnknown, "the superseded record is not in this series")
            }
        }
    };
    let expected = head.map_or_else(|| "none".to_owned(), |head| format!("supersedes {}", head.record_id));
    let found = fields.supersedes.map_or_else(|| "none".to_owned(), |id| format!("supersedes {id}"));
    Err(Refusal::new(code, message).expected_found(expected, found).into())
}

/// Nothing stands against it any more.
fn take(draft: &mut Draft<'_>, fields: Fields<'_>, revision: u32) -> Outcome {
    let leaf = Leaf {
        kind: LeafKind::Record,
        record_id: fields.record_id,
        accepted_at: draft.accepted_at(),
        key_id: fields.key_id,
        header_digest: fields.header_digest,
        signature_block_digest: fields.signature_block_digest,
        sealed_head_digest: Digest::of(fields.sealed_head),
        sealed_payload_digest: Digest::of(fields.sealed_payload),
        attachments_digest: attachments_digest(fields.attachments.0.iter().map(|(_, digest)| digest)),
    };
    let body = Body { sealed_head: fields.sealed_head.clone(), sealed_payload: fields.sealed_payload.clone() };
    let seq = draft.append(leaf, &body);
    draft.put_record(
        fields.record_id,
        RecordRow {
            seq,
            header_digest: fields.header_digest,
            unit_token: fields.unit_token,
            regime_token: fields.regime_token,
            series_token: fields.series_token,
            revision,
            period: fields.period.to_owned(),
            receiver_tokens: fields.receiver_tokens,
        },
    );
    if !fields.attachments.0.is_empty() {
        let objects = draft.objects();
        objects.put(table::attachments_key(seq), fields.attachments.encode());
        for (id, _) in &fields.attachments.0 {
            objects.put(table::named_by_key(id, seq), INDEX_VALUE);
        }
    }
    for new in fields.new_certificates {
        let row = CertificateRow { seq, key_id: new.key_id, sealed: new.sealed.clone() };
        draft.put_certificate(fields.unit_token, new.digest, &row);
    }
    Outcome::Accepted { seq, leaf }
}
