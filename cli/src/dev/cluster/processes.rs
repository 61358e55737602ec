//! Its processes: started, signalled, killed, and waited for.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use kho_proto::id::NodeId;
use rustix::process::Signal;

use super::DevCluster;
use crate::dev::Error;
use crate::dev::process::{Process, tail};

/// A node that was told to stop has this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

impl DevCluster {
    /// Whether its process runs.
    pub fn is_running(&self, node: NodeId) -> bool {
        self.running.contains_key(&node)
    }

    /// Process id of a running node.
    pub fn pid(&self, node: NodeId) -> Option<u32> {
        self.running.get(&node).map(Process::pid)
    }

    /// Starts a node; it need not be ready when this returns.
    pub fn start(&mut self, node: NodeId) -> Result<(), Error> {
        self.member(node)?;
        if self.is_running(node) {
            return Err(Error::State { node, expected: "stopped", found: "running" });
        }
        let log = self.layout.log_file(node);
        let config = self.layout.node_file(node);
        let launcher = self.launchers.get(&node).map_or(&[][..], Vec::as_slice);
        let process = Process::start(launcher, &self.executable, &config, &log, self.detached, &self.environment)
            .map_err(|source| Error::Process { node, source, log })?;
        self.running.insert(node, process);
        Ok(())
    }

    /// Starts all nodes that don't run.
    pub fn start_all(&mut self) -> Result<(), Error> {
        let stopped: Vec<_> = self.nodes().filter(|node| !self.is_running(*node)).collect();
        stopped.into_iter().try_for_each(|node| self.start(node))
    }

    fn take(&mut self, node: NodeId) -> Result<Process, Error> {
        self.running.remove(&node).ok_or(Error::State { node, expected: "running", found: "stopped" })
    }

    fn process_error(&self, node: NodeId) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let log = self.layout.log_file(node);
        move |source| Error::Process { node, source, log }
    }

    /// SIGKILL; returns when the process is gone. An error if it had ended by itself before.
    pub fn kill(&mut self, node: NodeId) -> Result<ExitStatus, Error> {
        let failed = self.process_error(node);
        let status = self.take(node)?.kill().map_err(failed)?;
        if status.signal() == Some(Signal::KILL.as_raw()) { Ok(status) } else { Err(self.ended(node, status)) }
    }

    fn ended(&self, node: NodeId, status: ExitStatus) -> Error {
        let log = self.layout.log_file(node);
        Error::Ended { node, status, tail: tail(&log), log }
    }

    /// SIGKILL to all running nodes at once: all signals first, then the waiting.
    pub fn kill_all(&mut self) -> Result<(), Error> {
        let running: Vec<_> = self.running.keys().copied().collect();
        for node in &running {
            self.signal(*node, Signal::KILL)?;
        }
        running.into_iter().try_for_each(|node| self.kill(node).map(|_| ()))
    }

    /// SIGTERM; waits until the node has handed over and ended.
    pub async fn terminate(&mut self, node: NodeId) -> Result<ExitStatus, Error> {
        self.signal(node, Signal::TERM)?;
        self.wait_ended(node, STOP_TIMEOUT).await
    }

    /// SIGTERM to all running nodes, then waits for them. An error if one did not end in good order.
    pub async fn terminate_all(&mut self) -> Result<(), Error> {
        let running: Vec<_> = self.running.keys().copied().collect();
        for node in &running {
            self.signal(*node, Signal::TERM)?;
        }
        for node in running {
            let status = self.wait_ended(node, STOP_TIMEOUT).await?;
            if !status.success() {
                return Err(self.ended(node, status));
            }
        }
        Ok(())
    }

    /// Waits until a node has ended by itself (it should: its disk failed, or it was told to).
    pub async fn wait_ended(&mut self, node: NodeId, limit: Duration) -> Result<ExitStatus, Error> {
        let process = self.take(node)?;
        let failed = self.process_error(node);
        let waited = tokio::task::spawn_blocking(move || process.wait(limit)).await;
        match waited.map_err(std::io::Error::other).flatten().map_err(failed)? {
            Ok(status) => Ok(status),
            Err(process) => {
                self.running.insert(node, process);
                let last = format!("node {node} still runs");
                Err(Error::Timeout { waited_ms: limit.as_millis(), what: "a process to end", last })
            }
        }
    }

    /// Sends a signal: `STOP` and `CONT` for a pause.
    pub fn signal(&self, node: NodeId, signal: Signal) -> Result<(), Error> {
        let process = self.running.get(&node).ok_or(Error::State { node, expected: "running", found: "stopped" })?;
        process.signal(signal).map_err(self.process_error(node))
    }

    /// SIGSTOP.
    pub fn pause(&self, node: NodeId) -> Result<(), Error> {
        self.signal(node, Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self, node: NodeId) -> Result<(), Error> {
        self.signal(node, Signal::CONT)
    }

    /// An error if a node ended that should be running; it is stopped from now on.
    pub fn check_alive(&mut self) -> Result<(), Error> {
        let mut gone = None;
        for (node, process) in &mut self.running {
            if let Ok(Some(status)) = process.ended() {
                gone = Some((*node, status));
            }
        }
        let Some((node, status)) = gone else { return Ok(()) };
        self.running.remove(&node);
        Err(self.ended(node, status))
    }
}
