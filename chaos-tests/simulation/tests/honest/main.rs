//! The fake of the simulation is kept honest: random operations run on it and on RocksDB, on an ext4 whose power is cut and
//! in processes that are killed. What they read must be the same, and what a crash leaves of the engine must be something
//! that it may leave of the fake, for each database by itself. `KHO_SEED`, `KHO_SEEDS`, `KHO_CRASHES`.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

mod engine;
mod fake;
mod operations;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::seed::number;
use kho_chaos_tests::skip;

use self::engine::{Course, Process};
use self::fake::{Base, Fake, Shown, explain};
use self::operations::{Crash, DATABASES, Operation};

const SEED: u64 = 0x515;
const SEEDS: u64 = 4;
/// Of a seed: some kills, and cuts of the power.
const CRASHES: u64 = 7;
/// Seeds in which a planted dishonesty must show.
const PLANTED: u64 = 3;

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    readings: usize,
    kills: usize,
    cuts: usize,
}

/// The databases' directory, durably empty.
fn empty(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let parent = dir.parent().context("a directory below another")?;
    Ok(File::open(parent)?.sync_all()?)
}

fn crash(process: Process, crash: Crash, disk: Option<&Disk>, tally: &mut Tally) -> Result<()> {
    if crash != Crash::Power {
        process.kill()?;
        tally.kills += 1;
        if crash == Crash::KillThenPower {
            cut(disk, || Ok(()), tally)?;
        }
        return Ok(());
    }
    cut(disk, || process.kill(), tally)
}

fn cut(disk: Option<&Disk>, kill: impl FnOnce() -> Result<()>, tally: &mut Tally) -> Result<()> {
    let disk = disk.context("power is cut on a disk of its own")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(disks::lose_power(&[disk]))?;
    kill()?;
    disk.remount()?;
    tally.cuts += 1;
    Ok(())
}

/// Runs a course on the engine and holds it against the fake. An error: they differ, and where.
fn compare(course: &Course, fake: Fake, disk: Option<&Disk>) -> Result<Tally> {
    empty(&course.dir)?;
    let mut tally = Tally::default();
    let mut bases: [Base; 2] = Default::default();
    let mut lives: [Vec<Shown>; 2] = Default::default();
    let mut process = Process::start(course)?;
    let steps = course.steps();
    for (at, (database, operation)) in steps.iter().enumerate() {
        let Operation::Crash(kind) = operation else {
            let what = process.run(at)?;
            tally.readings += 1;
            lives[*database].push(Shown { at, operation: operation.clone(), what });
            continue;
        };
        crash(process, *kind, disk, &mut tally)?;
        process = Process::start(course).with_context(|| format!("after {kind:?}, step {at}"))?;
        for (database, life) in lives.iter_mut().enumerate() {
            let what = process.rows(database)?;
            life.push(Shown { at, operation: operation.clone(), what });
        }
        // from what lost its power, only what is on disk goes on
        if kind.power() || at + 1 == steps.len() {
            for database in 0..DATABASES.len() {
                bases[database] = explain(fake, database, &bases[database], &lives[database])?;
                lives[database].clear();
            }
        }
    }
    process.kill()?;
    Ok(tally)
}

fn course(seed: u64, power: bool, dir: &Path) -> Result<Course> {
    let crashes = number("KHO_CRASHES", CRASHES)? as usize;
    Ok(Course { seed, crashes, power, dir: dir.join(format!("seed-{seed}")), preload: None })
}

/// A disk whose power can be cut; none: they can't be made here, which was said.
fn disk(test: &str, dir: &Path) -> Result<Option<Disk>> {
    if !skip::can_run(test, true, disks::TOOLS) {
        return Ok(None);
    }
    match Disk::create(&dir.join("image"), &dir.join("disk")) {
        Ok(disk) => Ok(Some(disk)),
        Err(error) => {
            skip::skip(test, &format!("no disk of its own: {error:#}"));
            Ok(None)
        }
    }
}

#[test]
fn what_a_killed_engine_leaves_the_fake_may_leave() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for seed in SEED..SEED + 3 {
        let tally =
            compare(&course(seed, false, dir.path())?, fake::honest, None).with_context(|| format!("seed {seed}"))?;
        println!("seed {seed}: {tally:?}");
        ensure!(tally.kills > 0 && tally.readings > 50, "nothing was compared: {tally:?}");
    }
    Ok(())
}

#[test]
fn a_fake_that_shows_something_else_is_caught() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let found = compare(&course(SEED, false, dir.path())?, fake::removes_nothing, None);
    let error = format!("{:#}", found.err().context("it was not caught")?);
    let differ = error.contains("shows something else") || error.contains("never leaves what the engine left");
    ensure!(differ, "caught for another reason: {error}");
    Ok(())
}

#[test]
fn what_an_engine_without_power_leaves_the_fake_may_leave() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(disk) = disk("honest", dir.path())? else { return Ok(()) };
    let (first, seeds) = (number("KHO_SEED", SEED)?, number("KHO_SEEDS", SEEDS)?);
    for seed in first..first + seeds {
        let again =
            || format!("KHO_SEED={seed} KHO_SEEDS=1 cargo test --workspace --test honest -- --nocapture without_power");
        let tally = compare(&course(seed, true, disk.path())?, fake::honest, Some(&disk)).with_context(again)?;
        println!("seed {seed}: {tally:?}");
        ensure!(tally.cuts > 0 && tally.readings > 50, "nothing was compared: {tally:?}");
    }
    Ok(())
}

#[test]
fn a_fake_that_keeps_what_was_not_synced_is_caught() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(disk) = disk("honest", dir.path())? else { return Ok(()) };
    must_differ(fake::keeps_all, None, &disk)
}

#[test]
fn an_engine_whose_syncs_do_nothing_is_caught() -> Result<()> {
    let dir = tempfile::tempdir()?;
    if !skip::can_run("honest", true, &["cc"]) {
        return Ok(());
    }
    let Some(disk) = disk("honest", dir.path())? else { return Ok(()) };
    let library = dir.path().join("forget_syncs.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../disks/forget_syncs.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status()?;
    ensure!(built.success(), "cc: {built}");
    must_differ(fake::honest, Some(&library), &disk)
}

/// Engine and fake differ in what a loss of power leaves, each time.
fn must_differ(fake: Fake, preload: Option<&Path>, disk: &Disk) -> Result<()> {
    for seed in SEED..SEED + PLANTED {
        let course = Course { preload: preload.map(Path::to_owned), ..course(seed, true, disk.path())? };
        let error =
            compare(&course, fake, Some(disk)).err().with_context(|| format!("seed {seed}: it was not caught"))?;
        let error = format!("{error:#}");
        println!("seed {seed}: {error}");
        let crashed = error.contains("never leaves what the engine left") || error.contains("does not open");
        ensure!(crashed && error.contains("Power"), "caught for another reason: {error}");
    }
    Ok(())
}
