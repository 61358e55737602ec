//! After each tick: what nodes say of themselves, held against what any of them ever said. I5, I6, I7.

use std::collections::BTreeMap;
use std::sync::Arc;

use kho_chaos_tests::invariants::Breach;
use kho_node::consensus::{ConsensusStatus, Role};
use kho_proto::digest::Digest;
use kho_proto::id::{NodeId, Term};

use crate::host::Host;
use crate::record::Record;

/// What was seen so far.
#[derive(Default)]
pub struct Observer {
    roots: BTreeMap<u64, (Digest, NodeId)>,
    leaders: BTreeMap<Term, NodeId>,
    last: BTreeMap<NodeId, (u64, ConsensusStatus)>,
    /// Looks so far.
    pub looks: u64,
}

fn breach(invariant: &'static str, what: String) -> Result<(), Breach> {
    Err(Breach { invariant, what })
}

impl Observer {
    /// Looks at all that run.
    pub fn look(&mut self, hosts: &[Arc<Host>], record: &Record) -> Result<(), Breach> {
        for host in hosts {
            let Some(running) = host.running() else { continue };
            self.looks += 1;
            let (life, status) = (host.life(), running.consensus.status());
            let unchanged = self.last.get(&host.node).is_some_and(|(then, before)| *then == life && *before == status);
            if !unchanged {
                self.judge(host.node, life, &status)?;
                record.note(&describe(&status));
                self.last.insert(host.node, (life, status));
            }
            let tip = running.state.tip();
            let (size, root) = (tip.size(), tip.root());
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

    /// Whether all run, one leads, all follow it and have applied the same.
    pub fn is_settled(&self, hosts: &[Arc<Host>]) -> bool {
        let Some(all) = hosts.iter().map(|host| host.running()).collect::<Option<Vec<_>>>() else { return false };
        let statuses: Vec<_> = all.iter().map(|one| one.consensus.status()).collect();
        let leaders = statuses.iter().filter(|status| status.role == Role::Leader).count();
        let one = &statuses[0];
        leaders == 1 && statuses.iter().all(|other| other.leader == one.leader && other.applied == one.applied)
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
