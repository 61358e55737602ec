//! How often each node told its disk to keep what was written. `/proc` does not count that, so a tool does: `perf` by tracepoints,
//! or else `strace`, which stops every system call. Either way in runs of their own: what is counted is not timed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::load::{self, BACKLOG_MAX, Pace, Plan};
use super::process::{Group, family};
use super::round::{ATTEMPTS, Loaded, RECORDS_S_MAX, Work};
use super::{Connection, Done};

/// Calls after which what was written is kept. Not `sync_file_range`, which promises nothing; a file opened with `O_DSYNC`
/// would not be seen, and none of the systems opens one by default.
const CALLS: &[&str] = &["fsync", "fdatasync", "msync", "syncfs"];
/// A tool has so long until it watches every thread. If it took longer, syncs would be missing, and the check fail.
const ATTACH: Duration = Duration::from_secs(1);
/// Calls before anything is counted: connections, certificates, first files.
const BEFORE: usize = 20;
/// Time of the run under load.
const LOAD: Duration = Duration::from_secs(2);

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Tracepoints: costs next to nothing.
    Perf,
    /// Stops the process at every system call.
    Strace,
}

impl Tool {
    /// The better of those that work here.
    pub fn find() -> Option<Self> {
        [Tool::Perf, Tool::Strace].into_iter().find(|tool| tool.works())
    }

    /// Whether it is there, and may do its work.
    fn works(self) -> bool {
        let words: &[&str] = match self {
            Tool::Perf => &["perf", "stat", "-e", "syscalls:sys_enter_fdatasync", "--", "true"],
            Tool::Strace => &["strace", "-f", "-e", "trace=fsync", "true"],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()) && (self == Tool::Perf || may_attach())
    }

    /// As reports name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Tool::Perf => "perf stat, tracepoints",
            Tool::Strace => "strace -c",
        }
    }

    fn command(self, pids: &[u32], file: &Path) -> Command {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut command;
        match self {
            Tool::Perf => {
                command = Command::new("perf");
                command.args(["stat", "-x", ",", "-p", &pids.join(",")]).arg("-o").arg(file);
                for call in CALLS {
                    command.args(["-e", &format!("syscalls:sys_enter_{call}")]);
                }
            }
            Tool::Strace => {
                command = Command::new("strace");
                command
                    .args(["-f", "-c", "-U", "name,calls", "-e", &format!("trace={}", CALLS.join(","))])
                    .arg("-o")
                    .arg(file);
                for pid in &pids {
                    command.args(["-p", pid]);
                }
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Reads what the tool has written.
    fn read(self, text: &str) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for call in CALLS {
            let count = match self {
                Tool::Perf => {
                    let event = format!("syscalls:sys_enter_{call}");
                    let line = text.lines().find(|line| line.split(',').nth(2) == Some(&event));
                    let count =
                        line.and_then(|line| line.split(',').next()).with_context(|| format!("perf: {event}"))?;
                    // a process none of whose threads ran meanwhile
                    if count == "<not counted>" {
                        0
                    } else {
                        count.parse().with_context(|| format!("perf: {count}"))?
                    }
                }
                Tool::Strace => {
                    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                    let line = text.lines().map(words).find(|words| words.first().is_some_and(|name| name == call));
                    line.map_or(Ok(0), |words| {
                        words.get(1).context("strace: a count")?.parse().context("strace: a count")
                    })?
                }
            };
            counts.insert((*call).to_owned(), count);
        }
        Ok(counts)
    }
}

/// Whether Yama, where there is one, lets processes be traced that are no children of the tracer.
fn may_attach() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    rustix::process::geteuid().is_root() || scope.map_or(true, |scope| scope.trim() == "0")
}

/// A tool that watches one node.
struct Watch {
    name: String,
    child: Child,
    file: PathBuf,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // after a failure; it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one node did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeSyncs {
    /// Which.
    pub name: String,
    /// By system call.
    pub calls: BTreeMap<String, u64>,
    /// Of them all.
    pub total: u64,
}

/// What all nodes did for so many records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Syncs {
    /// Which system.
    pub system: String,
    /// How records came.
    pub load: String,
    /// Who counted.
    pub tool: String,
    /// Acknowledged meanwhile.
    pub records: u64,
    /// Each node.
    pub nodes: Vec<NodeSyncs>,
    /// Of all nodes, per record.
    pub per_record: f64,
    /// Whether the count allows that each record was synced on a majority before it was acknowledged; only where records came
    /// one after the other, since others share their syncs.
    pub majority: Option<bool>,
}

/// Whether `records` that came one after the other can each have been synced on a majority of the nodes: a node counts for a
/// record once, however often it syncs.
fn majority(records: u64, nodes: &[NodeSyncs]) -> bool {
    let wanted = records * (nodes.len() as u64 / 2 + 1);
    nodes.iter().map(|node| node.total.min(records)).sum::<u64>() >= wanted
}

fn start(tool: Tool, groups: &[Group], dir: &Path) -> Result<Vec<Watch>> {
    let watch = |(number, group): (usize, &Group)| {
        let pids = if group.alone { vec![group.pid] } else { family(group.pid)? };
        let file = dir.join(format!("syncs{number}"));
        let child = tool.command(&pids, &file).spawn().with_context(|| tool.as_str())?;
        Ok(Watch { name: group.name.clone(), child, file })
    };
    groups.iter().enumerate().map(watch).collect()
}

async fn stop(tool: Tool, watches: Vec<Watch>) -> Result<Vec<NodeSyncs>> {
    let end = move |mut watch: Watch| {
        // e.g. Yama lets nobody but root trace what is not its child: then nothing was counted, and none is no count
        if let Some(status) = watch.child.try_wait()? {
            bail!("{} of {} ended by itself, {status}", tool.as_str(), watch.name);
        }
        let pid = Pid::from_raw(i32::try_from(watch.child.id())?).context("a process id")?;
        rustix::process::kill_process(pid, Signal::INT)?;
        watch.child.wait()?;
        let text =
            std::fs::read_to_string(&watch.file).with_context(|| format!("{} of {}", tool.as_str(), watch.name))?;
        let calls = tool.read(&text)?;
        Ok(NodeSyncs { name: watch.name.clone(), total: calls.values().sum(), calls })
    };
    tokio::task::spawn_blocking(move || watches.into_iter().map(end).collect()).await?
}

/// Counts over `records` of `work` that come one after the other on one connection, then under the load of `work` itself.
pub async fn count<L: Loaded>(system: &mut L, tool: Tool, work: &Work, records: usize) -> Result<Vec<Syncs>> {
    let groups = system.groups();
    ensure!(!groups.is_empty(), "syncs are counted of processes on this machine");
    let dir = tempfile::tempdir()?;
    let single = Work { connections: 1, lanes: 1, pace: Pace::Closed, ..*work };
    system.prepare(&single, records + BEFORE).await?;
    let connections = system.connect(&single).await?;
    let connection = connections.first().context("a connection")?;
    for _ in 0..BEFORE {
        call(connection).await?;
    }
    let watches = start(tool, &groups, dir.path())?;
    tokio::time::sleep(ATTACH).await;
    let mut acknowledged = 0;
    for _ in 0..records {
        acknowledged += call(connection).await?;
    }
    let nodes = stop(tool, watches).await?;
    drop(connections);
    let one = Some(majority(acknowledged, &nodes));
    let alone = syncs(system.name(), "one after the other", tool, acknowledged, nodes, one);

    let load = format!("{}, {} connections", work.operation, work.connections);
    for _ in 0..ATTEMPTS {
        let (acknowledged, nodes) = under_load(system, tool, work, &groups, dir.path()).await?;
        // a disk that stood still all the while has no ratio
        if acknowledged > 0 {
            return Ok(vec![alone, syncs(system.name(), &load, tool, acknowledged, nodes, None)]);
        }
    }
    bail!("{load}: no record was acknowledged while syncs were counted, {ATTEMPTS} times")
}

async fn under_load<L: Loaded>(
    system: &mut L,
    tool: Tool,
    work: &Work,
    groups: &[Group],
    dir: &Path,
) -> Result<(u64, Vec<NodeSyncs>)> {
    system.prepare(work, RECORDS_S_MAX * 3).await?;
    let connections = system.connect(work).await?;
    let watches = start(tool, groups, dir)?;
    tokio::time::sleep(ATTACH).await;
    let plan =
        Plan { pace: work.pace, lanes: work.lanes, warm_up: Duration::ZERO, duration: LOAD, backlog_max: BACKLOG_MAX };
    let measured = load::run(connections, &plan, groups).await?;
    Ok((measured.tally.records, stop(tool, watches).await?))
}

async fn call(connection: &impl Connection) -> Result<u64> {
    match connection.call().await {
        Ok(Done::Records(records)) => Ok(records),
        Ok(Done::Exhausted) => bail!("the records made ready ran out"),
        Err(error) => bail!("a record was not acknowledged: {error}"),
    }
}

fn syncs(system: &str, load: &str, tool: Tool, records: u64, nodes: Vec<NodeSyncs>, majority: Option<bool>) -> Syncs {
    let total: u64 = nodes.iter().map(|node| node.total).sum();
    Syncs {
        system: system.to_owned(),
        load: load.to_owned(),
        tool: tool.as_str().to_owned(),
        records,
        nodes,
        per_record: total as f64 / records.max(1) as f64,
        majority,
    }
}

#[cfg(test)]
mod tests;
