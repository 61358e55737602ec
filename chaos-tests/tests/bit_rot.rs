//! Bytes of a node's files that change by themselves, in each kind of file. A damaged state is found, built anew from the
//! log or from another node, under the node's id; a damaged log, vote, identity or keyring is found, and the node refuses
//! to start and names the way out. Nothing wrong is ever served. R-A3, R-A5, R-C1; I1, I2, I4, I5, I12.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::stream::{self, StreamExt};
use kho::dev::{Error, NodeId};
use kho_chaos_tests::attack;
use kho_chaos_tests::invariants::Acknowledged;
use kho_chaos_tests::invariants::fail_stop::STORAGE_FAILED;
use kho_chaos_tests::load;
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::rot::{self, Rot};

const SEED: u64 = 0xb17;
const WORKERS: usize = 8;
/// Acknowledgements of one load.
const SOME: usize = 60;
/// A node that refuses to start has said so within this.
const REFUSAL_LIMIT: Duration = Duration::from_secs(20);
/// A node that builds its state anew has caught up within this.
const REBUILD_LIMIT: Duration = Duration::from_secs(60);
/// The log's high mark is a second behind, at most.
const TIDE: Duration = Duration::from_millis(2500);
const READS_AT_ONCE: usize = 16;
/// Documented exit code of a node that refuses to start (EX_CONFIG).
const REFUSED: i32 = 78;

const REPLACE: &str = "kho cluster replace";
/// File, damage, and what the refusal says besides its code.
const REFUSES: &[(&str, Rot, &str)] = &[
    ("logs/1/raft/*.log", Rot::Flip(300), REPLACE),
    ("logs/1/raft/*.log", Rot::Flip(999), REPLACE),
    ("logs/1/raft/*.log", Rot::Cut, REPLACE),
    ("logs/1/raft/*.sst", Rot::Flip(300), REPLACE),
    ("logs/1/raft/*.sst", Rot::Cut, REPLACE),
    ("logs/1/raft/MANIFEST-*", Rot::Flip(500), REPLACE),
    ("logs/1/raft/MANIFEST-*", Rot::Cut, REPLACE),
    ("logs/1/raft/CURRENT", Rot::Flip(500), REPLACE),
    ("identity", Rot::Flip(500), "identity"),
];
/// State and snapshots.
const HEALS: &[(&str, Rot)] = &[
    ("logs/1/state-*/*.sst", Rot::Flip(300)),
    ("logs/1/state-*/*.sst", Rot::Flip(900)),
    ("logs/1/state-*/*.sst", Rot::Cut),
    ("logs/1/state-*/MANIFEST-*", Rot::Flip(500)),
    ("logs/1/state-*/MANIFEST-*", Rot::Cut),
    ("logs/1/state-*/CURRENT", Rot::Flip(500)),
    ("logs/1/CURRENT", Rot::Flip(500)),
    ("logs/1/snapshots/*/db/MANIFEST-*", Rot::Flip(500)),
];

struct Case {
    rig: Rig,
    victim: NodeId,
    all: Vec<Acknowledged>,
}

impl Case {
    async fn new(name: &str) -> Result<Self> {
        let mut rig = Rig::create(name, SEED, toml::Table::new())?;
        let leader = rig.launch().await?;
        let victim = rig.cluster.nodes().find(|node| *node != leader).context("three nodes")?;
        Ok(Self { rig, victim, all: Vec::new() })
    }

    /// Some more records, known to all nodes.
    async fn load(&mut self) -> Result<()> {
        let (outcomes, ()) = attack::under_load(&mut self.rig, WORKERS, SOME, async |_, _| Ok(())).await?;
        let history = &self.rig.senders.history;
        self.all.extend(load::settle(&self.rig.cluster.client()?, history, &outcomes.unknown).await?);
        self.all.extend(outcomes.acknowledged);
        self.rig.cluster.wait_equal().await?;
        Ok(())
    }

    /// The victim puts its state on disk, and purges its log.
    async fn snapshot(&mut self) -> Result<()> {
        self.rig.cluster.admin(self.victim)?.trigger_snapshot().await?;
        Ok(())
    }

    fn damage(&self, pattern: &str, rot: Rot) -> Result<()> {
        let path = rot::damage(&self.rig.cluster.layout().data_dir(self.victim), pattern, rot)?;
        println!("{rot:?} in {}", path.strip_prefix(self.rig.path())?.display());
        Ok(())
    }

    fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.rig.cluster.layout().log_file(self.victim))?)
    }

    /// Starts the victim, which must refuse; what it says.
    async fn refused(&mut self) -> Result<String> {
        let before = self.log()?.len();
        self.rig.cluster.start(self.victim)?;
        let mut status = self.rig.cluster.wait_ended(self.victim, REFUSAL_LIMIT).await.context("it must not start")?;
        if status.code() == Some(STORAGE_FAILED) {
            // a table's block is read when it is needed, or by the scrub: then it ends, and does not start again
            println!("    ended with 74 when it met the damage");
            self.rig.cluster.start(self.victim)?;
            status = self.rig.cluster.wait_ended(self.victim, REFUSAL_LIMIT).await.context("it must not start")?;
        }
        let said = self.log()?.split_off(before);
        ensure!(status.code() == Some(REFUSED), "it ended with {status}: {said}");
        Ok(said)
    }

    /// Asks the victim for everything: right, or an error; whether there were errors.
    async fn read_all(&self) -> Result<bool> {
        let (client, history) = (self.rig.cluster.client_of(self.victim)?, &self.rig.senders.history);
        let client = &client;
        let reads = self.all.iter().map(|one| async move { (one, load::get(client, history, one).await) });
        let answers: Vec<_> = stream::iter(reads).buffer_unordered(READS_AT_ONCE).collect().await;
        let wrong = answers.iter().find(|(one, answer)| {
            answer.as_ref().is_ok_and(|found| found.header != one.record.header || found.payload != one.record.payload)
        });
        ensure!(wrong.is_none(), "a damaged node served another record than was acknowledged");
        Ok(answers.iter().any(|(_, answer)| answer.is_err()))
    }

    /// Whether the victim ended by itself, and how.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match self.rig.cluster.check_alive() {
            Ok(()) => Ok(None),
            Err(Error::Ended { node, status, .. }) if node == self.victim => Ok(Some(status)),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the victim until it has everything again; it may end with 74 once, when it reads what is damaged.
    async fn heal(&mut self) -> Result<()> {
        if !self.rig.cluster.is_running(self.victim) {
            self.rig.cluster.start(self.victim)?;
        }
        let end = Instant::now() + REBUILD_LIMIT;
        let mut ends = 0;
        loop {
            ensure!(Instant::now() < end, "not healed within {REBUILD_LIMIT:?}");
            let errors = self.read_all().await?;
            if let Some(status) = self.ended()? {
                ends += 1;
                ensure!(status.code() == Some(STORAGE_FAILED) && ends == 1, "end {ends}: {status}: {}", self.log()?);
                println!("    ended with 74 when it met the damage");
                self.rig.cluster.start(self.victim)?;
            } else if !errors {
                break;
            }
        }
        self.rig.cluster.wait_equal().await?;
        self.rig.check_durable(&self.all).await
    }

    async fn end(mut self) -> Result<()> {
        let all = std::mem::take(&mut self.all);
        self.rig.check_all(&all).await?;
        println!("{} records on every node", all.len());
        self.rig.finish().await
    }
}

fn run(body: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(body)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    let status = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

#[test]
fn a_damaged_log_identity_or_keyring_is_refused_and_names_the_way_out() -> Result<()> {
    run(async {
        let mut case = Case::new("rot-log").await?;
        case.load().await?;
        // so that the log stands in tables, and its newest part in the write-ahead log
        case.rig.cluster.terminate(case.victim).await?;
        case.rig.cluster.start(case.victim)?;
        case.rig.cluster.wait_ready().await?;
        case.load().await?;
        tokio::time::sleep(TIDE).await;
        case.rig.cluster.kill(case.victim)?;
        let data = case.rig.cluster.layout().data_dir(case.victim);
        let sound = case.rig.path().join("sound");
        copy(&data, &sound)?;
        for (pattern, rot, way_out) in REFUSES {
            case.damage(pattern, *rot)?;
            let said = case.refused().await?;
            ensure!(said.contains("[data-dir-damaged]") && said.contains(way_out), "{pattern} {rot:?}: it says {said}");
            copy(&sound, &data)?;
        }
        let keyring = case.rig.cluster.layout().keyring();
        let bytes = std::fs::read(&keyring)?;
        rot::damage(keyring.parent().context("a directory")?, "keyring", Rot::Flip(500))?;
        let said = case.refused().await?;
        ensure!(said.contains("[keyring-corrupt]"), "a damaged keyring: it says {said}");
        std::fs::write(&keyring, bytes)?;
        // without any damage it comes back: none of the refusals was about something else
        case.rig.cluster.start(case.victim)?;
        case.rig.cluster.wait_equal().await?;
        case.end().await
    })
}

#[test]
fn a_damaged_state_is_built_anew_from_the_log() -> Result<()> {
    run(async {
        let mut case = Case::new("rot-state").await?;
        for (pattern, rot) in [HEALS[0], HEALS[3], HEALS[6]] {
            case.load().await?;
            // in good order: the state is on disk, and the log is whole
            case.rig.cluster.terminate(case.victim).await?;
            case.damage(pattern, rot)?;
            case.heal().await?;
        }
        ensure!(case.log()?.contains("the state is built anew from the log"), "{}", case.log()?);
        case.end().await
    })
}

#[test]
fn a_damaged_state_is_fetched_from_another_node() -> Result<()> {
    run(async {
        let mut case = Case::new("rot-fetch").await?;
        for (pattern, rot) in HEALS {
            case.load().await?;
            case.snapshot().await?;
            case.load().await?;
            case.snapshot().await?;
            case.rig.cluster.kill(case.victim)?;
            case.damage(pattern, *rot)?;
            case.heal().await?;
        }
        let fetched = case.log()?.matches("the state was fetched from another node").count();
        // all but the snapshot, which is only made anew
        ensure!(fetched >= HEALS.len() - 2, "{fetched} of {} states were fetched", HEALS.len());
        println!("{fetched} states fetched");
        case.end().await
    })
}

/// While it runs: the first read that meets the damage ends the node, and the next start heals it.
#[test]
fn damage_that_a_read_meets_ends_the_node_and_the_next_start_heals_it() -> Result<()> {
    run(async {
        let mut case = Case::new("rot-read").await?;
        case.load().await?;
        case.snapshot().await?;
        case.damage("logs/1/state-*/*.sst", Rot::Flip(300))?;
        let end = Instant::now() + REFUSAL_LIMIT;
        let status = loop {
            case.read_all().await?;
            if let Some(status) = case.ended()? {
                break status;
            }
            if Instant::now() > end {
                bail!("all was read, and the damage was not met");
            }
        };
        ensure!(status.code() == Some(STORAGE_FAILED), "it ended with {status}");
        case.heal().await?;
        case.end().await
    })
}
