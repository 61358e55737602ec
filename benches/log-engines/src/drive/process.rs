//! Processes with an engine.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use kho_log_engines::engine::Sizes;
use kho_log_engines::task::{Task, WRITTEN, What};
use serde::de::DeserializeOwned;

use crate::Common;

/// The command of a task: RocksDB's process is this program.
pub fn command(common: &Common, task: &Task) -> Result<Command> {
    let own = task.engine.starts_with("rocksdb");
    let program = if own { std::env::current_exe()? } else { common.others.clone() };
    let mut command = Command::new(program);
    command.arg(serde_json::to_string(task)?).stdin(Stdio::null()).stdout(Stdio::piped());
    // errors are told in one line
    command.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    Ok(command)
}

/// A task.
pub fn task(engine: &str, dir: &Path, file_bytes: Option<u64>, what: What) -> Task {
    Task { engine: engine.to_owned(), dir: dir.to_owned(), sizes: Sizes { file_bytes }, what }
}

/// What a process says that ends by itself.
pub fn answer<T: DeserializeOwned>(mut command: Command) -> Result<T> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// Writes a log and kills its process: nothing is closed.
pub fn write_and_kill(common: &Common, task: &Task) -> Result<()> {
    let mut child = command(common, task)?.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let said = lines.next().transpose()?;
    end(&mut child)?;
    if said.as_deref() != Some(WRITTEN) {
        bail!("{}: expected {WRITTEN:?}, found {said:?}", task.engine);
    }
    Ok(())
}

/// Kills it.
pub fn end(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Lines of a process as they come.
pub fn lines(stdout: ChildStdout) -> impl Iterator<Item = std::io::Result<String>> + Send {
    BufReader::new(stdout).lines()
}

/// A new, durably empty directory of this name in `parent`.
pub fn fresh(parent: &Path, name: &str) -> Result<PathBuf> {
    let dir = parent.join(name.replace('/', "-"));
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    File::open(parent)?.sync_all()?;
    Ok(dir)
}
