//! Answers on the wire between nodes.

use kho_proto::error::{Code, Refusal};
use kho_proto::pb::peer::v1::{Accepted, Done, Outcome, Refused, outcome::Result as Wire};

use crate::write::propose::{Answer, Error};

/// For the node that forwarded the command.
pub(crate) fn to_wire(answer: Answer) -> Outcome {
    let result = match answer {
        Answer::Accepted { receipt, duplicate } => Wire::Accepted(Accepted { receipt: Some(receipt), duplicate }),
        Answer::Refused(refusal) => Wire::Refused(Refused {
            code: refusal.code.as_str().to_owned(),
            message: refusal.message,
            expected: refusal.expected,
            found: refusal.found,
            evidence_leaf: refusal.evidence_leaf.unwrap_or_default(),
        }),
        Answer::Done => Wire::Done(Done {}),
    };
    Outcome { result: Some(result) }
}

/// From the leader. What can't be read may have been committed.
pub(crate) fn from_wire(outcome: Outcome) -> Result<Answer, Error> {
    match outcome.result {
        Some(Wire::Accepted(Accepted { receipt: Some(receipt), duplicate })) => {
            Ok(Answer::Accepted { receipt, duplicate })
        }
        Some(Wire::Refused(refused)) => {
            let code = Code::parse(&refused.code).ok_or(Error::Unknown)?;
            let mut refusal = Refusal::new(code, refused.message).expected_found(refused.expected, refused.found);
            refusal.evidence_leaf = Some(refused.evidence_leaf).filter(|leaf| !leaf.is_empty());
            Ok(Answer::Refused(refusal))
        }
        Some(Wire::Done(Done {})) => Ok(Answer::Done),
        Some(Wire::Accepted(Accepted { receipt: None, .. })) | None => Err(Error::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::pb::v1::Receipt;

    #[test]
    fn answers_come_back_as_they_were() {
        let receipt = Receipt { sequence: 7, ..Receipt::default() };
        let mut conflict = Refusal::new(Code::RecordIdConflict, "the id is held").expected_found("a", "b");
        conflict.evidence_leaf = Some(vec![1, 2, 3].into());
        for answer in [Answer::Accepted { receipt, duplicate: true }, Answer::Refused(conflict), Answer::Done] {
            assert_eq!(from_wire(to_wire(answer.clone())), Ok(answer));
        }
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert_eq!(from_wire(Outcome { result: None }), Err(Error::Unknown));
        let receipt_missing = Wire::Accepted(Accepted { receipt: None, duplicate: false });
        assert_eq!(from_wire(Outcome { result: Some(receipt_missing) }), Err(Error::Unknown));
        let code_of_the_future = Refused { code: "moon-too-low".to_owned(), ..Refused::default() };
        assert_eq!(from_wire(Outcome { result: Some(Wire::Refused(code_of_the_future)) }), Err(Error::Unknown));
    }
}
