//! A log in use on a disk whose power is cut, again and again; what is there afterwards is held against what was
//! acknowledged through a pipe. And the same on a process whose syncs do nothing, which must be caught.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::skip;
use kho_log_engines::account::{Account, Step};
use kho_log_engines::body::Chance;
use kho_log_engines::task::{Said, What};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde_json::{Value, json};

use super::process::{command, end, fresh, lines, task};
use super::table::table;
use crate::Common;

/// Files are small, so that all begin new ones often.
const FILE_BYTES: u64 = 1 << 20;
/// Steps before a cut.
const STEPS: std::ops::Range<u64> = 10..120;
/// Moments between the last of them and the cut: it meets steps at any point.
const MOMENT_US_MAX: u64 = 6_000;
/// A step takes no longer, or the process hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Terms of a life begin above those of the one before.
const TERMS_OF_A_LIFE: u64 = 1_000;
/// Cuts within which a process whose syncs do nothing must be caught.
const CONTROL_CYCLES: u64 = 5;

/// How often.
#[derive(Args)]
pub struct Arguments {
    /// Cuts of each engine.
    #[arg(long, default_value_t = 30)]
    cycles: u64,
    /// Engines that may be caught: it is said, and no error.
    #[arg(long, value_delimiter = ',', default_value = "raft-engine/absolute")]
    may_fail: Vec<String>,
}

/// What came of an engine.
#[derive(Debug, Clone, Default, Serialize)]
struct Verdict {
    engine: String,
    cuts: u64,
    steps: u64,
    /// Steps that were under way at a cut.
    under_way: u64,
    entries_found: u64,
    breach: Option<String>,
}

/// Cuts, judges, prints.
pub fn run(common: &Common, arguments: &Arguments) -> Result<Value> {
    if !skip::can_run("log-engines power", true, disks::TOOLS) {
        return Ok(Value::Null);
    }
    let forget = forget_syncs(&common.dir)?;
    let mut heads = table(&["engine", "cuts", "steps acknowledged", "under way at a cut", "verdict"]);
    let (mut honest, mut controls, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for engine in &common.engines {
        let verdict = cycles(common, engine, arguments.cycles, None)?;
        let said = verdict.breach.clone().unwrap_or_else(|| "all is there".to_owned());
        heads.add_row([
            engine.clone(),
            verdict.cuts.to_string(),
            verdict.steps.to_string(),
            verdict.under_way.to_string(),
            said.clone(),
        ]);
        if verdict.breach.is_some() && !arguments.may_fail.contains(engine) {
            wrong.push(format!("{engine}: {said}"));
        }
        honest.push(verdict);
        let control = cycles(common, engine, CONTROL_CYCLES, Some(&forget))?;
        let caught = control.breach.clone().unwrap_or_else(|| "NOT CAUGHT".to_owned());
        heads.add_row([
            format!("{engine}, its syncs do nothing"),
            control.cuts.to_string(),
            control.steps.to_string(),
            control.under_way.to_string(),
            format!("caught: {caught}"),
        ]);
        if control.breach.is_none() {
            wrong.push(format!("{engine} whose syncs do nothing was not caught: this proves nothing"));
        }
        controls.push(control);
    }
    println!("{heads}");
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(json!({"power": honest, "controls": controls}))
}

/// The library that makes syncs do nothing.
fn forget_syncs(dir: &Path) -> Result<PathBuf> {
    let library = std::path::absolute(dir)?.join("forget_syncs.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chaos-tests/disks/forget_syncs.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status()?;
    ensure!(built.success(), "cc: {built}");
    Ok(library)
}

/// A process whose log is in use.
struct Life {
    child: Child,
    said: Receiver<Result<Said>>,
    account: Account,
    pending: Option<Step>,
    steps: u64,
}

impl Life {
    fn begin(mut command: Command) -> Result<Self> {
        let mut child = command.spawn()?;
        let lines = lines(child.stdout.take().context("stdout")?);
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in lines {
                let said = line.map_err(Into::into).and_then(|line| Ok(serde_json::from_str(&line)?));
                if tell.send(said).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, said, account: Account::default(), pending: None, steps: 0 })
    }

    /// None: it ended.
    fn next(&self) -> Result<Option<Said>> {
        match self.said.recv_timeout(PATIENCE) {
            Ok(said) => said.map(Some),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("nothing was said for {PATIENCE:?}"),
        }
    }

    fn hear(&mut self, said: Said) -> Result<()> {
        match (said, self.pending) {
            (Said::Will(step), None) => self.pending = Some(step),
            (Said::Did, Some(step)) => {
                self.account.take(&step);
                self.pending = None;
                self.steps += 1;
            }
            (said, pending) => bail!("expected a step to begin or to end, found {said:?} with {pending:?} under way"),
        }
        Ok(())
    }

    /// Takes so many steps, and what comes within a moment more.
    fn go_on(&mut self, steps: u64, moment: Duration) -> Result<()> {
        while self.steps < steps {
            let said = self.next()?.context("it ended by itself")?;
            self.hear(said)?;
        }
        std::thread::sleep(moment);
        Ok(())
    }

    /// Its power is cut, and comes back. Power ends a machine's thoughts and its disk's at one instant: it stands still
    /// when its disk goes, and what it said until then counts.
    fn cut(mut self, disk: &Disk) -> Result<(Account, Option<Step>, u64)> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(disks::lose_power(&[disk]))?;
        end(&mut self.child)?;
        while let Some(said) = self.next()? {
            self.hear(said)?;
        }
        disk.remount()?;
        Ok((std::mem::take(&mut self.account), self.pending, self.steps))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // ended already, unless something went wrong
        let _ = end(&mut self.child);
    }
}

fn cycles(common: &Common, engine: &str, cycles: u64, preload: Option<&Path>) -> Result<Verdict> {
    let place = tempfile::tempdir_in(&common.dir)?;
    let disk = Disk::create(&place.path().join("image"), &place.path().join("disk"))?;
    let dir = fresh(disk.path(), "log")?;
    let mut chance = Chance::new(common.seed);
    let (mut account, mut pending) = (Account::default(), None);
    let mut verdict = Verdict { engine: engine.to_owned(), ..Verdict::default() };
    for cycle in 0..=cycles {
        let what = What::Live { seed: chance.draw(), term: cycle * TERMS_OF_A_LIFE };
        let mut command = command(common, &task(engine, &dir, Some(FILE_BYTES), what))?;
        command.envs(preload.map(|library| ("LD_PRELOAD", library)));
        let mut life = Life::begin(command)?;
        let again = format!("--seed {} --engines {engine}, after cut {cycle}", common.seed);
        let found = match life.next().with_context(|| again.clone())? {
            Some(Said::Found(found)) => found,
            Some(Said::Refused(reason)) => {
                verdict.breach = Some(format!("after cut {cycle}: does not open: {reason}"));
                break;
            }
            other => {
                verdict.breach = Some(format!("after cut {cycle}: does not open: {other:?}"));
                break;
            }
        };
        verdict.entries_found += found.entries.len() as u64;
        if let Err(breach) = account.judge(pending.as_ref(), &found) {
            verdict.breach = Some(format!("after cut {cycle}: {breach}"));
            break;
        }
        if cycle == cycles {
            break;
        }
        life.account = Account::of(&found);
        let steps = STEPS.start + chance.below(STEPS.end - STEPS.start);
        let moment = Duration::from_micros(chance.below(MOMENT_US_MAX));
        life.go_on(steps, moment).with_context(|| again.clone())?;
        let told;
        (account, pending, told) = life.cut(&disk).with_context(|| again)?;
        verdict.cuts += 1;
        verdict.steps += told;
        verdict.under_way += u64::from(pending.is_some());
    }
    drop(disk);
    Ok(verdict)
}
