//! Replacements as they go: the machine that comes, the operator, and what everybody is told when it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use kho_chaos_tests::invariants::Breach;
use kho_proto::id::NodeId;
use rand::Rng;
use rand::rngs::SmallRng;
use turmoil::Sim;

use crate::cluster::Cluster;
use crate::fault::{Fault, Lost};
use crate::host::{Host, name};
use crate::operator::{self, Change, Stands};
use crate::senders::Senders;

/// Machines that a seed may have, all in all: each costs CPU.
const MACHINES_MAX: usize = 9;
/// A node that was replaced is switched off within so long.
const LINGERS_MS: u64 = 3_000;

/// A replacement under way, and the fault that it was asked for by.
struct UnderWay {
    change: Arc<Change>,
    fault: Fault,
}

/// Replacements of a simulation; one at a time.
pub struct Members {
    senders: Arc<Senders>,
    under_way: Option<UnderWay>,
    /// An operator gave up: who was to go and who to come.
    left_over: Option<(NodeId, NodeId)>,
    /// Replaced, and switched off at that time.
    leaving: Option<(u64, NodeId)>,
    operators: u64,
    /// What came of them: asked for, done, given up, refused.
    pub counts: BTreeMap<String, u64>,
    /// Broken promises.
    pub breaches: Vec<Breach>,
}

impl Members {
    /// Nothing has changed yet; operators have what `senders` have.
    pub fn new(senders: Arc<Senders>) -> Self {
        Self {
            senders,
            under_way: None,
            left_over: None,
            leaving: None,
            operators: 0,
            counts: BTreeMap::new(),
            breaches: Vec::new(),
        }
    }

    /// Whether no operator is at work.
    pub fn idle(&self) -> bool {
        self.under_way.is_none()
    }

    /// The node that comes into this place, if one does.
    pub fn newcomer(&self, place: u64, cluster: &Cluster<'_>) -> Option<u64> {
        let under_way = self.under_way.as_ref().map(|one| (one.change.old, one.change.new));
        let (_, new) = under_way.or(self.left_over).filter(|(old, _)| *old == cluster.directory.at(place))?;
        Some(new.0)
    }

    /// What keeps a replacement from being begun now.
    pub fn obstacle(&self, lost: Lost, cluster: &Cluster<'_>) -> Option<&'static str> {
        if self.under_way.is_some() {
            return Some("another is under way");
        }
        if self.left_over.is_none() && cluster.ever().len() >= MACHINES_MAX {
            return Some("there are no more machines");
        }
        // a minority's log may be lost; a second before the first is made good would be a majority's
        let all_run = cluster.directory.members().iter().all(|node| cluster.host(node.0).running().is_some());
        (lost != Lost::Nothing && !all_run).then_some("somebody is down already")
    }

    /// An operator begins; the new node starts. Who goes.
    pub fn begin(&mut self, fault: Fault, cluster: &mut Cluster<'_>, sim: &mut Sim<'_>) -> Result<Option<NodeId>> {
        let Fault::Replace { place, lost, patient, returns } = fault else { return Ok(None) };
        let (old, new) = match self.left_over.take() {
            // what was begun is asked for again, whoever else was meant
            Some(begun) => begun,
            None => {
                let (old, others) = (cluster.directory.at(place), cluster.directory.members());
                let members = move |new| others.iter().map(|node| if *node == old { new } else { *node }).collect();
                (old, self.newcomer_for(returns, members, cluster, sim)?)
            }
        };
        let patient = patient || lost != Lost::Nothing;
        let change = Change::new(old, new, patient);
        self.operators += 1;
        let (caller, record) = (self.senders.caller.another(), self.senders.record.clone());
        let hosts: Vec<Arc<Host>> = cluster.hosts().cloned().collect();
        let replacing = operator::replace(change.clone(), caller, hosts, record);
        sim.client(format!("operator{}", self.operators), async move {
            replacing.await;
            Ok(())
        });
        self.count("asked for");
        self.under_way = Some(UnderWay { change, fault });
        Ok(Some(old))
    }

    /// A machine that was never used, or one whose node was replaced before and still has all its data.
    fn newcomer_for(
        &mut self,
        returns: bool,
        members: impl FnOnce(NodeId) -> Vec<NodeId>,
        cluster: &mut Cluster<'_>,
        sim: &mut Sim<'_>,
    ) -> Result<NodeId> {
        let whole = |host: &&Arc<Host>| host.is_gone() && !host.has_lost_its_log();
        let Some(host) = cluster.ever().iter().find(whole).filter(|_| returns).cloned() else {
            return Ok(cluster.add(sim, members)?.node);
        };
        host.set_members(cluster.plan, &members(host.node))?;
        host.set_gone(false);
        sim.bounce(name(host.node));
        self.count("came back");
        Ok(host.node)
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// An operator who is not patient gives up.
    pub fn stop(&self) {
        if let Some(one) = &self.under_way {
            one.change.stop();
        }
    }

    /// Takes note of what operators report; the fault whose replacement was done.
    pub fn step(
        &mut self,
        now: u64,
        chance: &mut SmallRng,
        cluster: &mut Cluster<'_>,
        sim: &mut Sim<'_>,
    ) -> Result<Option<Fault>> {
        if self.leaving.is_some_and(|(at, _)| at <= now) {
            self.switch_off(cluster, sim);
        }
        let Some(one) = self.under_way.take_if(|one| one.change.stands() != Stands::Asked) else { return Ok(None) };
        let (old, new) = (one.change.old, one.change.new);
        for (code, count) in &*one.change.refused.lock() {
            *self.counts.entry(format!("refused: {code}")).or_default() += count;
        }
        if one.change.stands() == Stands::GivenUp {
            self.count("given up");
            self.left_over = Some((old, new));
            return Ok(None);
        }
        self.count("done");
        self.switch_off(cluster, sim);
        let serves = !cluster.host(old.0).has_lost_its_log();
        cluster.directory.replaced(old, new, serves);
        let members = cluster.directory.members();
        for node in &members {
            cluster.host(node.0).set_members(cluster.plan, &members)?;
        }
        if serves {
            self.leaving = Some((now + chance.random_range(0..LINGERS_MS), old));
        }
        Ok(Some(one.fault))
    }

    /// Nothing is cut short any more: whoever is not patient gives up, and who was replaced is switched off.
    pub fn heal(&mut self, cluster: &Cluster<'_>, sim: &mut Sim<'_>) {
        self.stop();
        self.switch_off(cluster, sim);
    }

    fn switch_off(&mut self, cluster: &Cluster<'_>, sim: &mut Sim<'_>) {
        if let Some((_, node)) = self.leaving.take() {
            cluster.directory.left();
            retire(cluster.host(node.0), sim);
        }
    }

    /// Holds who is a member at the end against what operators were told. `found`: what the leader says.
    pub fn judge(&mut self, found: &[NodeId], voters: &[NodeId], cluster: &Cluster<'_>) {
        let begun = self.left_over.map(|(_, new)| new);
        self.breaches.extend(judge(&cluster.directory.members(), begun, found, voters));
    }
}

/// I7: who was made a member votes, who was replaced is none, and so is nobody else, but for one whose replacement was begun
/// and given up.
fn judge(expected: &[NodeId], begun: Option<NodeId>, found: &[NodeId], voters: &[NodeId]) -> Option<Breach> {
    let may_be = |node: &NodeId| expected.contains(node) || begun == Some(*node);
    let good = expected.iter().all(|node| voters.contains(node)) && found.iter().chain(voters).all(may_be);
    let what = || format!("members are {found:?}, {voters:?} vote: expected {expected:?} to vote, and nobody else");
    (!good).then(|| Breach { invariant: "I7", what: what() })
}

/// Switches a machine off for good, or until it is needed again.
pub fn retire(host: &Host, sim: &mut Sim<'_>) {
    host.crashed(false);
    host.set_gone(true);
    sim.crash(name(host.node));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_that_operators_were_told_of() {
        let broken = |begun: Option<u64>, found: &[u64], voters: &[u64]| {
            let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
            judge(&nodes(&[1, 3, 4]), begun.map(NodeId), &nodes(found), &nodes(voters)).is_some()
        };
        assert!(!broken(None, &[1, 3, 4], &[1, 3, 4]));
        assert!(!broken(Some(5), &[1, 3, 4, 5], &[1, 3, 4]), "it learns, and was given up");
        assert!(!broken(Some(5), &[1, 3, 4, 5], &[1, 3, 4, 5]), "given up in the midst of the joint change");
        assert!(broken(None, &[1, 2, 3, 4], &[1, 3, 4]), "one that was replaced is still there");
        assert!(broken(None, &[1, 2, 3], &[1, 2, 3]), "a change that was confirmed was forgotten");
        assert!(broken(None, &[1, 3, 4], &[1, 3]), "one has lost its vote");
        assert!(broken(Some(5), &[1, 3, 4, 6], &[1, 3, 4]));
    }
}
