//! What an answer makes of a record: in, refused for good, or sent again. Pure. `docs/outbox.md` has the table.

use std::time::Duration;

use kho_proto::error::{Code, Kind, Refusal};

use super::ask::Evidence;
use crate::attempt::{Failed, sentence};
use crate::submit::{Acknowledged, SubmitError};

/// What becomes of a record.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is in, and its receipt was verified.
    Delivered(Box<Acknowledged>),
    /// It was refused, and no attempt that was ever made can have been taken.
    Refused(Told),
    /// It is sent again.
    Waits {
        why: Told,
        /// Whom the answer spoke of.
        of: Of,
        /// At least so long.
        hint: Duration,
        /// What proves nothing, as a node sent it.
        evidence: Option<Evidence>,
    },
    /// It was refused for good, but an earlier attempt may have been taken: the store is asked whether it has it.
    Ask(Told),
}

/// Whom an answer spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// The cluster, the connection or the sender: no other record fares better meanwhile.
    All,
    /// The record's unit: those of other units may.
    Unit,
    /// The record: every other one may.
    Record,
}

/// A stable code, and the sentence that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub code: Code,
    pub sentence: String,
}

impl Told {
    pub fn refusal(refusal: &Refusal) -> Self {
        let mut text = sentence(refusal);
        for field in refusal.fields.kept() {
            text.push_str(&format!("; {}: {}", field.path, field.message_en));
        }
        // the code stands beside it
        let text = text.strip_prefix(&format!("{}: ", refusal.code.as_str())).map_or(text.clone(), str::to_owned);
        Self { code: refusal.code, sentence: text }
    }

    fn error(error: &SubmitError) -> Self {
        Self { code: error.code(), sentence: error.to_string() }
    }
}

/// Whether a refusal speaks of who sends, and not of the record: somebody has to change a certificate or a right, and
/// then all the records that wait are good as they are.
pub(super) fn of_the_sender(code: Code) -> bool {
    matches!(
        code,
        Code::ClientCertificateMissing | Code::IdentityMissing | Code::UnitNotPermitted | Code::RoleNotPermitted
    )
}

/// Whom a refusal that may pass speaks of.
pub(super) fn of(code: Code) -> Of {
    match code {
        Code::UnitNotPermitted | Code::QuotaExceeded => Of::Unit,
        Code::NotInitialized => Of::All,
        _ if matches!(code.kind(), Kind::Invalid | Kind::Precondition) => Of::Record,
        _ => Of::All,
    }
}

/// Whether the same bytes may still be taken.
pub(super) fn is_transient(code: Code) -> bool {
    code.retry() || of_the_sender(code)
}

/// `doubted`: an attempt before this call may have been taken. The call itself was made as if it was the first, so a
/// refusal says that no attempt of its own was.
pub(super) fn judge(answer: Result<Acknowledged, SubmitError>, doubted: bool) -> Verdict {
    let waits = |why, of, hint, evidence| Verdict::Waits { why, of, hint, evidence };
    match answer {
        Ok(done) => Verdict::Delivered(Box::new(done)),
        Err(SubmitError::Refused { refusal, .. }) => {
            let told = Told::refusal(&refusal);
            if is_transient(refusal.code) {
                return waits(told, of(refusal.code), refusal.retry_after.unwrap_or_default(), None);
            }
            if !doubted || Failed::Refused(*refusal).settles() {
                return Verdict::Refused(told);
            }
            Verdict::Ask(told)
        }
        Err(SubmitError::Receipt { record_id, address, source, rejected }) => {
            let sentence = format!("record {record_id}: receipt from {address} does not verify: {source}");
            let evidence = Evidence::of(&source, rejected);
            waits(Told { code: source.code(), sentence }, Of::All, Duration::ZERO, Some(evidence))
        }
        // unknown, unreachable, no Kho node
        Err(error) => waits(Told::error(&error), Of::All, Duration::ZERO, None),
    }
}

#[cfg(test)]
mod tests {
    use kho_proto::id::RecordId;

    use super::*;

    const ID: RecordId = RecordId([1; 16]);

    fn refused(code: Code) -> Result<Acknowledged, SubmitError> {
        Err(SubmitError::Refused { record_id: ID, refusal: Box::new(Refusal::new(code, "why")) })
    }

    fn name(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Delivered(_) => "delivered",
            Verdict::Refused(_) => "refused",
            Verdict::Waits { .. } => "waits",
            Verdict::Ask(_) => "ask",
        }
    }

    #[test]
    fn what_is_refused_for_good_and_what_is_not() {
        // (code, never sent before, perhaps taken before)
        let table = [
            (Code::SignatureInvalid, "refused", "refused"),
            (Code::RecordIdConflict, "refused", "refused"),
            (Code::SeriesHasHead, "refused", "refused"),
            (Code::FiguresInvalid, "refused", "ask"),
            (Code::CertificateExpired, "refused", "ask"),
            (Code::CertificateRevoked, "refused", "ask"),
            (Code::SupersedesUnknown, "refused", "ask"),
            (Code::AttachmentMissing, "refused", "ask"),
            (Code::RegimeUnknown, "refused", "ask"),
            (Code::NoLeader, "waits", "waits"),
            (Code::Overloaded, "waits", "waits"),
            (Code::QuotaExceeded, "waits", "waits"),
            (Code::DiskReserve, "waits", "waits"),
            (Code::SubmittedAtInFuture, "waits", "waits"),
            (Code::CertificateNotYetValid, "waits", "waits"),
            (Code::UnitNotPermitted, "waits", "waits"),
            (Code::RoleNotPermitted, "waits", "waits"),
            (Code::ClientCertificateMissing, "waits", "waits"),
        ];
        for (code, first, doubted) in table {
            assert_eq!(name(&judge(refused(code), false)), first, "{code:?}");
            assert_eq!(name(&judge(refused(code), true)), doubted, "{code:?} in doubt");
        }
    }

    #[test]
    fn what_is_not_known_waits() {
        let (last, tried) = ("gone".to_owned(), "a:1".to_owned());
        let errors = [
            SubmitError::Unknown { record_id: ID, attempts: 3, last: last.clone() },
            SubmitError::Unreachable { record_id: ID, tried, last: last.clone() },
            SubmitError::Foreign { record_id: ID, address: "a:1".to_owned(), status: last },
        ];
        for error in errors {
            assert_eq!(name(&judge(Err(error), false)), "waits");
        }
    }

    #[test]
    fn a_nodes_wish_to_be_left_alone_is_kept() {
        let wait = Some(Duration::from_secs(7));
        let refusal = Box::new(Refusal { retry_after: wait, ..Refusal::new(Code::QuotaExceeded, "too fast") });
        let verdict = judge(Err(SubmitError::Refused { record_id: ID, refusal }), false);
        assert!(matches!(&verdict, Verdict::Waits { hint, .. } if Some(*hint) == wait), "{verdict:?}");
    }

    #[test]
    fn what_one_record_waits_for_holds_up_no_other() {
        let found = |code| match judge(refused(code), false) {
            Verdict::Waits { of, .. } => of,
            other => panic!("{other:?}"),
        };
        for code in [Code::SubmittedAtInFuture, Code::CertificateNotYetValid, Code::CrlExpired] {
            assert_eq!(found(code), Of::Record, "{code:?}");
        }
        for code in [Code::UnitNotPermitted, Code::QuotaExceeded] {
            assert_eq!(found(code), Of::Unit, "{code:?}");
        }
        for code in [Code::NoLeader, Code::Overloaded, Code::NotInitialized, Code::RoleNotPermitted] {
            assert_eq!(found(code), Of::All, "{code:?}");
        }
    }

    #[test]
    fn a_sentence_does_not_repeat_its_code() {
        let told = Told::refusal(&Refusal::new(Code::NoLeader, "nobody leads"));
        assert_eq!(told.sentence, "nobody leads");
    }
}
