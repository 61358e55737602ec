//! SIGKILL: at any time, before a system call, to all at once.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kho::dev::Error;
use rustix::process::Signal;

use super::processes::{PATIENCE, Processes};
use super::schedule::Victim;
use crate::kill_points::Call;

impl Processes<'_> {
    pub(super) async fn kill(&mut self, victim: Victim, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let status = self.cluster.kill(place.node)?;
        tokio::time::sleep(lasts).await;
        self.cluster.start(place.node)?;
        self.report.proven(began, "kill", &place.machine.name, format!("node {} ended: {status}", place.node));
        Ok(())
    }

    pub(super) async fn kill_at(&mut self, victim: Victim, call: Call, lasts: Duration) -> Result<()> {
        let (began, place) = (self.report.now_ms(), self.board.resolve(victim));
        let (fault, machine, node) = ("kill_at", &place.machine.name, place.node);
        let pid = self.cluster.pid(node).context("it runs")?;
        let layout = self.cluster.layout();
        let trace = layout.dir().join(format!("strace-{began}"));
        let armed = call.arm(pid, &layout.data_dir(node), &trace).await?;
        let status = match self.cluster.wait_ended(node, PATIENCE).await {
            Ok(status) => status,
            Err(Error::Timeout { .. }) => {
                // cut off by another fault, it has nothing to write
                armed.let_go().await?;
                self.report.not_done(began, fault, machine, format!("node {node} never came to {call}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "node {node} ended by itself: {status}");
        let proof = armed.died().await?;
        tokio::time::sleep(lasts).await;
        self.cluster.start(node)?;
        self.report.proven(began, fault, machine, format!("node {node} ended {proof}: {status}"));
        Ok(())
    }

    pub(super) async fn kill_all(&mut self, lasts: Duration) -> Result<()> {
        let began = self.report.now_ms();
        // an error unless each of them ended by it
        self.cluster.kill_all()?;
        tokio::time::sleep(lasts).await;
        self.cluster.start_all()?;
        self.report.proven(began, "kill_all", "all", "all ended: signal 9".to_owned());
        Ok(())
    }
}
