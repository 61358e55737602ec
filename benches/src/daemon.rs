//! A process of another system: it must not outlive this one, however this one ends.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// A process that was told to end has this long.
const END_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A running process. Killed with this value.
pub struct Daemon {
    child: Child,
}

/// What to start, in words.
pub struct Start<'a> {
    /// Under another user; only where this one is root.
    pub user: Option<&'a str>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Environment besides ours.
    pub environment: Vec<(String, OsString)>,
    /// Where its output goes, at the end.
    pub log: &'a Path,
}

/// Arguments of different kinds as one list.
#[macro_export]
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(::std::ffi::OsString::from($word)),*] };
}

fn prefix(user: Option<&str>) -> Vec<OsString> {
    let mut prefix = words!["setpriv", "--pdeathsig", "KILL"];
    if let Some(user) = user {
        // setpriv sets the signal last: changing the user would clear it
        prefix.extend(words!["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    prefix
}

fn log_file(log: &Path) -> Result<File> {
    File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

fn command(start: &Start) -> Result<Command> {
    let log = log_file(start.log)?;
    let words: Vec<OsString> = prefix(start.user).into_iter().chain(start.command.iter().cloned()).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(start.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// Runs a program to its end.
pub fn run(start: &Start) -> Result<()> {
    let program = start.command[0].display().to_string();
    let status = command(start)?.status().with_context(|| format!("{program}: scripts/setup peers installs it"))?;
    anyhow::ensure!(status.success(), "{program}: {status}; its output is in {}", start.log.display());
    Ok(())
}

impl Daemon {
    /// Starts it. It also dies with the thread that calls this.
    pub fn start(start: &Start) -> Result<Self> {
        let program = start.command[0].display().to_string();
        let child = command(start)?.spawn().with_context(|| format!("{program}: scripts/setup peers installs it"))?;
        Ok(Self { child })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Another signal; returns when it has ended.
    pub async fn end(mut self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        rustix::process::kill_process(pid, signal)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > END_LIMIT {
                bail!("process {} did not end within {END_LIMIT:?}", self.child.id());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
