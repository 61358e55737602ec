//! A supervisor: a loaded cluster of real processes on real links, faults by a schedule that a seed draws, the proof of
//! each, and in the end all that must hold.

mod board;
mod certificates;
mod clients;
mod kill;
mod later;
mod links;
mod memory;
mod processes;
mod report;
mod schedule;
mod wall_clock;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kho::dev::{Identity, Options};
use tokio::sync::watch as flag;

use crate::certificates::Issuer;
use crate::invariants::must_hold;
use crate::kill_points;
use crate::links::Links;
use crate::load::{self, Outcomes, Workers};
use crate::rig::Rig;
use crate::skip;
use crate::summary::Summary;
use board::Board;
use memory::Group;
use processes::{Gear, Processes};
use report::Report;
pub use schedule::Able;
use schedule::Schedule;
use wall_clock::WallClock;
use watch::Counts;

/// Senders: enough to have several in flight on each node, and so slow that all records can be checked afterwards.
const WORKERS: Workers = Workers { count: 12, rest: Duration::from_millis(60) };
/// Acknowledgements a second, on average over all faults: less proves little.
const THROUGHPUT_MIN: u64 = 5;
/// I11: after the last fault everything is as it should be within this.
const LIVE_LIMIT: Duration = Duration::from_secs(30);
/// Acknowledgements before the first fault.
const WARM: usize = 40;
const BASE_PORT: u16 = 7101;

/// What this machine can do; what it can't is skipped as a part of `test`.
pub fn able(test: &str) -> Able {
    let memory = Group::create(&format!("kho-test-{}", std::process::id())).is_some();
    if !memory {
        skip::leave_out(&format!("{test}, memory limits"), "no control group can be made here");
    }
    let clocks = skip::can_run(&format!("{test}, wall clocks"), false, &["cc"]);
    let strace = skip::can_run(&format!("{test}, death before system calls"), true, kill_points::TOOLS);
    Able { memory, clocks, strace }
}

/// Draws the schedule of `seed` and runs it. An error, or a panic: something is broken, or nothing was proven.
pub async fn run(links: &Links, seed: u64, seconds: u64, able: Able) -> Result<()> {
    let schedule = Schedule::draw(seed, seconds, able);
    let machines = &links.sites[0].machines[..usize::from(schedule.nodes)];
    let settings: toml::Table = toml::from_str(&format!("[raft]\nsnapshot_bytes = {}", schedule.snapshot_bytes))?;
    let options = Options {
        nodes: u64::from(schedule.nodes),
        base_port: Some(BASE_PORT),
        hosts: machines.iter().map(|machine| machine.host).collect(),
        settings: settings.clone(),
    };
    // dropped after the processes: a control group goes when it is empty
    let mut gear = BTreeMap::new();
    let mut rig = Rig::create_with("processes", seed, &options)?;
    std::fs::write(rig.path().join("schedule.json"), serde_json::to_vec_pretty(&schedule)?)?;

    let library = if schedule.clocks { Some(wall_clock::library(rig.path())?) } else { None };
    for machine in machines {
        let name = format!("kho-{}-{}", std::process::id(), machine.name);
        let group = if able.memory { Some(Group::create(&name).context("a control group")?) } else { None };
        let clock = |library| WallClock::create(rig.path(), &machine.name, library);
        let clock = library.as_deref().map(clock).transpose()?;
        gear.insert(machine.name.clone(), Gear { group, clock });
    }
    let ran = attack(&mut rig, &schedule, machines, &gear, &settings).await;
    ran?;
    rig.finish().await
}

async fn attack(
    rig: &mut Rig,
    schedule: &Schedule,
    machines: &[crate::links::Machine],
    gear: &BTreeMap<String, Gear>,
    settings: &toml::Table,
) -> Result<()> {
    let nodes: Vec<_> = rig.cluster.nodes().collect();
    for (node, machine) in nodes.iter().zip(machines) {
        processes::launch_on(&mut rig.cluster, machine, &gear[&machine.name], *node);
    }
    rig.launch().await?;
    let board = Board::new(rig, machines)?;
    let (report, counts) = (Report::default(), Counts::default());
    let outcomes = under_faults(rig, schedule, &board, &report, &counts, gear, settings).await;
    report.write(&rig.path().join("faults.json"))?;
    let outcomes = outcomes?;

    // everything was lifted by the lane that did it
    let healed = Instant::now();
    rig.cluster.check_alive()?;
    rig.cluster.wait_ready().await.context("I11 broken: no leader after all faults ended")?;
    let (size, _) = rig.cluster.wait_equal().await.context("I11 broken: not all have caught up")?;
    let client = rig.cluster.client()?;
    let one = rig.senders.next(&client).await?;
    let last = load::settle(&client, &rig.senders.history, &[one]).await.context("I11 broken: no write")?;
    let took = healed.elapsed();
    ensure!(took < LIVE_LIMIT, "I11 broken: a leader, equal trees and a write took {took:?}");

    must_hold(counts.said.lock().expect("no thread panics while it adds").judge());
    let settled = load::settle(&client, &rig.senders.history, &outcomes.unknown).await?;
    let in_log = settled.iter().filter(|one| one.duplicate).count();
    let (acknowledged, unknown) = (outcomes.acknowledged.len(), settled.len());
    let all: Vec<_> = outcomes.acknowledged.into_iter().chain(settled).chain(last).collect();
    rig.check_all(&all).await?;

    let per_s = acknowledged as u64 / schedule.seconds.max(1);
    ensure!(per_s >= THROUGHPUT_MIN, "{acknowledged} records in {} s: too few to prove anything", schedule.seconds);
    print!("{}", report.table()?);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "seed {:#x}: {} nodes, {} faults proven; {acknowledged} acknowledged, {unknown} unknown and settled ({in_log} of them \
         were in the log), {} not in; {} reads of acknowledged records, {} states of nodes judged, {} terms with a leader; \
         live {} ms after the last fault; {size} leaves; 0 violations",
        schedule.seed,
        schedule.nodes,
        report.count(),
        outcomes.not_in,
        count(&counts.reads),
        count(&counts.statuses),
        counts.said.lock().expect("no thread panics while it adds").terms(),
        took.as_millis(),
    );
    ensure!(count(&counts.reads) > 0 && count(&counts.statuses) > 0, "nothing was watched");
    let summary = Summary {
        ring: "processes".to_owned(),
        seed: schedule.seed,
        seeds: 1,
        seconds: schedule.seconds as f64,
        faults: report.faults(),
        counts: [("records", all.len() as u64), ("reads", count(&counts.reads))]
            .map(|(name, n)| (name.to_owned(), n))
            .into(),
        violations: Vec::new(),
    };
    summary.write()
}

/// The load, with all lanes beside it. Ends with the last lane, or with the first thing that is broken.
async fn under_faults(
    rig: &mut Rig,
    schedule: &Schedule,
    board: &Board,
    report: &Report,
    counts: &Counts,
    gear: &BTreeMap<String, Gear>,
    settings: &toml::Table,
) -> Result<Outcomes> {
    let (stop, stopped) = flag::channel(false);
    let client = rig.cluster.client()?;
    let tls = rig.cluster.layout().identity(&Identity::Platform).load()?;
    let issuer = Issuer::of(&rig.cluster)?;
    let Rig { cluster, senders, .. } = rig;
    let senders = &*senders;
    let lanes = async {
        board.progress.more(WARM).await?;
        let processes = Processes { cluster, board, report, gear, settings }.run(&schedule.processes);
        let links = links::Lane { board, report }.run(&schedule.links);
        let clients = clients::Lane { board, report, senders, tls, issuer }.run(&schedule.clients);
        tokio::try_join!(processes, links, clients)
    };
    let watched = async {
        // these end only with something broken
        let watched = tokio::try_join!(watch::states(board, counts), watch::reads(board, counts));
        watched.map(|_| ())
    };
    let faults = async {
        let ended = tokio::select! {
            ended = lanes => ended.map(|_| ()),
            broken = watched => broken,
        };
        stop.send_replace(true);
        ended
    };
    let loaded = load::run(&client, senders, WORKERS, stopped, |one| board.acknowledged(one));
    let (outcomes, faults) = tokio::join!(loaded, faults);
    faults?;
    outcomes
}
