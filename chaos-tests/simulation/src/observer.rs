//! After each tick: what nodes say of themselves, held against what any of them ever said. I5, I6, I7. Each change of what
//! one says is also kept, for the judges that all rings share.

use std::collections::BTreeMap;
use std::sync::Arc;

use kho_chaos_tests::invariants::Breach;
use kho_chaos_tests::observation::{Entry, Observation, Vote};
use kho_node::consensus::{ConsensusStatus, Role};
use kho_proto::digest::Digest;
use kho_proto::id::{LogIndex, NodeId, Term};

use crate::host::Host;
use crate::record::Record;

/// What was seen so far.
#[derive(Default)]
pub struct Observer {
    roots: BTreeMap<u64, (Digest, NodeId)>,
    leaders: BTreeMap<Term, NodeId>,
    last: BTreeMap<NodeId, (u64, ConsensusStatus)>,
    /// All that was new.
    pub observations: Vec<Observation>,
    /// Looks so far.
    pub looks: u64,
}

fn breach(invariant: &'static str, what: String) -> Result<(), Breach> {
    Err(Breach { invariant, what })
}

impl Observer {
    /// Looks at all that run.
    pub fn look<'a>(&mut self, hosts: impl Iterator<Item = &'a Arc<Host>>, record: &Record) -> Result<(), Breach> {
        for host in hosts {
            let Some(running) = host.running() else { continue };
            self.looks += 1;
            let (life, status) = (host.life(), running.consensus.status());
            let tip = running.state.tip();
            let (size, root) = (tip.size(), tip.root());
            let unchanged = self.last.get(&host.node).is_some_and(|(then, before)| *then == life && *before == status);
            if !unchanged {
                self.judge(host.node, life, &status)?;
                record.note(&describe(&status));
                self.observations.push(observation(&status, host, record.now_us(), size, root));
                self.last.insert(host.node, (life, status));
            }
            let (known, by) = self.roots.entry(size).or_insert((root, host.node));
            if *known != root {
                return breach("I5", format!("at size {size} node {} has {root}, node {by} had {known}", host.node));
            }
        }
        Ok(())
    }

    fn judge(&mut self, node: NodeId, life: u64, now: &ConsensusStatus) -> Result<(), Breach> {
        if now.role == Role::Leader {
            let first = *self.leaders.entry(now.term).or_insert(node);
            if first != node {
                return breach("I7", format!("term {} has two leaders: {first} and {node}", now.term.0));
            }
        }
        let order = [now.purged, now.snapshot, now.applied, now.committed, now.last_log];
        if !order.is_sorted() {
            return breach("I6", format!("node {node}: purged, snapshot, applied, committed, last: {order:?}"));
        }
        let Some((then, before)) = self.last.get(&node) else { return Ok(()) };
        let mut steps = vec![("term", before.term.0, now.term.0), ("purged", before.purged.0, now.purged.0)];
        if *then == life {
            steps.push(("committed", before.committed.0, now.committed.0));
            steps.push(("applied", before.applied.0, now.applied.0));
        }
        for (what, before, now) in steps {
            if now < before {
                return breach("I6", format!("node {node}: {what} went from {before} back to {now}"));
            }
        }
        Ok(())
    }

    /// Who is a member and who votes, once they all run, one leads, all follow it and have applied the same.
    pub fn settled(&self, hosts: &[Arc<Host>]) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
        let statuses = hosts.iter().filter_map(|host| host.running()).map(|running| running.consensus.status());
        let running: BTreeMap<NodeId, ConsensusStatus> = statuses.map(|status| (status.node_id, status)).collect();
        let mut leaders = running.values().filter(|status| status.role == Role::Leader);
        let (Some(leader), None) = (leaders.next(), leaders.next()) else { return None };
        let members: Vec<NodeId> = leader.members.keys().copied().collect();
        let agrees = |node: &NodeId| {
            running.get(node).is_some_and(|one| one.leader == leader.leader && one.applied == leader.applied)
        };
        members.iter().all(agrees).then(|| (members, leader.voters.iter().copied().collect()))
    }
}

/// What all rings' judges hear of a node.
fn observation(status: &ConsensusStatus, host: &Host, now_us: u64, tree_size: u64, root: Digest) -> Observation {
    let entry = |term: Term, index: LogIndex| Entry { term: term.0, index: index.0 };
    let matched = status.matched.iter().filter(|(node, _)| status.role == Role::Leader && status.voters.contains(node));
    let (term, node, committed) = status.vote;
    Observation {
        asked_us: now_us,
        answered_us: now_us,
        node: status.node_id.0,
        life: host.life(),
        states: host.states(),
        role: if status.initialized { status.role.as_str() } else { "uninitialized" }.to_owned(),
        term: status.term.0,
        vote: Vote { term: term.0, node: node.0, committed },
        leader: status.leader.map_or(0, |leader| leader.0),
        last: status.last_log.0,
        committed: entry(status.committed_term, status.committed),
        applied: entry(status.applied_term, status.applied),
        snapshot: entry(status.snapshot_term, status.snapshot),
        purged: entry(status.purged_term, status.purged),
        tree_size,
        tree_root: hex::encode(root.as_ref()),
        matched: matched.map(|(node, index)| (node.0, index.0)).collect(),
        joint: status.joint,
        lost: status.lost.iter().map(|node| node.0).collect(),
    }
}

fn describe(status: &ConsensusStatus) -> String {
    let ConsensusStatus { node_id, role, term, leader, last_log, committed, applied, purged, snapshot, .. } = status;
    let leader = leader.map_or(0, |leader| leader.0);
    format!(
        "node {node_id} {} term {} leader {leader} last {} committed {} applied {} purged {} snapshot {}",
        role.as_str(),
        term.0,
        last_log.0,
        committed.0,
        applied.0,
        purged.0,
        snapshot.0
    )
}
