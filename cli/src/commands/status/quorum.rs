//! Whether the members that answer are enough.

use std::collections::HashSet;

use kho_proto::pb::admin::v1::PeerStatus;
use serde_json::{Value, json};

use super::Answer;
use crate::lang::{self, Lang};

/// What can be seen of it from this machine: members that don't answer here may well reach each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Members that vote; 0: the cluster is not formed, or nobody says.
    pub voters: usize,
    /// Of them, those that answered, be it with a refusal.
    pub answering: usize,
    /// Who leads, and says so itself.
    pub leader: Option<u64>,
    /// Somebody answered that has no cluster yet.
    unformed: bool,
}

impl Quorum {
    pub fn of(answers: &[Answer], members: &[PeerStatus]) -> Self {
        let statuses = || answers.iter().filter_map(|answer| answer.said.as_ref().ok());
        let met: HashSet<u64> = statuses().map(|status| status.node_id).collect();
        // who refuses is there, and says no id
        let refuses = |member: &PeerStatus| {
            answers.iter().any(|answer| {
                answer.address == member.admin_address && matches!(answer.said, Err(kho::admin::Error::Refused { .. }))
            })
        };
        let voters: Vec<&PeerStatus> = members.iter().filter(|member| member.voter).collect();
        let leaders = statuses().filter(|status| status.role == "leader");
        Self {
            answering: voters.iter().filter(|member| met.contains(&member.node_id) || refuses(member)).count(),
            voters: voters.len(),
            leader: leaders.max_by_key(|status| status.term).map(|status| status.node_id),
            unformed: statuses().any(|status| status.role == "uninitialized"),
        }
    }

    /// A majority of those that vote.
    pub fn needed(&self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether so many answer.
    pub fn reachable(&self) -> bool {
        self.voters > 0 && self.answering >= self.needed()
    }

    /// For machines.
    pub fn object(&self) -> Value {
        json!({
            "voters": self.voters, "answering": self.answering,
            "needed": (self.voters > 0).then(|| self.needed()), "reachable": self.reachable(),
        })
    }

    /// What is wrong, a line each.
    pub fn warnings(&self, lost: &[u64], lang: Lang) -> Vec<String> {
        let mut lines = Vec::new();
        if self.voters == 0 {
            if self.unformed {
                lines.push(lang::NOT_FORMED.of(lang).to_owned());
            }
        } else if !self.reachable() {
            let counts: [(&str, &dyn std::fmt::Display); 3] =
                [("answering", &self.answering), ("voters", &self.voters), ("needed", &self.needed())];
            lines.push(lang::NO_MAJORITY.with(lang, &counts));
        } else if self.leader.is_none() {
            lines.push(lang::NO_LEADER.of(lang).to_owned());
        }
        lines.extend(lost.iter().map(|node| lang::NODE_LOST.with(lang, &[("node", node)])));
        lines
    }
}
