//! All machines that there ever were, and how more of them come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kho_node::storage::sim::SimFaults;
use kho_proto::id::NodeId;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use turmoil::Sim;

use crate::cards::Authority;
use crate::directory::Directory;
use crate::host::{self, Host};
use crate::machine::Machine;
use crate::plan::Plan;

/// Machines.
pub struct Cluster<'a> {
    /// What the seed decided.
    pub plan: &'a Plan,
    /// Who stands where.
    pub directory: Arc<Directory>,
    /// Issues certificates.
    pub authority: Authority,
    dir: PathBuf,
    chance: SmallRng,
    hosts: Vec<Arc<Host>>,
}

impl<'a> Cluster<'a> {
    /// The first members, with their files below `dir`.
    pub fn create(plan: &'a Plan, dir: &Path, sim: &mut Sim<'_>) -> Result<Self> {
        let chance = SmallRng::seed_from_u64(plan.seed ^ 0xc1a5);
        let authority = Authority::new(SmallRng::seed_from_u64(plan.seed));
        let (dir, directory) = (dir.to_owned(), Directory::new());
        let mut cluster = Self { plan, directory, authority, dir, chance, hosts: Vec::new() };
        let machine = cluster.machine();
        host::write_shared(&cluster.dir, &cluster.authority, &machine)?;
        let members = cluster.directory.members();
        for _ in &members {
            cluster.add(sim, |_| members.clone())?;
        }
        Ok(cluster)
    }

    /// A machine of its own, with an empty disk.
    pub fn machine(&mut self) -> Machine {
        let machine = Machine::new(self.chance.random(), Duration::from_millis(self.plan.slowest_disk_ms));
        let faults = SimFaults { flush_by_itself: self.plan.flush_by_itself, ..SimFaults::default() };
        machine.disk.set_faults(faults);
        machine
    }

    /// One more machine, whose node has an id that was never used and starts at once. `members`: whom it knows of.
    pub fn add(&mut self, sim: &mut Sim<'_>, members: impl FnOnce(NodeId) -> Vec<NodeId>) -> Result<Arc<Host>> {
        let node = NodeId(self.hosts.len() as u64 + 1);
        let machine = self.machine();
        let host = Host::create(node, &self.dir, self.plan, machine, &mut self.authority, &members(node))?;
        let process = host.clone();
        sim.host(host::name(node), move || process.clone().run());
        self.hosts.push(host.clone());
        Ok(host)
    }

    /// All that ever were.
    pub fn ever(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// Those in service.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.hosts.iter().filter(|host| !host.is_gone())
    }

    /// The machine of a node.
    pub fn host(&self, node: u64) -> &Arc<Host> {
        &self.hosts[node as usize - 1]
    }

    /// Ids of those in service.
    pub fn nodes(&self) -> Vec<u64> {
        self.hosts().map(|host| host.node.0).collect()
    }
}
