//! Changes of members, as operators ask for them and are answered.

use kho_proto::error::{Code, Refusal};
use kho_proto::id::NodeId;

use crate::consensus::{MemberAddress, ReplaceError, TransferError};

/// What a new member must be like.
pub(super) fn check(id: u64, address: &MemberAddress) -> Result<(), Refusal> {
    let wrong = |field: &str, expected: &str, found: &str| {
        let refusal = Refusal::new(Code::RequestMalformed, format!("the new member's {field} breaks its rule"));
        Err(refusal.expected_found(expected, found))
    };
    if id == 0 {
        return wrong("id", "at least 1", "0");
    }
    for (field, text) in [("peer", &address.peer), ("client", &address.client), ("admin", &address.admin)] {
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return wrong(field, "host:port", &kho_proto::error::excerpt(text));
        }
    }
    Ok(())
}

fn list(ids: &[NodeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl From<TransferError> for Refusal {
    fn from(error: TransferError) -> Refusal {
        let refusal = Refusal::new(error.code(), format!("leadership was not handed over: {error}"));
        match error {
            TransferError::NotVoter { to, voters } => {
                refusal.expected_found(format!("one of {}", list(&voters)), to.to_string())
            }
            _ => refusal,
        }
    }
}

impl From<ReplaceError> for Refusal {
    fn from(error: ReplaceError) -> Refusal {
        let text = error.to_string();
        match error {
            ReplaceError::NotLeader { leader } => {
                let leader = leader.map_or_else(|| "the leader, not known here".to_owned(), |id| format!("node {id}"));
                Refusal::new(Code::NotLeader, text).expected_found(leader, "this node")
            }
            ReplaceError::Leads(_) => Refusal::new(Code::MemberLeads, text),
            ReplaceError::NotVoter { old, voters } => Refusal::new(Code::MemberUnknown, text)
                .expected_found(format!("one of {}", list(&voters)), old.to_string()),
            ReplaceError::IsVoter(_) => Refusal::new(Code::MemberExists, text),
            ReplaceError::QuorumAtRisk { alive, needed } => {
                Refusal::new(Code::QuorumAtRisk, text).expected_found(format!("{needed} that answer"), list(&alive))
            }
            ReplaceError::InProgress => Refusal::new(Code::MembershipChanging, text),
            ReplaceError::TimedOut => Refusal::new(Code::OutcomeUnknown, text),
            ReplaceError::Stopping => Refusal::new(Code::NodeStopping, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_member_needs_an_id_and_three_addresses() {
        let good = MemberAddress { peer: "a:1".into(), client: "[::1]:2".into(), admin: "a.b:65535".into() };
        assert_eq!(check(4, &good), Ok(()));
        assert_eq!(check(0, &good).unwrap_err().code, Code::RequestMalformed);
        for bad in ["", "a", ":1", "a:", "a:0", "a:65536", "a:x"] {
            let refusal = check(4, &MemberAddress { admin: bad.to_owned(), ..good.clone() }).unwrap_err();
            assert!(refusal.message.contains("admin"), "{bad:?}: {refusal}");
        }
    }
}
