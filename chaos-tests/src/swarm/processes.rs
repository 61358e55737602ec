//! The lane of processes: killed, paused, squeezed, misled about the time, replaced, restarted.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kho::admin::Admin;
use kho::dev::{DevCluster, Error, NodeId};
use rustix::process::Signal;

use super::board::Board;
use super::memory::Group;
use super::report::Report;
use super::schedule::{ProcessFault, Step, Victim};
use super::wall_clock::WallClock;
use crate::links::Machine;

/// An operator asks again for so long while other faults stand in the way.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// A replacement needs a majority, and other faults may take one away for a while.
const REPLACE_PATIENCE: Duration = Duration::from_secs(90);
pub(super) const POLL: Duration = Duration::from_millis(50);

/// What a machine has besides its network.
pub struct Gear {
    /// Memory.
    pub group: Option<Group>,
    /// Wall clock.
    pub clock: Option<WallClock>,
}

/// The lane.
pub struct Processes<'a> {
    /// Whose processes.
    pub cluster: &'a mut DevCluster,
    /// What all lanes know.
    pub board: &'a Board,
    /// What was done.
    pub report: &'a Report,
    /// By name of the machine.
    pub gear: &'a BTreeMap<String, Gear>,
    /// Of the nodes.
    pub settings: &'a toml::Table,
}

/// Starts `node` on this machine from now on.
pub fn launch_on(cluster: &mut DevCluster, machine: &Machine, gear: &Gear, node: NodeId) {
    let group = gear.group.as_ref().map(Group::launcher).unwrap_or_default();
    let clock = gear.clock.as_ref().map(WallClock::launcher).unwrap_or_default();
    // the clock last: its library goes into the node, not into the programs before it
    cluster.set_launcher(node, [group, machine.launcher(), clock].concat());
}

impl Processes<'_> {
    /// One step after the other.
    pub async fn run(mut self, steps: &[Step<ProcessFault>]) -> Result<()> {
        for step in steps {
            tokio::time::sleep(Duration::from_millis(step.after_ms)).await;
            self.cluster.check_alive()?;
            let lasts = Duration::from_millis(step.lasts_ms);
            let fault = &step.fault;
            self.step(fault, lasts).await.with_context(|| format!("fault {fault:?}"))?;
        }
        self.cluster.check_alive()?;
        Ok(())
    }

    async fn step(&mut self, fault: &ProcessFault, lasts: Duration) -> Result<()> {
        match *fault {
            ProcessFault::Kill { victim, at: None } => self.kill(victim, lasts).await,
            ProcessFault::Kill { victim, at: Some(call) } => self.kill_at(victim, call, lasts).await,
            ProcessFault::KillAll => self.kill_all(lasts).await,
            ProcessFault::Pause { victim } => self.pause(victim, lasts).await,
            ProcessFault::Memory { victim } => self.squeeze(victim, lasts).await,
            ProcessFault::Clock { victim, offset_s } => self.mislead(victim, offset_s, lasts).await,
            ProcessFault::Replace { victim } => self.replace(victim, lasts).await,
            ProcessFault::Snapshot { victim } => self.snapshot(victim).await,
            ProcessFault::Transfer => self.transfer().await,
            ProcessFault::RollingRestart => self.restart_all().await,
            ProcessFault::Certificates { victim, expired } => self.certificates(victim, expired, lasts).await,
        }
    }

    async fn pause(&mut self, victim: Victim, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let (led, term) = (self.board.leader() == Some(place.node), self.board.term());
        let pid = self.cluster.pid(place.node).context("it runs")?;
        self.cluster.pause(place.node)?;
        let end = Instant::now() + lasts;
        while state_of(pid)? != 'T' {
            ensure!(Instant::now() < end, "node {} took no SIGSTOP: {}", place.node, state_of(pid)?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep_until(end.into()).await;
        let state = state_of(pid)?;
        self.cluster.resume(place.node)?;
        ensure!(state == 'T', "node {} did not stay stopped: {state}", place.node);
        let mut proof = format!("node {} in state T for {lasts:?}", place.node);
        if led {
            proof.push_str(&format!(", leader of term {term}; then term {}", self.board.term()));
        }
        self.report.proven(began, "pause", &place.machine.name, proof);
        Ok(())
    }

    async fn squeeze(&mut self, victim: Victim, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let group = self.gear[&place.machine.name].group.as_ref().context("a control group")?;
        let before = group.refused()?;
        let (end, patience) = (Instant::now() + lasts, Instant::now() + PATIENCE);
        let killed = loop {
            match self.cluster.check_alive() {
                Ok(()) => group.squeeze()?,
                Err(Error::Ended { node, status, .. })
                    if node == place.node && status.signal() == Some(Signal::KILL.as_raw()) =>
                {
                    break true;
                }
                Err(error) => return Err(error.into()),
            }
            let bites = group.refused()? > before;
            if (Instant::now() > end && bites) || Instant::now() > patience {
                break false;
            }
            tokio::time::sleep(POLL).await;
        };
        group.free()?;
        let refused = group.refused()? - before;
        ensure!(refused > 0, "the limit of node {} never bit", place.node);
        let mut proof = format!("node {} wanted more {refused} times", place.node);
        if killed {
            group.check_empty()?;
            self.cluster.start(place.node)?;
            proof.push_str(", and the kernel killed it");
        }
        self.report.proven(began, "memory", &place.machine.name, proof);
        Ok(())
    }

    async fn mislead(&mut self, victim: Victim, offset_s: i64, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let clock = self.gear[&place.machine.name].clock.as_ref().context("a clock")?;
        clock.set(offset_s)?;
        // the node's own log says what time it is there; SIGHUP makes it say something
        let log = self.cluster.layout().log_file(place.node);
        let (end, patience) = (Instant::now() + lasts, Instant::now() + PATIENCE);
        let mut seen = None;
        while seen.is_none() || Instant::now() < end {
            ensure!(Instant::now() < patience, "the log of node {} shows no clock off by {offset_s} s", place.node);
            if seen.is_none() {
                self.cluster.signal(place.node, Signal::HUP)?;
            }
            tokio::time::sleep(4 * POLL).await;
            seen = seen.or(last_time(&log)?.map(|time| time - now_s()).filter(|off| (off - offset_s).abs() < 5));
        }
        clock.set(0)?;
        let proof = format!("node {} logs times off by {} s", place.node, seen.unwrap_or_default());
        self.report.proven(began, "clock", &place.machine.name, proof);
        Ok(())
    }

    async fn replace(&mut self, victim: Victim, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let gone = place.node;
        self.cluster.kill(gone)?;
        std::fs::remove_dir_all(self.cluster.layout().data_dir(gone))?;
        tokio::time::sleep(lasts / 8).await;
        let new = self.cluster.add_node(gone, self.settings)?;
        self.board.replaced(self.cluster, gone, new)?;
        launch_on(self.cluster, &place.machine, &self.gear[&place.machine.name], new);
        self.cluster.start(new)?;
        let patience = Instant::now() + REPLACE_PATIENCE;
        let said = loop {
            let mut kho = Command::new(self.cluster.executable());
            kho.args(["cluster", "replace", &gone.to_string(), &new.to_string(), "--timeout", "20", "--config"]);
            kho.arg(self.cluster.layout().client_file()).arg("--node-config").arg(self.cluster.layout().node_file(new));
            let output = tokio::task::spawn_blocking(move || kho.output()).await??;
            let text = [&output.stdout[..], &output.stderr].concat();
            let text = String::from_utf8_lossy(&text).trim().replace('\n', " ");
            if output.status.success() {
                break text;
            }
            self.cluster.check_alive()?;
            ensure!(Instant::now() < patience, "kho cluster replace {gone} {new}: {}: {text}", output.status);
            tokio::time::sleep(4 * POLL).await;
        };
        let votes = format!("node {new} votes");
        ensure!(said.contains(&votes), "kho cluster replace says: {said}");
        self.report.proven(began, "replace", &place.machine.name, format!("node {gone} wiped; {votes}"));
        Ok(())
    }

    async fn snapshot(&mut self, victim: Victim) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let ask = async |admin: Admin| admin.trigger_snapshot().await;
        match ask_again(ask, self.board.admin(place.node)).await? {
            Ok(made) => {
                let proof = format!("node {}: snapshot {}, purged up to {}", place.node, made.snapshot, made.purged);
                self.report.proven(began, "snapshot", &place.machine.name, proof);
            }
            Err(reason) => self.report.not_done(began, "snapshot", &place.machine.name, reason),
        }
        Ok(())
    }

    async fn transfer(&mut self) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(Victim::Leader));
        let term = self.board.term();
        let ask = async |admin: Admin| admin.transfer_leader(None).await;
        match ask_again(ask, self.board.admin(place.node)).await? {
            Ok(done) if done.leader_id != place.node.0 => {
                let proof = format!("node {} to node {}, term {term} to {}", place.node, done.leader_id, done.term);
                self.report.proven(began, "transfer", &place.machine.name, proof);
            }
            Ok(done) => bail!("leadership was handed over from {} to {}", place.node, done.leader_id),
            Err(reason) => self.report.not_done(began, "transfer", &place.machine.name, reason),
        }
        Ok(())
    }

    async fn restart_all(&mut self) -> Result<()> {
        let began = self.report.now_ms();
        let nodes: Vec<NodeId> = self.cluster.nodes().collect();
        for &node in &nodes {
            let pid = self.cluster.pid(node).context("it runs")?;
            let status = self.cluster.terminate(node).await?;
            ensure!(status.success(), "node {node}, process {pid}, told to stop: {status}");
            self.cluster.start(node)?;
            // the next one when this one answers, if it can be reached at all
            let answers = tokio::time::timeout(PATIENCE / 4, async {
                while self.board.admin(node).status().await.is_err() {
                    tokio::time::sleep(POLL).await;
                }
            });
            // cut off by another fault: on with the next
            let _ = answers.await;
        }
        self.report.proven(
            began,
            "rolling_restart",
            "all",
            format!("{} nodes ended with 0 and came back", nodes.len()),
        );
        Ok(())
    }
}

/// Asks until it is done, or why it was refused when patience ends.
async fn ask_again<T>(
    ask: impl AsyncFn(Admin) -> Result<T, kho::admin::Error>,
    admin: Admin,
) -> Result<Result<T, String>> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let error = match tokio::time::timeout(PATIENCE, ask(admin.clone())).await {
            Ok(Ok(done)) => return Ok(Ok(done)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() > patience {
            return Ok(Err(error));
        }
        tokio::time::sleep(4 * POLL).await;
    }
}

/// The letter in /proc.
fn state_of(pid: u32) -> Result<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("a name in parentheses")?;
    rest.chars().next().context("a state")
}

fn now_s() -> i64 {
    i64::try_from(kho_client::Surroundings::now(&kho_client::System).0 / 1000).unwrap_or_default()
}

/// The time in a log's last line that has one, in seconds of Unix time.
fn last_time(log: &std::path::Path) -> Result<Option<i64>> {
    let text = std::fs::read_to_string(log)?;
    let time = |line: &str| {
        let text = line.split_whitespace().next()?;
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
    };
    Ok(text.lines().rev().find_map(time).map(time::OffsetDateTime::unix_timestamp))
}
