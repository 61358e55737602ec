//! What the answers of one message say about the reports behind it.

use std::time::Duration;

use kho_client::{Acknowledged, Client, GetError, SubmitError};
use kho_proto::error::{Kind, Refusal};
use kho_proto::id::RecordId;

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
    let asked = answers.iter().filter_map(|answer| answer.as_ref().err()?.retry_after()).max();
    asked.unwrap_or_default().min(PAUSE_MAX)
}

/// Whether there is no use in sending more: nobody answers, or no node can do anything now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Somebody takes records, or says what is wrong with one.
    None,
    /// It is so.
    Certain,
    /// It seems so, but a refusal settles nothing of what an earlier run may have sent: whether anybody answered shows when
    /// they are asked for this record.
    Doubtful(RecordId),
}

impl Silence {
    /// As the answers of one message say.
    pub fn of(answers: &[Answer]) -> Self {
        let silent = |answer: &Answer| match answer {
            Err(SubmitError::Unknown { .. } | SubmitError::Unreachable { .. }) => true,
            Err(SubmitError::Refused { refusal, .. }) => is_unavailable(refusal),
            _ => false,
        };
        if answers.is_empty() || !answers.iter().all(silent) {
            return Silence::None;
        }
        let doubtful = answers.iter().find_map(|answer| match answer {
            Err(SubmitError::Unknown { record_id, .. }) => Some(*record_id),
            _ => None,
        });
        doubtful.map_or(Silence::Certain, Silence::Doubtful)
    }

    /// Asks the nodes where that has to show.
    pub async fn holds(self, client: &Client) -> bool {
        let record_id = match self {
            Silence::None => return false,
            Silence::Certain => return true,
            Silence::Doubtful(record_id) => record_id,
        };
        match client.get(record_id).await {
            Err(GetError::Unreachable { .. }) => true,
            Err(GetError::Refused { refusal, .. }) => is_unavailable(&refusal),
            _ => false,
        }
    }
}

fn is_unavailable(refusal: &Refusal) -> bool {
    refusal.code.kind() == Kind::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;
    use kho_proto::error::Code;

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
        assert_eq!(Fate::of(&unknown(1)), Fate::Open);
    }

    fn unknown(record: u8) -> Answer {
        Err(SubmitError::Unknown { record_id: RecordId([record; 16]), attempts: 1, last: String::new() })
    }

    #[test]
    fn nobody_takes_what_nobody_can_take_now() {
        let unreached = || {
            let record_id = RecordId([1; 16]);
            Err(SubmitError::Unreachable { record_id, tried: String::new(), last: String::new() })
        };
        let no_leader = || refused(Code::NoLeader, None);
        for (answers, silence) in [
            (vec![], Silence::None),
            (vec![unreached(), no_leader()], Silence::Certain),
            (vec![unreached(), refused(Code::QuotaExceeded, None)], Silence::None),
            (vec![unknown(1), refused(Code::SeriesHasHead, None)], Silence::None),
            (vec![no_leader(), unknown(2), unknown(3)], Silence::Doubtful(RecordId([2; 16]))),
        ] {
            assert_eq!(Silence::of(&answers), silence, "{answers:?}");
        }
    }

    #[test]
    fn a_pause_is_the_longest_that_a_node_asks_for_within_bounds() {
        let code = Code::QuotaExceeded;
        assert_eq!(pause(&[]), Duration::ZERO);
        assert_eq!(pause(&[refused(code, Some(10)), refused(code, Some(20)), refused(code, None)]).as_millis(), 20);
        assert_eq!(pause(&[refused(code, Some(86_400_000))]), PAUSE_MAX);
    }
}
