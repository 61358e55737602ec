//! The child as its parent sees it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{CHILD, Fault};

const POLL: Duration = Duration::from_millis(2);
/// A child that drains has so long.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// A step that is not reached within this is not reached at all; the child is then struck where it is.
const STEP_LIMIT: Duration = Duration::from_millis(1500);

/// How a child met its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Where it was to.
    AsPlanned,
    /// It did not come there, and was struck at the end of its time.
    Elsewhere,
}

/// A running child.
pub struct Child {
    process: Process,
    input: Option<Sender<Vec<u8>>>,
    lines: Receiver<String>,
    begun: Instant,
}

fn executable(own: &Path) -> PathBuf {
    std::env::var_os(CHILD).map_or_else(|| own.to_owned(), PathBuf::from)
}

impl Child {
    /// Starts one on the outbox in `dir`. `signal`: `kill`, or `stop` for a power cut.
    pub fn start(
        own: &Path,
        dir: &Path,
        client_file: &Path,
        fault: Option<(&str, Fault)>,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(executable(own));
        command.arg(dir).arg(client_file).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(environment.iter().copied());
        if let Some((signal, Fault::At(step, n))) = fault {
            command.args([signal, step.as_str(), &n.to_string()]);
        }
        let mut process = command.spawn().context("the child")?;
        let output = process.stdout.take().context("a pipe")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // a line that is cut off was not said
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut pipe = process.stdin.take().context("a pipe")?;
        let (input, frames) = mpsc::channel::<Vec<u8>>();
        // a child that is stopped reads nothing, and holds up nobody; one that is dead breaks the pipe
        std::thread::spawn(move || {
            for frame in frames {
                if pipe.write_all(&frame).and_then(|()| pipe.flush()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, input: Some(input), lines, begun: Instant::now() })
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.process.id().try_into()?).context("a process id")
    }

    /// Gives it a frame. A child that is dead or stopped takes none, which is no error.
    pub fn give(&self, frame: &[u8]) {
        let length = (frame.len() as u32).to_be_bytes();
        let sent = self.input.as_ref().map(|input| input.send([&length, frame].concat()));
        // nobody writes any more: the pipe is broken
        drop(sent);
    }

    /// There is nothing more for it.
    pub fn end_of_input(&mut self) {
        self.input = None;
    }

    /// State letter of `/proc/PID/stat`: `T` is stopped, `Z` has ended.
    fn state(&self) -> Result<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.context("a state in /proc")
    }

    /// Waits until it has met its fault: it is dead (`kill`) or stopped (`stop`). One that does not come to its step is struck
    /// where it is.
    pub fn meet(&mut self, fault: Fault, signal: &str) -> Result<Ended> {
        let (limit, expected) = match fault {
            Fault::At(..) => (STEP_LIMIT, Ended::AsPlanned),
            Fault::After(time) => (time, Ended::AsPlanned),
        };
        loop {
            match self.state()? {
                'T' => return Ok(expected),
                'Z' | 'X' => return self.died().map(|()| expected),
                _ if self.begun.elapsed() >= limit => break,
                _ => std::thread::sleep(POLL),
            }
        }
        let strike = if signal == "kill" { Signal::KILL } else { Signal::STOP };
        kill_process(self.pid()?, strike)?;
        loop {
            match self.state()? {
                'T' => break,
                'Z' | 'X' => {
                    self.died()?;
                    break;
                }
                _ => std::thread::sleep(POLL),
            }
        }
        Ok(if matches!(fault, Fault::At(..)) { Ended::Elsewhere } else { expected })
    }

    /// A child that ends by itself has found something wrong, which is what this is about.
    fn died(&mut self) -> Result<()> {
        let status = self.process.wait()?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "the child ended by itself: {status}");
        Ok(())
    }

    /// Ends it, if it has not ended, and returns all that it said.
    pub fn bury(mut self) -> Result<Vec<String>> {
        self.input = None;
        if self.process.try_wait()?.is_none() {
            kill_process(self.pid()?, Signal::KILL)?;
            self.process.wait()?;
        }
        Ok(self.lines.iter().collect())
    }

    /// Lets it deliver the rest, and returns all that it said.
    pub fn drained(mut self) -> Result<Vec<String>> {
        self.end_of_input();
        let status: ExitStatus = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if self.begun.elapsed() > DRAIN_LIMIT {
                self.process.kill()?;
                self.process.wait()?;
                bail!("the child delivers for longer than {} s", DRAIN_LIMIT.as_secs());
            }
            std::thread::sleep(POLL);
        };
        ensure!(status.success(), "the child ended with {status}");
        let lines: Vec<String> = self.lines.iter().collect();
        ensure!(lines.last().is_some_and(|line| line == "drained"), "the child said {lines:?}");
        Ok(lines)
    }
}
