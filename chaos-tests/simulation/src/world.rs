//! A whole simulation, from the first start to the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use kho_chaos_tests::auditor::VerifierKey;
use kho_chaos_tests::history::Outcome;
use kho_chaos_tests::invariants::Breach;
use kho_chaos_tests::invariants::durable::Seen;
use kho_proto::id::NodeId;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use turmoil::Sim;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::judge;
use crate::members::{Members, retire};
use crate::observer::Observer;
use crate::plan::Plan;
use crate::record::Record;
use crate::senders::Senders;

const UNIT: &str = "BYT";
/// The cluster is formed by then.
const FORMED_BY: Duration = Duration::from_secs(60);
/// I11: after the heal all nodes agree by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Settling and judging is done by then.
const JUDGED_WITHIN: Duration = Duration::from_secs(30 * 60);

/// How a node may end by itself: as it was told, or because a write failed.
const ENDS: [&str; 2] = ["stopped", "storage-failed"];

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// Virtual seconds, all in all.
    pub seconds: f64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Nodes that ended by themselves, by code.
    pub ended: BTreeMap<String, u64>,
    /// Replacements of members: asked for, done, given up, by code of refusal.
    pub members: BTreeMap<String, u64>,
    /// Operations, by outcome.
    pub ok: usize,
    /// Certainly not done.
    pub failed: usize,
    /// Not known at the time.
    pub unknown: usize,
    /// Records that were acknowledged.
    pub records: usize,
    /// Looks at nodes.
    pub looks: u64,
    /// Virtual seconds from the heal until all nodes agreed.
    pub healed_after: f64,
    /// SHA-256 of the trace.
    pub trace: String,
    /// Promises that were broken.
    pub breaches: Vec<String>,
}

struct World<'a> {
    plan: &'a Plan,
    sim: Sim<'a>,
    cluster: Cluster<'a>,
    senders: Arc<Senders>,
    record: Arc<Record>,
    faults: Faults,
    observer: Observer,
    breaches: Vec<Breach>,
}

/// Runs a plan; what came of it. What happened goes into `record`, whatever comes of it.
pub fn run(plan: &Plan, record: &Arc<Record>) -> Result<Summary> {
    // named by the process: a name drawn from the seed may be taken, and the next draws would move the seed's
    let dir = tempfile::Builder::new().prefix(&format!("kho-sim-{:010}-", std::process::id())).tempdir()?;
    let mut world = World::create(plan, dir.path(), record.clone())?;
    let key = world.form()?;
    let healed_after = world.attack()?;
    let seen = world.ask()?;
    Ok(world.judge(&key, &seen, healed_after))
}

impl Drop for World<'_> {
    /// Tasks that are dropped with the world say nothing any more: there is no network under them.
    fn drop(&mut self) {
        self.cluster.hosts().for_each(|host| host.machine.disk.crash(false));
    }
}

impl<'a> World<'a> {
    fn create(plan: &'a Plan, dir: &std::path::Path, record: Arc<Record>) -> Result<Self> {
        let mut chance = SmallRng::seed_from_u64(plan.seed ^ 0x5eed);
        let mut sim = turmoil::Builder::new()
            .tick_duration(Duration::from_millis(plan.tick_ms))
            .simulation_duration(Duration::from_secs(24 * 60 * 60))
            .min_message_latency(Duration::from_micros(200))
            .max_message_latency(Duration::from_millis(plan.latency_max_ms))
            .tcp_capacity(4096)
            .enable_random_order()
            .rng_seed(chance.random())
            .build();
        let mut cluster = Cluster::create(plan, dir, &mut sim)?;
        let net = cluster.machine().seams().net;
        let (platform, signer) = (cluster.authority.platform(), cluster.authority.signer(UNIT));
        let (caller, directory) = (Caller::new(net, platform.certificate), cluster.directory.clone());
        let senders = Arc::new(Senders::new(caller, record.clone(), directory, UNIT, signer, plan.payload_max));
        let faults = Faults::new(plan.seed, Members::new(senders.clone()));
        Ok(Self { plan, sim, cluster, senders, record, faults, observer: Observer::default(), breaches: Vec::new() })
    }

    fn step(&mut self) -> Result<()> {
        self.sim.step().map_err(|error| anyhow!("{error}"))?;
        self.record.tick(self.sim.elapsed());
        let now = self.sim.elapsed().as_millis() as u64;
        self.faults.strike(now, &mut self.sim, &self.cluster, &self.record);
        if let Err(breach) = self.observer.look(self.cluster.hosts(), &self.record) {
            self.record.note(&breach.to_string());
            self.breaches.push(breach);
        }
        self.faults.step(now, &mut self.sim, &mut self.cluster, &self.record)
    }

    /// Runs `task` as a client until it has ended.
    fn until_done<T: 'static>(
        &mut self,
        name: &'static str,
        limit: Duration,
        task: impl Future<Output = T> + 'static,
    ) -> Result<T> {
        let result = Arc::new(Mutex::new(None));
        let given = result.clone();
        self.sim.client(name, async move {
            *given.lock() = Some(task.await);
            Ok(())
        });
        let begun = self.sim.elapsed();
        loop {
            self.step()?;
            if let Some(result) = result.lock().take() {
                return Ok(result);
            }
            ensure!(self.sim.elapsed() - begun < limit, "{name}: not done within {limit:?}");
        }
    }

    fn form(&mut self) -> Result<VerifierKey> {
        let (senders, first) = (self.senders.clone(), self.cluster.directory.at(1));
        let forming = async move {
            loop {
                match senders.caller.form(first).await {
                    Ok(key) => return key,
                    Err(failed) => senders.record.note(&format!("forming: {failed}")),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let key = self.until_done("operator", FORMED_BY, forming)?;
        VerifierKey::parse(&key).with_context(|| format!("a verifier key: {key}"))
    }

    /// Load and faults, then the heal; how long it took until all nodes agreed, in seconds.
    fn attack(&mut self) -> Result<f64> {
        let think_max = Duration::from_millis(self.plan.think_max_ms);
        for worker in 0..self.plan.workers {
            let (senders, seed) = (self.senders.clone(), self.plan.seed.wrapping_mul(1000) + worker as u64);
            self.sim.client(format!("sender{worker}"), async move {
                senders.work(seed, think_max).await;
                Ok(())
            });
        }
        let broken = |world: &Self| !world.breaches.is_empty() || !world.faults.processes.breaches.is_empty();
        while self.sim.elapsed() < Duration::from_millis(self.plan.safety_ms) && !broken(self) {
            self.step()?;
        }
        let now = self.sim.elapsed().as_millis() as u64;
        self.faults.heal(now, &mut self.sim, &mut self.cluster, &self.record);
        let healed = self.sim.elapsed();
        self.senders.known.lock().stop = true;
        let settled = loop {
            let settled = self.observer.settled(self.cluster.ever()).filter(|_| self.faults.members.idle());
            if settled.is_some() {
                break settled;
            }
            if self.sim.elapsed() - healed > SETTLED_WITHIN {
                let what = format!("no agreement within {SETTLED_WITHIN:?} after the heal");
                self.breaches.push(Breach { invariant: "I11", what });
                break None;
            }
            self.step()?;
        };
        if let Some((members, voters)) = settled {
            self.settle(members, &voters);
        }
        Ok((self.sim.elapsed() - healed).as_secs_f64())
    }

    /// From now on all members are asked, and nobody else.
    fn settle(&mut self, members: Vec<NodeId>, voters: &[NodeId]) {
        self.record.note(&format!("settled: {members:?}, {voters:?} vote"));
        self.faults.members.judge(&members, voters, &self.cluster);
        let stray = self.cluster.hosts().filter(|host| !members.contains(&host.node));
        stray.for_each(|host| retire(host, &mut self.sim));
        self.cluster.directory.settle(members);
    }

    /// Asks every node for everything.
    fn ask(&mut self) -> Result<Vec<(String, Seen)>> {
        let (senders, mut chance) = (self.senders.clone(), SmallRng::seed_from_u64(self.plan.seed ^ 0xa5c));
        let asking = async move {
            judge::settle(&senders).await;
            judge::submit_anew(&senders, &mut chance).await;
            judge::ask_again(&senders).await
        };
        self.until_done("judge", JUDGED_WITHIN, asking)
    }

    fn judge(mut self, key: &VerifierKey, seen: &[(String, Seen)], healed_after: f64) -> Summary {
        let members = self.cluster.directory.members();
        let running = members.iter().filter_map(|node| self.cluster.host(node.0).running());
        let sizes: Vec<u64> = running.map(|running| running.state.tip().size()).collect();
        let mut breaches = std::mem::take(&mut self.breaches);
        breaches.append(&mut self.faults.members.breaches);
        breaches.append(&mut self.faults.processes.breaches);
        // no plan damages what is on a disk: nothing else may end a node
        let wrong = self.faults.processes.ended.iter().filter(|(code, _)| !ENDS.contains(&code.as_str()));
        breaches.extend(
            wrong.map(|(code, count)| Breach { invariant: "I12", what: format!("{count} nodes ended: {code}") }),
        );
        let observations = std::mem::take(&mut self.observer.observations);
        breaches.extend(judge::judge(key, &self.senders, seen, &sizes, observations));
        for breach in &breaches {
            self.record.note(&breach.to_string());
        }
        let operations = self.record.operations();
        let count = |outcome| operations.iter().filter(|operation| operation.outcome == outcome).count();
        let mut records: Vec<_> =
            self.senders.known.lock().acknowledged.iter().map(|(sent, _)| sent.id.to_string()).collect();
        records.sort_unstable();
        records.dedup();
        Summary {
            seed: self.plan.seed,
            seconds: self.sim.elapsed().as_secs_f64(),
            faults: std::mem::take(&mut self.faults.counts),
            ended: std::mem::take(&mut self.faults.processes.ended),
            members: self.members(),
            ok: count(Outcome::Ok),
            failed: count(Outcome::Failed),
            unknown: count(Outcome::Unknown),
            records: records.len(),
            looks: self.observer.looks,
            healed_after,
            trace: self.record.digest().to_string(),
            breaches: breaches.iter().map(ToString::to_string).collect(),
        }
    }

    fn members(&mut self) -> BTreeMap<String, u64> {
        let mut counts = std::mem::take(&mut self.faults.members.counts);
        if self.faults.processes.refused > 0 {
            counts.insert("without its log, refused to start".to_owned(), self.faults.processes.refused);
        }
        counts
    }
}
