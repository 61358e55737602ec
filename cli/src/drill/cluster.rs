//! The cluster as a drill sees it: who leads, and whether it is fit.

use std::collections::BTreeSet;

use futures::future::join_all;
use kho::admin::{self, Admin};
use kho_proto::id::ClusterId;
use kho_proto::pb::admin::v1::NodeStatusResponse;

/// A node that has so many committed entries still to apply is catching up.
const LAG_MAX: u64 = 1_000;

/// Who leads, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub node_id: u64,
    /// Its term.
    pub term: u64,
    /// For clients.
    pub client: String,
    /// For the other nodes.
    pub peer: String,
    /// For operators.
    pub admin: String,
}

impl Leader {
    /// What commands are told of it.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        let host = self.client.rsplit_once(':').map_or(self.client.as_str(), |(host, _)| host);
        [
            ("KHO_LEADER_ID", self.node_id.to_string()),
            ("KHO_LEADER_ADDRESS", self.client.clone()),
            ("KHO_LEADER_HOST", host.trim_start_matches('[').trim_end_matches(']').to_owned()),
            ("KHO_LEADER_PEER_ADDRESS", self.peer.clone()),
            ("KHO_LEADER_ADMIN_ADDRESS", self.admin.clone()),
        ]
    }
}

/// One node's answer; none: it did not answer, and why.
pub type Answer = (String, Result<NodeStatusResponse, String>);

/// All nodes' answers.
#[derive(Debug, Clone, Default)]
pub struct Seen(pub Vec<Answer>);

impl Seen {
    /// Asks all nodes.
    pub async fn ask(admins: &[Admin]) -> Self {
        let one = |admin: &Admin| {
            let admin = admin.clone();
            async move {
                (admin.address().to_owned(), admin.status().await.map_err(|error: admin::Error| error.to_string()))
            }
        };
        Self(join_all(admins.iter().map(one)).await)
    }

    /// Those that answered.
    pub fn statuses(&self) -> impl Iterator<Item = &NodeStatusResponse> {
        self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok())
    }

    /// The leader of the highest term among those that answered.
    pub fn leader(&self) -> Option<&NodeStatusResponse> {
        self.statuses().filter(|status| status.role == "leader").max_by_key(|status| status.term)
    }

    /// Who leads and where it listens.
    pub fn lead(&self) -> Option<Leader> {
        let status = self.leader()?;
        let own = status.peers.iter().find(|peer| peer.node_id == status.node_id)?;
        Some(Leader {
            node_id: status.node_id,
            term: status.term,
            client: own.client_address.clone(),
            peer: own.peer_address.clone(),
            admin: own.admin_address.clone(),
        })
    }

    /// The cluster's id as text; empty if nobody answered.
    pub fn cluster_id(&self) -> String {
        let first = self.statuses().next();
        first
            .and_then(|status| ClusterId::try_from(status.cluster_id.as_ref()).ok())
            .map(|id| id.to_string())
            .unwrap_or_default()
    }

    /// Why this cluster should not be drilled now; `voters_min` is what the drill needs. Empty: it is healthy.
    pub fn problems(&self, voters_min: usize) -> Vec<String> {
        let mut problems: Vec<String> =
            self.0
                .iter()
                .filter_map(|(address, answer)| {
                    answer.as_ref().err().map(|why| {
                        if why.contains(address.as_str()) { why.clone() } else { format!("{address}: {why}") }
                    })
                })
                .collect();
        let clusters: BTreeSet<&[u8]> = self.statuses().map(|status| status.cluster_id.as_ref()).collect();
        if clusters.len() > 1 {
            problems.push(format!("expected one cluster, found nodes of {}", clusters.len()));
        }
        let Some(leader) = self.leader() else {
            problems.push("no node leads".to_owned());
            return problems;
        };
        let committed = self.statuses().map(|status| status.committed).max().unwrap_or(0);
        for status in self.statuses() {
            let node = status.node_id;
            if (status.leader_id, status.term) != (leader.node_id, leader.term) {
                let (id, term) = (leader.node_id, leader.term);
                problems.push(format!(
                    "node {node} follows node {} of term {}, not node {id} of term {term}",
                    status.leader_id, status.term
                ));
            }
            if !status.keyed {
                problems.push(format!("node {node} has no keyring: it takes no records"));
            }
            let lag = committed.saturating_sub(status.applied);
            if lag > LAG_MAX {
                problems.push(format!("node {node} has {lag} entries still to apply, expected at most {LAG_MAX}"));
            }
        }
        let answered: BTreeSet<u64> = self.statuses().map(|status| status.node_id).collect();
        let voters: Vec<_> = leader.peers.iter().filter(|peer| peer.voter).collect();
        for peer in &voters {
            if !answered.contains(&peer.node_id) {
                let (id, admin) = (peer.node_id, &peer.admin_address);
                problems.push(format!("member {id} ({admin}) did not answer, or is not among admin_nodes"));
            }
            if peer.lost {
                problems.push(format!("member {} lost its log: kho cluster replace {0} NEW", peer.node_id));
            }
        }
        if voters.len() < voters_min {
            problems.push(format!("expected at least {voters_min} voting members, found {}", voters.len()));
        }
        problems
    }

    /// Whether all nodes that answer hold the same tree.
    pub fn equal(&self) -> bool {
        let mut trees = self.statuses().map(|status| (status.tree_size, &status.tree_root));
        let first = trees.next();
        trees.all(|tree| Some(tree) == first)
    }
}

#[cfg(test)]
pub mod tests {
    use kho_proto::pb::admin::v1::PeerStatus;

    use super::*;

    /// Three nodes, the first leads.
    pub fn healthy() -> Seen {
        let peer = |id: u64| PeerStatus {
            node_id: id,
            client_address: format!("c{id}:1"),
            peer_address: format!("p{id}:1"),
            admin_address: format!("a{id}:1"),
            voter: true,
            ..PeerStatus::default()
        };
        let status = |id: u64| NodeStatusResponse {
            node_id: id,
            cluster_id: vec![7; 16].into(),
            role: if id == 1 { "leader" } else { "follower" }.to_owned(),
            term: 4,
            leader_id: 1,
            committed: 5_000,
            applied: 5_000,
            keyed: true,
            peers: (1..=3).map(peer).collect(),
            ..NodeStatusResponse::default()
        };
        Seen((1..=3).map(|id| (format!("a{id}:1"), Ok(status(id)))).collect())
    }

    fn with(change: impl FnOnce(&mut Vec<Answer>)) -> Vec<String> {
        let mut seen = healthy();
        change(&mut seen.0);
        seen.problems(3)
    }

    fn node(answers: &mut [Answer], place: usize) -> &mut NodeStatusResponse {
        answers[place].1.as_mut().unwrap()
    }

    #[test]
    fn a_healthy_cluster_has_no_problem() {
        assert_eq!(healthy().problems(3), Vec::<String>::new());
        let leader = healthy().lead().unwrap();
        assert_eq!((leader.node_id, leader.client.as_str(), leader.peer.as_str()), (1, "c1:1", "p1:1"));
    }

    #[test]
    fn each_way_of_being_unhealthy_is_named() {
        let cases: [(&str, Vec<String>); 9] = [
            ("no answer", with(|all| all[1].1 = Err("no answer".to_owned()))),
            ("member 3 (a3:1)", with(|all| drop(all.pop()))),
            ("nodes of 2", with(|all| node(all, 2).cluster_id = vec![8; 16].into())),
            ("no node leads", with(|all| node(all, 0).role = "follower".to_owned())),
            ("node 2 follows node 3", with(|all| node(all, 1).leader_id = 3)),
            ("of term 3", with(|all| node(all, 1).term = 3)),
            ("no keyring", with(|all| node(all, 1).keyed = false)),
            ("1001 entries", with(|all| node(all, 1).applied = 3_999)),
            ("lost its log", with(|all| node(all, 0).peers[1].lost = true)),
        ];
        for (expected, problems) in cases {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
        assert!(healthy().problems(4)[0].contains("at least 4 voting members"));
    }
}
