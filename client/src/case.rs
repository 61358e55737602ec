//! What the attempts with one record came to, so far: whether it may be in, and what its sender is told at the end.

use kho_proto::error::Refusal;
use kho_proto::id::RecordId;

use crate::attempt::Failed;
use crate::draft::Signed;
use crate::foreign::Foreign;
use crate::nodes::Nodes;
use crate::submit::SubmitError;

/// One record's attempts.
pub(crate) struct Case {
    record_id: RecordId,
    /// An attempt whose fate is not known, and what was said of it.
    doubt: Option<String>,
    /// Of the last attempt.
    last: Failed,
    /// Says more than the absence of the nodes that were asked after it.
    refused: Option<Refusal>,
    foreign: Foreign,
    /// That may be asked.
    nodes: usize,
    attempts: u32,
}

impl Case {
    /// Nothing was tried yet, at any of so many nodes.
    pub(crate) fn of(record: &Signed, nodes: usize) -> Self {
        Self {
            record_id: record.record_id(),
            doubt: record.is_doubtful().then(|| "an earlier call may have sent it".to_owned()),
            last: Failed::Unreached("no attempt was made".to_owned()),
            refused: None,
            foreign: Foreign::default(),
            nodes,
            attempts: 0,
        }
    }

    /// One more attempt begins.
    pub(crate) fn attempt(&mut self) {
        self.attempts += 1;
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The attempt at `address` failed. Some: nothing else can come of it.
    pub(crate) fn failed(&mut self, address: &str, failed: Failed) -> Option<SubmitError> {
        tracing::debug!(record = %self.record_id, node = %address, %failed, "attempt failed");
        if failed.leaves_doubt() {
            self.doubt = Some(format!("{address}: {failed}"));
        }
        if self.foreign.ends(address, &failed, self.nodes) && (self.doubt.is_none() || failed.settles()) {
            return Some(definite(self.record_id, address, failed));
        }
        if let Failed::Refused(refusal) = &failed {
            self.refused = Some(refusal.clone());
        }
        self.last = failed;
        None
    }

    /// Time is up.
    pub(crate) fn over(self, nodes: &Nodes) -> SubmitError {
        let Self { record_id, doubt, last, refused, foreign, attempts, .. } = self;
        match (doubt, refused.map_or(last, Failed::Refused)) {
            (Some(doubt), last) => {
                // the last answer settles nothing, and yet it is what the sender has to know
                let last = if last.leaves_doubt() { doubt } else { format!("{doubt}; another attempt: {last}") };
                SubmitError::Unknown { record_id, attempts, last }
            }
            (None, last @ (Failed::Unreached(_) | Failed::Foreign(_))) => {
                // one that is no Kho node is not what all of them are
                let (tried, last) = (nodes.addresses().collect::<Vec<_>>().join(", "), foreign.beside(&last));
                SubmitError::Unreachable { record_id, tried, last }
            }
            (None, last) => definite(record_id, "", last),
        }
    }
}

fn definite(record_id: RecordId, address: &str, failed: Failed) -> SubmitError {
    match failed {
        Failed::Refused(refusal) => SubmitError::Refused { record_id, refusal: Box::new(refusal) },
        Failed::Foreign(status) => SubmitError::Foreign { record_id, address: address.to_owned(), status },
        Failed::Unreached(last) => SubmitError::Unreachable { record_id, tried: address.to_owned(), last },
        failed @ (Failed::Unknown(_) | Failed::Admitted(_)) => {
            SubmitError::Unknown { record_id, attempts: 1, last: failed.to_string() }
        }
    }
}
