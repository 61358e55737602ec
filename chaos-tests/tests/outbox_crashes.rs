//! The outbox's crash test: a service that adds records and delivers them to a real cluster is killed, or loses its power,
//! between any two of its steps and at random moments, again and again. What it acknowledged is written down here, and
//! in the end is in the cluster exactly once with a receipt that verifies, or refused with the code that it must have;
//! each series in its order. R-D1, I1, I2, I4.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::invariants::{Acknowledged, exactly_once, must_hold};
use kho_chaos_tests::outbox::{Account, Child, EARLY, Ended, Fault};
use kho_chaos_tests::rig::Rig;
use kho_chaos_tests::seed::number;
use kho_chaos_tests::skip;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Kills, unless `KHO_OUTBOX_KILLS` says otherwise.
const KILLS: u64 = 12;
/// Power cuts, unless `KHO_OUTBOX_CUTS` says otherwise.
const CUTS: u64 = 6;
/// Lives of one outbox; then it is drained and judged, and the next one begins with none.
const LIVES: u64 = 12;
/// Lives between two looks inside: a child usually meets the disk as the last one left it.
const LOOK: u64 = 4;
/// Records that a life is given.
const RECORDS: std::ops::RangeInclusive<usize> = 1..=8;
const SEED: u64 = 0x0b0c_5e1f;
const OWN: &str = env!("CARGO_BIN_EXE_outbox-child");

/// How the lives end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Kill,
    Power,
}

/// What a run came to.
#[derive(Default)]
struct Sum {
    faults: BTreeMap<String, u64>,
    elsewhere: u64,
    acknowledged: usize,
    refused: usize,
    delivered: Vec<Acknowledged>,
}

/// One outbox, from its first life to its judgement.
struct Spool<'a> {
    rig: &'a Rig,
    /// What its power goes through.
    disk: Option<Disk>,
    dir: PathBuf,
    name: String,
    account: Account,
    client: kho_client::Client,
    environment: &'a [(&'a str, &'a str)],
}

impl<'a> Spool<'a> {
    fn new(rig: &'a Rig, name: String, by: By, environment: &'a [(&'a str, &'a str)]) -> Result<Self> {
        let top = rig.path().join(&name);
        let disk = match by {
            By::Kill => None,
            By::Power => Some(Disk::create(&rig.path().join(format!("{name}.img")), &top)?),
        };
        let client = rig.cluster.client()?;
        Ok(Self { rig, disk, dir: top.join("spool/outbox"), name, account: Account::default(), client, environment })
    }

    fn client_file(&self) -> PathBuf {
        self.rig.cluster.layout().client_file()
    }

    /// A life, to its end. False: it did not come where it was to die.
    async fn live(&mut self, fault: Fault, random: &mut StdRng) -> Result<bool> {
        let signal = if self.disk.is_some() { "stop" } else { "kill" };
        let count = random.random_range(RECORDS);
        let frames = self.account.next(&self.name, count, random, (&self.rig.senders, &self.client)).await?;
        let mut child =
            Child::start(OWN.as_ref(), &self.dir, &self.client_file(), Some((signal, fault)), self.environment)?;
        // refused ones are queued again now and then: where one is to die there, always
        if random.random_ratio(1, 5) || matches!(fault, Fault::At(step, _) if step.as_str() == "retrying") {
            child.give(&[]);
        }
        frames.iter().for_each(|frame| child.give(frame));
        let ended = child.meet(fault, signal)?;
        if let Some(disk) = &self.disk {
            // it is stopped: what it hears of no disk any more, nobody hears
            disks::lose_power(&[disk]).await?;
        }
        self.account.heard(&child.bury()?);
        if let Some(disk) = &self.disk {
            disk.remount()?;
        }
        Ok(ended == Ended::AsPlanned)
    }

    /// Its last life ends in peace; then all of it is judged.
    async fn settle(mut self, sum: &mut Sum, random: &mut StdRng) -> Result<()> {
        // held against the account before the last life could add again what was lost
        if self.account.acknowledged() > 0 {
            self.account.check_held(&self.dir)?;
        }
        let frames = self.account.next(&self.name, 1, random, (&self.rig.senders, &self.client)).await?;
        let child = Child::start(OWN.as_ref(), &self.dir, &self.client_file(), None, &[])?;
        frames.iter().for_each(|frame| child.give(frame));
        self.account.heard(&child.drained()?);
        let tally = self.account.check_settled(&self.dir).await?;
        let acknowledged = self.account.acknowledged();
        ensure!(
            acknowledged == tally.delivered.len() + tally.refused,
            "{acknowledged} acknowledged, {} delivered, {} refused",
            tally.delivered.len(),
            tally.refused
        );
        sum.acknowledged += acknowledged;
        sum.refused += tally.refused;
        sum.delivered.extend(tally.delivered);
        let top = self.dir.ancestors().nth(2).context("below the rig")?.to_owned();
        match self.disk.take() {
            Some(disk) => {
                drop(disk);
                std::fs::remove_file(self.rig.path().join(format!("{}.img", self.name)))?;
            }
            None => std::fs::remove_dir_all(top)?,
        }
        Ok(())
    }
}

async fn attack(rig: &Rig, by: By, lives: u64, seed: u64, environment: &[(&str, &str)]) -> Result<Sum> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sum = Sum::default();
    let mut left = lives;
    for outbox in 0.. {
        if left == 0 {
            break;
        }
        let mut spool = Spool::new(rig, format!("spool{outbox}"), by, environment)?;
        for life in 0..LIVES.min(left) {
            let fresh = !spool.dir.join("outbox.redb").exists();
            let fault = Fault::draw(&mut random, fresh);
            let as_planned = spool.live(fault, &mut random).await.with_context(|| format!("life {life}, {fault:?}"))?;
            sum.elsewhere += u64::from(!as_planned);
            *sum.faults.entry(if as_planned { fault.name() } else { "any moment".to_owned() }).or_default() += 1;
            if life % LOOK == LOOK - 1 && spool.account.acknowledged() > 0 {
                spool.account.check_held(&spool.dir).with_context(|| format!("after life {life}, {fault:?}"))?;
            }
        }
        left -= LIVES.min(left);
        spool.settle(&mut sum, &mut random).await?;
    }
    Ok(sum)
}

/// The cluster's side of it: every delivered record is there, once, and nothing else is.
async fn judge(rig: &mut Rig, sum: &Sum) -> Result<()> {
    let (size, _) = rig.cluster.wait_equal().await?;
    must_hold(exactly_once::no_other_leaf(size, &sum.delivered));
    must_hold(exactly_once::one_leaf_each(rig.key(), &sum.delivered));
    rig.check_receipts(&sum.delivered);
    rig.check_durable(&sum.delivered).await?;
    rig.check_exactly_once(&sum.delivered, &sum.delivered).await
}

fn on_a_cluster(work: impl AsyncFnOnce(&mut Rig, u64) -> Result<()>) -> Result<()> {
    let seed = number("KHO_SEED", SEED)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut rig = Rig::create("outbox", seed, toml::Table::new())?;
        rig.launch().await?;
        work(&mut rig, seed).await?;
        rig.finish().await
    })
}

fn run(by: By, lives: u64) -> Result<()> {
    on_a_cluster(async |rig, seed| {
        let begun = Instant::now();
        let sum = attack(rig, by, lives, seed, &[]).await?;
        judge(rig, &sum).await?;
        let what = if by == By::Kill { "kills" } else { "power cuts" };
        println!(
            "outbox: {lives} {what} (seed {seed:#x}, {} s): {} records acknowledged = {} in the cluster once each with a \
             receipt that verifies + {} refused with their code; nothing lost, nothing twice",
            begun.elapsed().as_secs(),
            sum.acknowledged,
            sum.delivered.len(),
            sum.refused
        );
        println!("outbox: {what} by step: {:?}; {} of them did not come to their step", sum.faults, sum.elsewhere);
        Ok(())
    })
}

#[test]
fn killed_between_any_two_steps() -> Result<()> {
    run(By::Kill, number("KHO_OUTBOX_KILLS", KILLS)?)
}

#[test]
fn its_power_cut_between_any_two_steps() -> Result<()> {
    let cuts = number("KHO_OUTBOX_CUTS", CUTS)?;
    if cuts == 0 || !skip::can_run("outbox_crashes: power", true, disks::TOOLS) {
        return Ok(());
    }
    let probe = tempfile::tempdir_in(Path::new(OWN).ancestors().nth(2).context("a build directory")?)?;
    if let Err(error) = Disk::create(&probe.path().join("disk.img"), &probe.path().join("disk")) {
        skip::skip("outbox_crashes: power", &format!("no loop-mounted ext4 here: {error:#}"));
        return Ok(());
    }
    run(By::Power, cuts)
}

/// The test can fail: a service that says what is not so.
#[test]
fn who_acknowledges_before_it_is_durable_is_caught() -> Result<()> {
    on_a_cluster(async |rig, seed| {
        let caught = attack(rig, By::Kill, 60, seed, &[(EARLY, "1")]).await.err();
        let caught = caught.context("a record was acknowledged that the outbox never had, and nobody noticed")?;
        ensure!(format!("{caught:#}").contains("lost: record"), "{caught:#}");
        println!("outbox: caught: {caught:#}");
        Ok(())
    })
}
