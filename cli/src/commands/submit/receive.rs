//! Writes down what came of a record, or says why there is nothing.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use kho_client::{Acknowledged, Signed, SubmitError};
use kho_proto::error::{Code, Refusal};
use kho_proto::header::{Header, SubmittedAt};
use kho_proto::id::RecordId;

use super::super::evidence::evidence;
use crate::exit::{Exit, Failure, Result};
use crate::lang;

/// Says of each field that breaks its rule what is wrong with it.
pub fn tell_fields(refusal: &Refusal) {
    for field in refusal.fields.kept() {
        eprintln!("  {}: {} / {}", field.path, field.message_vi, field.message_en);
    }
    let left_out = (refusal.fields.total() as usize).saturating_sub(refusal.fields.kept().len());
    if left_out > 0 {
        eprintln!("  and {left_out} more");
    }
}

/// Writes the receipt, or says why there is none.
pub fn receive(
    out: &Path,
    signed: &Signed,
    answer: std::result::Result<Acknowledged, SubmitError>,
    tell: bool,
) -> Result {
    let id = signed.record_id();
    let done = answer.inspect_err(|error| match error {
        SubmitError::Receipt { rejected, .. } => evidence(rejected, out, id),
        SubmitError::Refused { refusal, .. } if refusal.code.retry() && tell => {
            let path = out.join(format!("{id}.record"));
            eprintln!("{}", lang::NOT_IN.with(lang::current(), &[("id", &id), ("path", &path.display())]));
        }
        SubmitError::Refused { refusal, .. } => {
            tell_fields(refusal);
            if tell {
                hint(refusal.code, signed, out);
            }
        }
        _ => {}
    })?;
    let path = out.join(format!("{id}.tlog-proof"));
    if let Err(error) = kho::files::write(&path, done.receipt.to_tlog_proof().as_bytes()) {
        let message = format!(
            "record {id} is in, but its receipt could not be written: {}: {error}; submit the same record again",
            path.display()
        );
        return Err(Failure::new(Exit::Unknown, message));
    }
    outln!("{}", path.display())?;
    if !tell {
        return Ok(());
    }
    let at = SubmittedAt::from_unix_ms(done.receipt.leaf.accepted_at);
    let values: [(&str, &dyn Display); 4] =
        [("id", &id), ("sequence", &done.receipt.sequence), ("at", &at), ("node", &done.node)];
    let text = if done.duplicate { lang::RECEIVED_BEFORE } else { lang::RECEIVED };
    eprintln!("{}", text.with(lang::current(), &values));
    Ok(())
}

/// What to do about a refusal whose reason is another record.
fn hint(code: Code, signed: &Signed, out: &Path) {
    let lang = lang::current();
    match code {
        Code::SeriesHasHead | Code::SupersedesNotLatest => {
            let Ok(header) = Header::decode(&signed.record().header) else { return };
            let series =
                if header.series.is_empty() { String::new() } else { format!(" --series '{}'", header.series) };
            let command = format!(
                "kho history --unit {} --regime {} --period {}{series} --newest",
                header.unit, header.regime, header.period
            );
            eprintln!("{}", lang::HINT_SUPERSEDES.with(lang, &[("command", &command)]));
        }
        Code::RecordIdConflict => {
            let values: [(&str, &dyn Display); 2] = [("id", &signed.record_id()), ("out", &out.display())];
            eprintln!("{}", lang::HINT_SIGNED_BEFORE.with(lang, &values));
        }
        _ => {}
    }
}

/// A record that was made of a document and refused is not in: the next run signs the document anew, with the certificate that it
/// has then, and is not held to a record that somebody may have sent.
pub fn remove_refused(out: &Path, id: RecordId) -> Result {
    let path = out.join(format!("{id}.record"));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::from(error).at(&path.display().to_string())),
        _ => Ok(()),
    }
}
