//! SIGKILL at named points, under load: the node dies there, which is proven, the others go on, it starts again, and
//! everything holds. R-A2, R-A3, R-A5; I1 to I7, I11.
//!
//! What a system call shows is met from outside (strace, as root); what none shows by a seam in the node
//! (`node/src/kill_points.rs`), in a build with the feature `mutants`, which `KHO_MUTANTS_BIN` names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kho::admin::Admin;
use kho::dev::{DevCluster, NodeId};
use kho_chaos_tests::attack::{self, Progress};
use kho_chaos_tests::kill_points::{self, Call, On};
use kho_chaos_tests::load::Workers;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::skip;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

const SEED: u64 = 0x9011;
/// So slow that all records can be checked afterwards.
const WORKERS: Workers = Workers { count: 6, rest: Duration::from_millis(25) };
/// Acknowledgements between two steps.
const ACKNOWLEDGED: usize = 25;
/// A point that is not reached within this is not reached.
const REACHED_LIMIT: Duration = Duration::from_secs(25);
/// Between two requests that bring a node to its point.
const STIR_PAUSE: Duration = Duration::from_millis(300);
/// A build with the seams.
const MUTANTS: &str = "KHO_MUTANTS_BIN";

/// Who dies.
#[derive(Debug, Clone, Copy)]
enum Who {
    Leader,
    Follower,
    /// A follower that was away for so long that it needs a snapshot.
    Straggler,
}

/// What brings it to the point, besides the load.
#[derive(Debug, Clone, Copy)]
enum Stir {
    Nothing,
    /// It makes a snapshot.
    Snapshot,
    /// It is handed the leadership.
    Election,
}

/// A point with a name.
struct Point<At> {
    name: &'static str,
    at: At,
    who: Who,
    stir: Stir,
}

const fn call(name: &'static str, on: On, nth: usize) -> Call {
    Call { name, on, nth }
}

/// Points that strace sees.
const CALLS: &[Point<Call>] = &[
    point("log-unsynced-leader", call("fdatasync", On::Log, 5), Who::Leader, Stir::Nothing),
    point("log-unsynced-follower", call("fdatasync", On::Log, 5), Who::Follower, Stir::Nothing),
    point("high-mark-renamed", call("rename", On::HighMark, 1), Who::Leader, Stir::Nothing),
    point("high-mark-directory", call("fsync", On::Directory, 1), Who::Follower, Stir::Nothing),
    point("state-flushed", call("fdatasync", On::StateManifest, 1), Who::Leader, Stir::Snapshot),
    point("snapshot-renamed", call("rename", On::NewSnapshot, 1), Who::Follower, Stir::Snapshot),
    point("snapshot-directory", call("fsync", On::Snapshots, 2), Who::Leader, Stir::Snapshot),
    point("old-snapshot-unlinked", call("unlinkat", On::OldSnapshot, 2), Who::Leader, Stir::Snapshot),
    point("snapshot-arrives", call("fsync", On::Incoming, 1), Who::Straggler, Stir::Nothing),
    point("state-linked", call("fsync", On::NewState, 1), Who::Straggler, Stir::Nothing),
    point("state-opened", call("fsync", On::NewState, 2), Who::Straggler, Stir::Nothing),
    point("current-renamed", call("rename", On::Pointer, 1), Who::Straggler, Stir::Nothing),
    point("old-state-unlinked", call("unlinkat", On::State, 3), Who::Straggler, Stir::Nothing),
];

/// Points that no system call shows, by their names in the node.
const SEAMS: &[Point<()>] = &[
    point("vote-unsaved", (), Who::Follower, Stir::Election),
    point("vote-saved", (), Who::Follower, Stir::Election),
    point("log-written", (), Who::Leader, Stir::Nothing),
    point("log-written", (), Who::Follower, Stir::Nothing),
    point("log-purged", (), Who::Leader, Stir::Snapshot),
    point("proposed", (), Who::Leader, Stir::Nothing),
    point("applied", (), Who::Leader, Stir::Nothing),
    point("unacknowledged", (), Who::Leader, Stir::Nothing),
    point("snapshot-received", (), Who::Straggler, Stir::Nothing),
    point("snapshot-installed", (), Who::Straggler, Stir::Nothing),
];

const fn point<At>(name: &'static str, at: At, who: Who, stir: Stir) -> Point<At> {
    Point { name, at, who, stir }
}

/// A way to have a node die at its point, and to know that it did.
trait Death {
    /// The node runs: from now on.
    async fn running(&mut self, cluster: &DevCluster, node: NodeId) -> Result<()>;
    /// It is stopped: from its next start on.
    fn stopped(&mut self, cluster: &mut DevCluster, node: NodeId) -> Result<()>;
    /// It is dead: where it died, or an error if it was elsewhere. Its next life has no such end.
    async fn proof(&mut self, cluster: &mut DevCluster, node: NodeId) -> Result<String>;
}

struct AtCall {
    call: Call,
    trace: PathBuf,
    armed: Option<kill_points::Armed>,
}

impl Death for AtCall {
    async fn running(&mut self, cluster: &DevCluster, node: NodeId) -> Result<()> {
        let pid = cluster.pid(node).context("it runs")?;
        self.armed = Some(self.call.arm(pid, &cluster.layout().data_dir(node), &self.trace).await?);
        Ok(())
    }

    fn stopped(&mut self, cluster: &mut DevCluster, node: NodeId) -> Result<()> {
        let launcher = self.call.launcher(&cluster.layout().data_dir(node), &self.trace)?;
        cluster.set_launcher(node, launcher);
        Ok(())
    }

    async fn proof(&mut self, cluster: &mut DevCluster, node: NodeId) -> Result<String> {
        cluster.set_launcher(node, Vec::new());
        match self.armed.take() {
            Some(armed) => armed.died().await,
            None => self.call.proof(&self.trace),
        }
    }
}

struct AtSeam {
    name: &'static str,
    /// Of the rig; below it each node has one of its own.
    dir: PathBuf,
}

/// Where a node's points are armed.
fn kill_dir(dir: &Path, node: NodeId) -> PathBuf {
    dir.join(format!("kill{node}"))
}

impl AtSeam {
    fn file(&self, node: NodeId) -> PathBuf {
        kill_dir(&self.dir, node).join(self.name)
    }
}

impl Death for AtSeam {
    async fn running(&mut self, _: &DevCluster, node: NodeId) -> Result<()> {
        Ok(std::fs::write(self.file(node), "")?)
    }

    fn stopped(&mut self, _: &mut DevCluster, node: NodeId) -> Result<()> {
        Ok(std::fs::write(self.file(node), "")?)
    }

    async fn proof(&mut self, _: &mut DevCluster, node: NodeId) -> Result<String> {
        let reached = self.file(node).with_extension("reached");
        std::fs::remove_file(&reached).with_context(|| format!("node {node} never came to {}", self.name))?;
        Ok(format!("at {}", self.name))
    }
}

/// Asks for it until nobody waits any more.
async fn stir(stir: Stir, admins: &[(NodeId, Admin)], victim: NodeId) -> Result<()> {
    loop {
        for (node, admin) in admins {
            // whoever is asked may not lead, or die of it
            match stir {
                Stir::Snapshot if *node == victim => drop(admin.trigger_snapshot().await),
                Stir::Election if *node != victim => drop(admin.transfer_leader(Some(victim)).await),
                Stir::Nothing | Stir::Snapshot | Stir::Election => {}
            }
        }
        tokio::time::sleep(STIR_PAUSE).await;
    }
}

/// Under load: brings a node to its point, and on its feet again.
async fn die<At>(
    point: &Point<At>,
    death: &mut impl Death,
    cluster: &mut DevCluster,
    progress: &Progress,
) -> Result<String> {
    let leader = cluster.wait_ready().await?;
    let follower = cluster.nodes().find(|node| *node != leader).context("three nodes")?;
    let victim = if matches!(point.who, Who::Leader) { leader } else { follower };
    let admins: Vec<_> = cluster.nodes().map(|node| Ok((node, cluster.admin(node)?))).collect::<Result<_>>()?;
    match point.who {
        Who::Straggler => {
            cluster.kill(victim)?;
            progress.more(ACKNOWLEDGED).await?;
            cluster.admin(leader)?.trigger_snapshot().await?;
            progress.more(ACKNOWLEDGED).await?;
            death.stopped(cluster, victim)?;
            cluster.start(victim)?;
        }
        Who::Leader | Who::Follower => {
            if matches!(point.stir, Stir::Snapshot) {
                // so that there is an old one
                cluster.admin(victim)?.trigger_snapshot().await?;
                progress.more(ACKNOWLEDGED).await?;
            }
            death.running(cluster, victim).await?;
        }
    }
    let status = tokio::select! {
        ended = cluster.wait_ended(victim, REACHED_LIMIT) => {
            ended.with_context(|| format!("node {victim} never came to {}", point.name))?
        }
        stirred = stir(point.stir, &admins, victim) => bail!("nobody waits: {stirred:?}"),
    };
    ensure!(status.signal() == Some(Signal::KILL.as_raw()), "node {victim} ended with {status}");
    let proof = death.proof(cluster, victim).await?;
    // R-A3: the others go on
    progress.more(ACKNOWLEDGED).await?;
    cluster.start(victim)?;
    progress.more(ACKNOWLEDGED).await?;
    Ok(format!("{:?} node {victim} died {proof}", point.who))
}

fn on_a_cluster<At, D: Death>(
    test: &str,
    executable: Option<&Path>,
    points: &[Point<At>],
    death: impl Fn(&Point<At>, &Path) -> D,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create(test, SEED, toml::Table::new())?;
        if let Some(executable) = executable {
            rig.cluster.set_executable(executable);
            for node in rig.cluster.nodes() {
                let dir = kill_dir(rig.path(), node);
                std::fs::create_dir(&dir)?;
                let variable = format!("KHO_KILL_DIR={}", dir.display());
                rig.cluster.set_launcher(node, vec!["env".to_owned(), variable]);
            }
        }
        rig.launch().await?;
        let mut all = Vec::new();
        for point in points {
            let mut death = death(point, rig.path());
            let step = async |cluster: &mut DevCluster, progress: &Progress| {
                die(point, &mut death, cluster, progress).await.with_context(|| format!("kill point {}", point.name))
            };
            let (outcomes, died) = attack::under_load_of(&mut rig, WORKERS, ACKNOWLEDGED, step).await?;
            println!("{:<22} {died}", point.name);
            rig.cluster.wait_ready().await.with_context(|| format!("after kill point {}", point.name))?;
            rig.check_durable(&outcomes.acknowledged).await?;
            attack::keep(&rig, outcomes, &mut all).await?;
        }
        rig.check_all(&all).await?;
        println!("{} points; {} records on every node", points.len(), all.len());
        rig.finish().await
    })
}

#[test]
fn killed_before_system_calls() -> Result<()> {
    if !skip::can_run("kill_points", true, kill_points::TOOLS) {
        return Ok(());
    }
    on_a_cluster("kill-calls", None, CALLS, |point, dir| AtCall {
        call: point.at,
        trace: dir.join(format!("strace-{}", point.name)),
        armed: None,
    })
}

#[test]
fn killed_where_no_system_call_tells() -> Result<()> {
    let Some(mutants) = std::env::var_os(MUTANTS) else {
        skip::leave_out("kill_points, seams", &format!("{MUTANTS} names no build with them: make test-processes"));
        return Ok(());
    };
    on_a_cluster("kill-seams", Some(Path::new(&mutants)), SEAMS, |point, dir| AtSeam {
        name: point.name,
        dir: dir.to_owned(),
    })
}
