//! A whole simulation, from the first start to the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use kho_chaos_tests::auditor::VerifierKey;
use kho_chaos_tests::history::Outcome;
use kho_chaos_tests::invariants::Breach;
use kho_chaos_tests::invariants::durable::Seen;
use kho_node::storage::sim::SimFaults;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use turmoil::Sim;

use crate::caller::Caller;
use crate::cards::Authority;
use crate::faults::Faults;
use crate::host::{self, Host};
use crate::judge;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::plan::{NODES, Plan};
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
    hosts: Vec<Arc<Host>>,
    senders: Arc<Senders>,
    record: Arc<Record>,
    faults: Faults<'a>,
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
        let mut machine = || Machine::new(chance.random(), Duration::from_millis(plan.slowest_disk_ms));
        let (platform, first) = (machine(), machine());
        let mut authority = Authority::new(SmallRng::seed_from_u64(plan.seed));
        host::write_shared(dir, &mut authority, &first)?;
        let mut hosts = Vec::new();
        for node in NODES {
            let host = Host::create(node, dir, plan, machine())?;
            let faults = SimFaults { flush_by_itself: plan.flush_by_itself, ..SimFaults::default() };
            host.machine.disk.set_faults(faults);
            let process = host.clone();
            sim.host(host::name(node), move || process.clone().run());
            hosts.push(host);
        }
        let caller = Caller::new(platform.seams().net, authority.platform().certificate);
        let senders = Senders::new(caller, record.clone(), UNIT, authority.signer(UNIT), plan.payload_max);
        let (senders, faults) = (Arc::new(senders), Faults::new(plan));
        Ok(Self { plan, sim, hosts, senders, record, faults, observer: Observer::default(), breaches: Vec::new() })
    }

    fn step(&mut self) -> Result<()> {
        self.sim.step().map_err(|error| anyhow!("{error}"))?;
        self.record.tick(self.sim.elapsed());
        if let Err(breach) = self.observer.look(&self.hosts, &self.record) {
            self.record.note(&breach.to_string());
            self.breaches.push(breach);
        }
        Ok(())
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
            let now = self.sim.elapsed().as_millis() as u64;
            self.faults.step(now, &mut self.sim, &self.hosts, &self.record);
            if let Some(result) = result.lock().take() {
                return Ok(result);
            }
            ensure!(self.sim.elapsed() - begun < limit, "{name}: not done within {limit:?}");
        }
    }

    fn form(&mut self) -> Result<VerifierKey> {
        let senders = self.senders.clone();
        let forming = async move {
            loop {
                match senders.caller.form(NODES[0]).await {
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
        while self.sim.elapsed() < Duration::from_millis(self.plan.safety_ms) && self.breaches.is_empty() {
            self.step()?;
            let now = self.sim.elapsed().as_millis() as u64;
            self.faults.step(now, &mut self.sim, &self.hosts, &self.record);
        }
        let now = self.sim.elapsed().as_millis() as u64;
        self.faults.heal(now, &mut self.sim, &self.hosts, &self.record);
        let healed = self.sim.elapsed();
        self.senders.known.lock().stop = true;
        while !self.observer.is_settled(&self.hosts) {
            if self.sim.elapsed() - healed > SETTLED_WITHIN {
                let what = format!("no agreement within {SETTLED_WITHIN:?} after the heal");
                self.breaches.push(Breach { invariant: "I11", what });
                break;
            }
            self.step()?;
            let now = self.sim.elapsed().as_millis() as u64;
            self.faults.step(now, &mut self.sim, &self.hosts, &self.record);
        }
        Ok((self.sim.elapsed() - healed).as_secs_f64())
    }

    /// Asks every node for everything.
    fn ask(&mut self) -> Result<Vec<Seen>> {
        let (senders, mut chance) = (self.senders.clone(), SmallRng::seed_from_u64(self.plan.seed ^ 0xa5c));
        let asking = async move {
            judge::settle(&senders).await;
            judge::submit_anew(&senders, &mut chance).await;
            judge::ask_again(&senders).await
        };
        self.until_done("judge", JUDGED_WITHIN, asking)
    }

    fn judge(mut self, key: &VerifierKey, seen: &[Seen], healed_after: f64) -> Summary {
        let sizes: Vec<u64> = self.hosts.iter().filter_map(|host| Some(host.running()?.state.tip().size())).collect();
        let mut breaches = std::mem::take(&mut self.breaches);
        // no plan damages what is on a disk: nothing else may end a node
        let wrong = self.faults.ended.iter().filter(|(code, _)| !ENDS.contains(&code.as_str()));
        breaches.extend(
            wrong.map(|(code, count)| Breach { invariant: "I12", what: format!("{count} nodes ended: {code}") }),
        );
        breaches.extend(judge::judge(key, &self.senders, seen, &sizes));
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
            ended: std::mem::take(&mut self.faults.ended),
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
}
