//! Commands of the operator's, through `sh -c`.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::cluster::Leader;
use super::report::CommandRun;

/// What of a command's output is kept, bytes.
const OUTPUT_MAX: u64 = 4096;

/// A command's process group; killed with this value unless it ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // it may have ended in this moment: then there is nothing to kill
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs a command, and says how it went: its exit code, 128 and more for a signal, none where it did not start or took
/// longer than `limit`. In a process group of its own, so that Ctrl-C at the terminal is ours alone; what it leaves
/// running in the background lives on.
pub async fn run(what: &str, command: &str, leader: &Leader, limit: Duration) -> CommandRun {
    let begun = Instant::now();
    let (exit_code, output) = match attempt(command, leader, limit).await {
        Ok(done) => done,
        Err(error) => (None, error.to_string()),
    };
    CommandRun {
        what: what.to_owned(),
        command: command.to_owned(),
        exit_code,
        took_ms: super::measure::ms(begun.elapsed()),
        output,
    }
}

async fn attempt(command: &str, leader: &Leader, limit: Duration) -> std::io::Result<(Option<i32>, String)> {
    // a file, no pipe: who is left in the background would hold a pipe open, and reading it would never end
    let mut output = tempfile::tempfile()?;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).envs(leader.environment()).process_group(0);
    shell.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let mut child: Child = shell.spawn()?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(pid);
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let mut text = String::new();
    let status = match ended {
        Ok(status) => {
            group.0 = None;
            Some(status?)
        }
        Err(_) => {
            text = format!("no end within {} s: killed\n", limit.as_secs());
            drop(group);
            child.wait().await?;
            None
        }
    };
    let length = output.seek(SeekFrom::End(0))?;
    output.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_MAX)))?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    text.push_str(String::from_utf8_lossy(&bytes).trim());
    let code = status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
    Ok((code, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader() -> Leader {
        Leader { node_id: 2, term: 5, client: "[::1]:7104".into(), peer: "h:7105".into(), admin: "h:7106".into() }
    }

    async fn sh(command: &str, limit: Duration) -> CommandRun {
        run("cut", command, &leader(), limit).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_knows_the_leader_and_says_how_it_ended() {
        let done = sh("echo $KHO_LEADER_ID $KHO_LEADER_ADDRESS $KHO_LEADER_HOST; echo x >&2; exit 3", LONG).await;
        assert_eq!((done.exit_code, done.output.as_str()), (Some(3), "2 [::1]:7104 ::1\nx"));
        assert_eq!(sh("kill -9 $$", LONG).await.exit_code, Some(137));
        assert!(sh("no-such-command-here", LONG).await.output.contains("not found"));
    }

    #[tokio::test]
    async fn who_stays_in_the_background_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("late");
        let done = sh(&format!("(sleep 0.5; touch {}) & echo started", file.display()), LONG).await;
        assert_eq!((done.exit_code, done.output.as_str(), file.exists()), (Some(0), "started", false));
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let done = sh(&format!("sleep 600 & echo $! > {}; wait", pid.display()), Duration::from_secs(1)).await;
        assert_eq!(done.exit_code, None);
        assert!(done.output.contains("killed"), "{}", done.output);
        gone(&pid).await;
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_any_more_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let command = format!("echo $$ > {}; sleep 600", pid.display());
        let started = async {
            while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = sh(&command, LONG) => panic!("it sleeps"),
            () = started => {}
        }
        gone(&pid).await;
    }

    /// Gone, or dead and not yet buried.
    async fn gone(pid: &std::path::Path) {
        let pid = std::fs::read_to_string(pid).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        while !state().is_empty() && !state().contains(") Z") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
