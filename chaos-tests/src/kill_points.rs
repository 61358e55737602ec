//! A node that dies just before a system call on one of its files: strace delivers SIGKILL on the way in, so that the call
//! is never made. (Not with `--seccomp-bpf`: where that stops a process, no signal is delivered.)

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use serde::Serialize;
use tokio::process::{Child, Command};

/// What this module runs.
pub const TOOLS: &[&str] = &["strace"];
/// Attaching to some dozen threads takes milliseconds.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A file or directory of a node (docs/architecture.md, on disk).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The log's write-ahead log that is written now.
    Log,
    /// How far the log was on disk, before it is renamed: of a rename strace looks at the old name only.
    HighMark,
    /// The directory of all of it.
    Directory,
    /// The list of files of the live state's database.
    StateManifest,
    /// A snapshot that is being made.
    NewSnapshot,
    /// The directory of snapshots.
    Snapshots,
    /// The files of the snapshot that there is.
    OldSnapshot,
    /// The directory of snapshots that come in.
    Incoming,
    /// The state that the next snapshot becomes.
    NewState,
    /// The pointer to the live state, before it is renamed.
    Pointer,
    /// The live state.
    State,
}

impl On {
    /// Where it lies, for the node with this data directory.
    pub fn path(self, data: &Path) -> Result<PathBuf> {
        let root = data.join("logs/1").canonicalize().context("a node's directory")?;
        let state = |add: u64| Ok::<_, anyhow::Error>(root.join(format!("state-{}", live(&root)? + add)));
        Ok(match self {
            On::Log => last(&root.join("raft"), |name| name.ends_with(".log"))?,
            On::HighMark => root.join("TIDE.tmp"),
            On::Directory => root,
            On::StateManifest => last(&state(0)?, |name| name.starts_with("MANIFEST-"))?,
            On::NewSnapshot => root.join("snapshots/tmp"),
            On::Snapshots => root.join("snapshots"),
            On::OldSnapshot => last(&root.join("snapshots"), |name| name != "tmp")?.join("db"),
            On::Incoming => root.join("incoming"),
            On::NewState => state(1)?,
            On::Pointer => root.join("CURRENT.tmp"),
            On::State => state(0)?,
        })
    }
}

/// Number of the live state.
fn live(root: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(root.join("CURRENT"))?;
    let number = text.trim_end().rsplit('-').next().and_then(|number| number.parse().ok());
    number.with_context(|| format!("the live state: {text:?}"))
}

/// The entry whose name comes last; numbers in names have leading zeros, or there is one.
fn last(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let names = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
    let name = names.into_iter().filter(|name| wanted(name)).max();
    Ok(directory.join(name.with_context(|| format!("what is looked for in {}", directory.display()))?))
}

/// The nth call of a name on a file, counted by each thread for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Call {
    /// System call.
    pub name: &'static str,
    /// What it is made on.
    pub on: On,
    /// Which, from 1.
    pub nth: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {:?}", self.name, self.nth, self.on)
    }
}

impl Call {
    fn strace(self, data: &Path, trace: &Path) -> Result<Vec<String>> {
        let Self { name, on, nth } = self;
        let path = on.path(data)?.display().to_string();
        let (traced, killed) = (format!("trace={name}"), format!("inject={name}:signal=SIGKILL:when={nth}"));
        let words = ["strace", "-f", "-qq", "-y", "-P", &path, "-e", &traced, "-e", &killed, "-o"];
        Ok(words.map(str::to_owned).into_iter().chain([trace.display().to_string()]).collect())
    }

    /// Has a running process die there. Returns when all its threads are watched.
    pub async fn arm(self, pid: u32, data: &Path, trace: &Path) -> Result<Armed> {
        let words = self.strace(data, trace)?;
        let mut strace = Command::new(&words[0]);
        strace.args(&words[1..]).args(["-p", &pid.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
        let mut armed = Armed { call: self, trace: trace.to_owned(), tracer: strace.spawn().context("strace")? };
        let end = Instant::now() + ATTACH_LIMIT;
        while !traced(pid)? {
            ensure!(armed.tracer.try_wait()?.is_none(), "strace ended before process {pid} did");
            ensure!(Instant::now() < end, "strace did not attach to all threads of process {pid}");
            tokio::time::sleep(POLL).await;
        }
        Ok(armed)
    }

    /// What starts a node that dies there; it keeps its process id.
    pub fn launcher(self, data: &Path, trace: &Path) -> Result<Vec<String>> {
        let mut words = self.strace(data, trace)?;
        words.insert(1, "-D".to_owned());
        Ok(words)
    }

    /// What strace wrote down of the death. An error: it died elsewhere.
    pub fn proof(self, trace: &Path) -> Result<String> {
        let text = std::fs::read_to_string(trace).context("strace wrote nothing")?;
        let met = text.lines().filter(|line| line.contains(&format!("{}(", self.name)));
        let not_made = text.lines().any(|line| line.contains(self.name) && line.ends_with("= ?"));
        let killed = text.contains("+++ killed by SIGKILL +++");
        ensure!(met.count() >= self.nth && not_made && killed, "expected death before {self}, found {text}");
        Ok(format!("before {self}"))
    }
}

/// A process that will die.
pub struct Armed {
    call: Call,
    trace: PathBuf,
    tracer: Child,
}

impl Armed {
    /// It died: where, as strace tells it.
    pub async fn died(mut self) -> Result<String> {
        self.tracer.wait().await?;
        self.call.proof(&self.trace)
    }

    /// It did not die: strace lets go in good order, for a process whose tracer is killed may keep a stop.
    pub async fn let_go(mut self) -> Result<()> {
        let tracer = self.tracer.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(tracer) = tracer {
            rustix::process::kill_process(tracer, Signal::TERM)?;
        }
        self.tracer.wait().await?;
        Ok(())
    }
}

/// Whether all threads of a process are watched.
fn traced(pid: u32) -> Result<bool> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("a process that runs")? {
        // a thread may end meanwhile
        let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() == "0")) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_death_at_the_point_is_proof() {
        let dir = tempfile::tempdir().unwrap();
        let trace = dir.path().join("trace");
        let proof = |text: &str| {
            std::fs::write(&trace, text).unwrap();
            Call { name: "fsync", on: On::Directory, nth: 2 }.proof(&trace)
        };
        let killed = "7 +++ killed by SIGKILL +++\n";
        assert!(proof(&format!("7 fsync(3</d>) = 0\n7 fsync(3</d>) = ?\n{killed}")).is_ok());
        assert!(
            proof(&format!("7 fsync(3</d>) = 0\n7 fsync(3</d> <unfinished ...>\n7 <... fsync resumed>) = ?\n{killed}"))
                .is_ok()
        );
        // killed by somebody else: after one call, or after both
        assert!(proof(&format!("7 fsync(3</d>) = ?\n{killed}")).is_err());
        assert!(proof(&format!("7 fsync(3</d>) = 0\n7 fsync(3</d>) = 0\n{killed}")).is_err());
        assert!(proof("7 fsync(3</d>) = 0\n7 fsync(3</d>) = ?\n7 +++ exited with 0 +++\n").is_err());
        assert!(proof("").is_err());
    }
}
