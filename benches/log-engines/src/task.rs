//! What a process with an engine is told to do, as one argument, and what it says.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::account::{Found, Seen, Step};
use crate::engine::{LogEngine, LogId, Open, Sizes};
use crate::{body, live, measure, usage};

pub use crate::measure::{Outcome, Plan};

/// What to do, with which engine, where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Name of the engine.
    pub engine: String,
    /// The log's directory; it exists.
    pub dir: PathBuf,
    /// How it is opened.
    pub sizes: Sizes,
    /// What to do.
    pub what: What,
}

/// What there is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum What {
    /// Appends one entry after the other; says an [`Outcome`].
    Measure(Plan),
    /// Appends entries, says [`WRITTEN`], and waits to be killed.
    Write {
        /// So many.
        entries: u64,
        /// Bytes of each.
        length: usize,
        /// So many in one write.
        together: u64,
    },
    /// Opens the log; says a [`Looked`].
    Look {
        /// Bytes of each entry; none: of the size that its place says.
        length: Option<usize>,
        /// Whether all entries are read.
        read: bool,
    },
    /// Shows what is there and goes on from there, step after step, until it is killed; says [`Said`].
    Live {
        /// Draws the steps.
        seed: u64,
        /// Entries are of terms above it.
        term: u64,
    },
}

/// Said when all is written.
pub const WRITTEN: &str = "written";

/// What opening a log, and reading it, came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Looked {
    /// Why it did not open.
    pub refused: Option<String>,
    /// Why reading ended early.
    pub error: Option<String>,
    /// What was read.
    pub found: Found,
    /// Time until it was open and its last entry known, µs.
    pub open_us: u64,
    /// Most memory the process held until then, KiB.
    pub peak_kib: u64,
}

/// What a process says that lives until its power is cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Said {
    /// It does not open, and why.
    Refused(String),
    /// What it found.
    Found(Found),
    /// Begins with a step.
    Will(Step),
    /// The step is on the disk.
    Did,
}

/// Carries out the task in `argument` with one of `engines`.
pub fn run(argument: &str, engines: &[(&str, Open)]) -> Result<()> {
    let task: Task = serde_json::from_str(argument)?;
    let known = engines.iter().find(|(name, _)| *name == task.engine);
    let (_, open) = known.with_context(|| format!("no engine {:?} here", task.engine))?;
    let open = || open(&task.dir, task.sizes);
    match task.what {
        What::Measure(plan) => say(&measure::run(open()?, &task.dir, &plan)?),
        What::Write { entries, length, together } => {
            write(&mut *open()?, entries, length, together)?;
            println!("{WRITTEN}");
            wait()
        }
        What::Look { length, read } => say(&look(open, length, read)?),
        What::Live { seed, term } => match open() {
            Ok(log) => live::run(log, seed, term),
            Err(error) => say(&Said::Refused(format!("{error:#}"))),
        },
    }
}

/// A line, at once.
pub(crate) fn say(what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(std::io::stdout().lock().write_all(&line)?)
}

fn wait() -> Result<()> {
    loop {
        std::thread::park();
    }
}

fn write(log: &mut dyn LogEngine, entries: u64, length: usize, together: u64) -> Result<()> {
    let mut last = LogId { term: 1, index: 0 };
    while last.index < entries {
        let committed = (last.index > 0).then_some(last);
        let end = (last.index + together).min(entries);
        let batch: Vec<_> =
            (last.index + 1..=end).map(|index| body::entry(LogId { term: 1, index }, Some(length))).collect();
        log.append(&batch, committed)?;
        last.index = end;
    }
    Ok(())
}

pub(crate) fn found(log: &mut dyn LogEngine, length: Option<usize>) -> (Found, Result<()>) {
    let mut found = Found::default();
    let read = log.meta().and_then(|meta| {
        found.meta = meta;
        log.each(&mut |entry| {
            found.entries.push(Seen { id: entry.id, intact: body::is_intact(&entry, length) });
        })
    });
    (found, read)
}

fn look(open: impl Fn() -> Result<Box<dyn LogEngine>>, length: Option<usize>, read: bool) -> Result<Looked> {
    let begun = Instant::now();
    let mut log = match open() {
        Ok(log) => log,
        Err(error) => return Ok(Looked { refused: Some(format!("{error:#}")), ..Looked::default() }),
    };
    let mut looked = Looked { open_us: begun.elapsed().as_micros() as u64, ..Looked::default() };
    looked.peak_kib = usage::peak_kib()?;
    if read {
        let (found, result) = found(&mut *log, length);
        looked.found = found;
        looked.error = result.err().map(|error| format!("{error:#}"));
    }
    Ok(looked)
}

/// For the main function of a process: its one argument.
pub fn argument() -> Result<String> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(task), None) => Ok(task),
        _ => bail!("expected one argument, a task as JSON: benches/log-engines.sh starts this"),
    }
}
