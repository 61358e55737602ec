//! A refusal's detail as it travels: in a gRPC status, or in the result of one record of many.

use std::time::Duration;

use crate::error::{Code, Kind, Refusal};
use crate::fields::FieldErrors;
use crate::pb::v1::{ErrorDetail, NotTaken};

/// The refusal without its sentence.
pub fn of(refusal: &Refusal) -> ErrorDetail {
    ErrorDetail {
        code: refusal.code.as_str().to_owned(),
        expected: refusal.expected.clone(),
        found: refusal.found.clone(),
        retry: refusal.code.retry(),
        retry_after_ms: refusal.retry_after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        evidence_leaf: refusal.evidence_leaf.clone().unwrap_or_default(),
        unknown: refusal.code.kind() == Kind::Unknown,
        log_size: refusal.log_size.unwrap_or(0),
        fields: refusal.fields.to_pb(),
        fields_total: refusal.fields.total(),
    }
}

/// The refusal, or none: its code is of a later version.
pub fn refusal(detail: ErrorDetail, message: &str) -> Option<Refusal> {
    Some(Refusal {
        code: Code::parse(&detail.code)?,
        message: message.to_owned(),
        expected: detail.expected,
        found: detail.found,
        retry_after: (detail.retry_after_ms > 0).then(|| Duration::from_millis(detail.retry_after_ms)),
        evidence_leaf: (!detail.evidence_leaf.is_empty()).then_some(detail.evidence_leaf),
        log_size: (detail.log_size > 0).then_some(detail.log_size),
        fields: FieldErrors::from_pb(detail.fields, detail.fields_total),
    })
}

/// For the result of one record of many.
pub fn not_taken(refusal: &Refusal) -> NotTaken {
    NotTaken { message: refusal.message.clone(), detail: Some(of(refusal)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back() {
        for code in Code::ALL {
            let mut sent = Refusal::new(*code, "a sentence").expected_found("this", "that");
            sent.retry_after = Some(Duration::from_millis(250));
            let NotTaken { message, detail } = not_taken(&sent);
            assert_eq!(refusal(detail.unwrap_or_default(), &message), Some(sent));
        }
    }

    #[test]
    fn a_code_of_a_later_version_is_none() {
        let detail = ErrorDetail { code: "moon-too-low".to_owned(), ..ErrorDetail::default() };
        assert_eq!(refusal(detail, ""), None);
    }
}
