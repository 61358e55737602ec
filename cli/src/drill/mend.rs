//! What a drill broke is mended, whatever else happens: at its time, or at the end, or when Ctrl-C arrives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kho_proto::error::{Code, Refusal};

use super::args::Fault;
use super::cluster::Leader;
use super::report::CommandRun;
use super::shell;
use crate::exit::{Exit, Failure, Result};

/// How often the command is tried.
const TRIES: usize = 3;
/// Between tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Mends once what was broken.
pub struct Mender {
    command: Option<(&'static str, String)>,
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whom the fault hits, while it is not mended.
    broken: Option<Leader>,
    runs: Vec<CommandRun>,
}

impl Mender {
    /// With the fault's command.
    pub fn new(fault: &Fault) -> Self {
        let command = fault.mends().map(|(what, command)| (what, command.to_owned()));
        Self { command, limit: fault.command_timeout(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there is something to mend: said before it is broken.
    pub fn arm(&self, leader: &Leader) {
        if self.command.is_some() {
            self.state().broken = Some(leader.clone());
        }
    }

    /// Mends, unless it was done. Safe to drop half-way and to ask again.
    pub async fn mend(&self) -> Result {
        let Some((what, command)) = &self.command else { return Ok(()) };
        for attempt in 0..TRIES {
            let Some(leader) = self.state().broken.clone() else { return Ok(()) };
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            eprintln!("{what}: {command}");
            let run = shell::run(what, command, &leader, self.limit).await;
            let good = run.exit_code == Some(0);
            if !good {
                eprintln!("{what} failed ({}): {}", ended(&run), run.output);
            }
            let mut state = self.state();
            state.runs.push(run);
            if good {
                state.broken = None;
            }
        }
        let Some(leader) = self.state().broken.clone() else { return Ok(()) };
        let variables = leader.environment().map(|(name, value)| format!("{name}={value}")).join(" ");
        let message =
            format!("the {what} command failed {TRIES} times; run it by hand now: {variables} sh -c '{command}'");
        Err(Failure::coded(Exit::NotHealed, Refusal::new(Code::DrillNotHealed, message)))
    }

    /// All attempts.
    pub fn runs(&self) -> Vec<CommandRun> {
        self.state().runs.clone()
    }
}

/// How a command ended, for people.
pub fn ended(run: &CommandRun) -> String {
    run.exit_code.map_or_else(|| "it did not end by itself".to_owned(), |code| format!("exit code {code}"))
}

#[cfg(test)]
mod tests {
    use super::super::args::Commands;
    use super::*;

    fn isolate(heal: String) -> Mender {
        let times = Commands { outage: 1, command_timeout: 10 };
        Mender::new(&Fault::Isolate { cut: "true".to_owned(), heal, times })
    }

    fn leader() -> Leader {
        super::super::cluster::tests::healthy().lead().unwrap()
    }

    #[tokio::test]
    async fn what_was_not_broken_is_not_mended_and_what_was_is_mended_once() {
        let dir = tempfile::tempdir().unwrap();
        let mender = isolate(format!("echo x >> {}", dir.path().join("healed").display()));
        mender.mend().await.unwrap();
        assert!(!dir.path().join("healed").exists());
        mender.arm(&leader());
        mender.mend().await.unwrap();
        mender.mend().await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("healed")).unwrap(), "x\n");
        assert_eq!(mender.runs().len(), 1);
    }

    #[tokio::test]
    async fn a_failing_command_is_tried_again_and_then_said_aloud() {
        let dir = tempfile::tempdir().unwrap();
        let (file, counted) = (dir.path().join("tries"), dir.path().join("tries"));
        let mender = isolate(format!("echo x >> {}; [ $(wc -l < {0}) = 2 ]", file.display()));
        mender.arm(&leader());
        mender.mend().await.unwrap();
        assert_eq!(std::fs::read_to_string(counted).unwrap().lines().count(), 2);
        let hopeless = isolate("exit 7".to_owned());
        hopeless.arm(&leader());
        let failure = hopeless.mend().await.unwrap_err();
        assert_eq!(failure.exit(), Exit::NotHealed as u8);
        assert!(format!("{failure:?}").contains("sh -c 'exit 7'"), "{failure:?}");
        assert_eq!(hopeless.runs().len(), TRIES);
    }

    #[tokio::test]
    async fn one_that_is_interrupted_is_mended_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("healed");
        // slow the first time
        let mender = isolate(format!("[ -e {0}.2 ] || {{ touch {0}.2; sleep 600; }}; touch {0}", file.display()));
        mender.arm(&leader());
        tokio::select! {
            _ = mender.mend() => panic!("it sleeps"),
            () = async { while !file.with_extension("2").exists() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
        }
        mender.mend().await.unwrap();
        assert!(file.exists());
    }
}
