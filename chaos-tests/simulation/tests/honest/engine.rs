//! RocksDB in a process of its own, which can be killed: it carries out one operation after the other as it is told, and
//! says what each showed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use kho_node::storage::Storage;
use kho_node::storage::rocks::{RocksStorage, Tuning};

use crate::operations::{DATABASES, Runner, Step, draw};

/// Name of the test that the process runs.
const INSIDE: &str = "inside_the_process_of_the_engine";
/// Set there: directory, seed, crashes, whether power may be cut.
const TOLD: [&str; 4] = ["KHO_KV_DIR", "KHO_KV_SEED", "KHO_KV_CRASHES", "KHO_KV_POWER"];
/// What stands before each answer: the test harness writes, too.
const MARK: &str = "kv: ";

/// What a seed decides, and where.
#[derive(Clone)]
pub struct Course {
    /// Draws everything.
    pub seed: u64,
    /// So many.
    pub crashes: usize,
    /// Whether the power may be cut.
    pub power: bool,
    /// Both databases lie here.
    pub dir: PathBuf,
    /// Preloaded into the process.
    pub preload: Option<PathBuf>,
}

impl Course {
    /// Its operations.
    pub fn steps(&self) -> Vec<Step> {
        draw(self.seed, self.crashes, self.power)
    }
}

/// A process with both databases open.
pub struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    /// Starts one; it has opened both databases.
    pub fn start(course: &Course) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", &format!("engine::{INSIDE}"), "--ignored", "--nocapture", "--quiet"]);
        let told = [
            course.dir.to_string_lossy().into_owned(),
            course.seed.to_string(),
            course.crashes.to_string(),
            course.power.to_string(),
        ];
        command.envs(TOLD.iter().zip(told));
        command.envs(course.preload.as_ref().map(|library| ("LD_PRELOAD", library)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let mut process = Self { child, to, from: BufReader::new(from) };
        let opened = process.answer()?;
        ensure!(opened == "open", "{opened}");
        Ok(process)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        while self.from.read_line(&mut line)? > 0 {
            if let Some((_, answer)) = line.trim_end().split_once(MARK) {
                return Ok(answer.to_owned());
            }
            line.clear();
        }
        bail!("the engine's process ended: {:?}", self.child.wait()?)
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.to, "{question}")?;
        self.to.flush()?;
        self.answer()
    }

    /// Has it carry out the nth operation; what that showed.
    pub fn run(&mut self, n: usize) -> Result<String> {
        self.ask(&format!("run {n}"))
    }

    /// Digest of all rows of a database.
    pub fn rows(&mut self, database: usize) -> Result<String> {
        self.ask(&format!("rows {database}"))
    }

    /// Kills it.
    pub fn kill(mut self) -> Result<()> {
        Ok(self.end()?)
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

/// Where a comparison ends early, nothing may hold files on its disk.
impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the engine's process is still there: {error}");
        }
    }
}

fn say(answer: &str) {
    println!("{MARK}{answer}");
}

#[test]
#[ignore = "the others run it in processes of its own"]
fn inside_the_process_of_the_engine() {
    let told = TOLD.map(|name| std::env::var(name).expect("started by one of the other tests"));
    let [dir, seed, crashes, power] = told;
    let steps = draw(seed.parse().unwrap(), crashes.parse().unwrap(), power.parse().unwrap());
    // small buffers are full soon, and flushed
    let tuning = Tuning { write_buffer_mib: 1, ..Tuning::default() };
    let storage: Arc<dyn Storage> = Arc::new(RocksStorage::new(tuning));
    let open = |database| Runner::open(Arc::clone(&storage), database, Path::new(&dir));
    let runners: Result<Vec<_>, _> = DATABASES.iter().map(open).collect();
    let mut runners = match runners {
        Ok(runners) => runners,
        Err(error) => return say(&format!("does not open: {error}")),
    };
    say("open");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (question, number) = line.split_once(' ').unwrap();
        let number: usize = number.parse().unwrap();
        let answer = match question {
            "run" => {
                let (database, operation) = &steps[number];
                runners[*database].run(operation)
            }
            _ => runners[number].rows(),
        };
        say(&answer.map_or_else(|error| error.to_string(), |digest| digest.to_string()));
    }
}
