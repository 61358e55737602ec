//! What the answers of one message say about the reports behind it.

use std::time::Duration;

use kho_client::{Acknowledged, Client, GetError, Signed, SubmitError};
use kho_proto::error::{Kind, Refusal};

/// One record's answer.
pub type Answer = Result<Acknowledged, SubmitError>;

/// Pause between two messages at most, whatever a node asks for: quotas are by unit, and what comes next may be another's.
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What became of a record, as far as its answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is in.
    Accepted,
    /// It was in before.
    Duplicate,
    /// It is not in, and something has to be mended.
    Refused,
    /// It is not in; as it is it may be taken later.
    PutOff,
    /// It may be in, or nobody was reached.
    Open,
}

fn refusal(answer: &Answer) -> Option<&Refusal> {
    match answer {
        Err(SubmitError::Refused { refusal, .. }) => Some(refusal),
        _ => None,
    }
}

impl Fate {
    /// As its answer says.
    pub fn of(answer: &Answer) -> Self {
        match answer {
            Ok(done) if done.duplicate => Fate::Duplicate,
            Ok(_) => Fate::Accepted,
            Err(SubmitError::Refused { refusal, .. }) if refusal.code.retry() => Fate::PutOff,
            Err(SubmitError::Refused { .. } | SubmitError::Foreign { .. }) => Fate::Refused,
            Err(_) => Fate::Open,
        }
    }
}

/// How long to leave the nodes alone, as they ask.
pub fn pause(answers: &[Answer]) -> Duration {
    let asked = answers.iter().filter_map(refusal).filter_map(|refusal| refusal.retry_after).max();
    asked.unwrap_or_default().min(PAUSE_MAX)
}

/// Whether there is no use in sending more: nobody answers, or no node can do anything now.
pub async fn nobody_takes(client: &Client, records: &[Signed], answers: &[Answer]) -> bool {
    let unavailable = |refusal: &Refusal| refusal.code.kind() == Kind::Unavailable;
    let silent = |answer: &Answer| match answer {
        Err(SubmitError::Unknown { .. } | SubmitError::Unreachable { .. }) => true,
        other => refusal(other).is_some_and(unavailable),
    };
    if answers.is_empty() || !answers.iter().all(silent) {
        return false;
    }
    let Some(place) = answers.iter().position(|answer| answer.as_ref().is_err_and(SubmitError::is_unknown)) else {
        return true;
    };
    // a refusal settles nothing of what an earlier run may have sent: did anybody answer at all?
    match client.get(records[place].record_id()).await {
        Err(GetError::Unreachable { .. }) => true,
        Err(GetError::Refused { refusal, .. }) => unavailable(&refusal),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::error::Code;
    use kho_proto::id::RecordId;

    fn refused(code: Code, retry_after: Option<u64>) -> Answer {
        let refusal = Refusal { retry_after: retry_after.map(Duration::from_millis), ..Refusal::new(code, "why") };
        Err(SubmitError::Refused { record_id: RecordId([1; 16]), refusal: Box::new(refusal) })
    }

    #[test]
    fn what_may_be_taken_later_is_put_off() {
        for (code, fate) in [
            (Code::QuotaExceeded, Fate::PutOff),
            (Code::Overloaded, Fate::PutOff),
            (Code::DiskReserve, Fate::PutOff),
            (Code::CertificateExpired, Fate::Refused),
            (Code::SeriesHasHead, Fate::Refused),
        ] {
            assert_eq!(Fate::of(&refused(code, None)), fate, "{code:?}");
        }
        let unknown = SubmitError::Unknown { record_id: RecordId([1; 16]), attempts: 1, last: String::new() };
        assert_eq!(Fate::of(&Err(unknown)), Fate::Open);
    }

    #[test]
    fn a_pause_is_the_longest_that_a_node_asks_for_within_bounds() {
        let code = Code::QuotaExceeded;
        assert_eq!(pause(&[]), Duration::ZERO);
        assert_eq!(pause(&[refused(code, Some(10)), refused(code, Some(20)), refused(code, None)]).as_millis(), 20);
        assert_eq!(pause(&[refused(code, Some(86_400_000))]), PAUSE_MAX);
    }
}
