//! Syncs and bytes for the disk, counted from outside: the former by strace, in a run of its own since who is traced is slow;
//! the latter on a disk of its own, so that nobody else's count. What the kernel says of a process itself
//! (`/proc/self/io`) is no help: a page of a large folio that is written over there counts as all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use kho_chaos_tests::disks::{self, Disk};
use kho_chaos_tests::skip;
use kho_log_engines::task::{Outcome, Plan, What};
use serde::Serialize;
use serde_json::{Value, json};

use super::compare::{SIZES, plan};
use super::process::{answer, command, fresh, task};
use super::table::table;
use crate::Common;

/// Entries whose syncs are counted.
const SYNCED: u64 = 1_000;
/// System calls that make something durable.
const SYNCS: [&str; 4] = ["fsync", "fdatasync", "sync_file_range", "msync"];
/// What the kernel counts in, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

/// What is counted.
#[derive(Args)]
pub struct Arguments {
    /// Sizes of an entry, bytes.
    #[arg(long, value_delimiter = ',', default_value = SIZES)]
    sizes: Vec<usize>,
}

/// Of an entry.
#[derive(Debug, Clone, Serialize)]
struct Counted {
    engine: String,
    length: usize,
    syncs: BTreeMap<String, f64>,
    /// Bytes for the disk of each byte of an entry, the file system's journal included.
    disk_ratio: Option<f64>,
    /// Times that the disk was told to make everything durable.
    flushes: Option<f64>,
}

/// Counts, and prints.
pub fn run(common: &Common, arguments: &Arguments) -> Result<Value> {
    let mut counted = Vec::new();
    let disk = skip::can_run("log-engines, bytes for the disk", true, disks::TOOLS);
    println!(
        "\nsyncs of an entry, by strace; bytes for the disk of each byte of an entry, and flushes of the disk of an entry"
    );
    let heads = ["engine", "bytes", SYNCS[0], SYNCS[1], SYNCS[2], SYNCS[3], "to disk", "flushes"];
    let mut table = table(&heads);
    for length in &arguments.sizes {
        for engine in &common.engines {
            let syncs = syncs(common, engine, *length)?;
            let (disk_ratio, flushes) =
                if disk { written(common, engine, *length).map(Some)?.unzip() } else { (None, None) };
            let in_words =
                |figure: Option<f64>| figure.map_or("not counted".to_owned(), |figure| format!("{figure:.2}"));
            let of = |name: &&str| format!("{:.3}", syncs.get(*name).copied().unwrap_or_default());
            table.add_row(
                [engine.clone(), length.to_string()]
                    .into_iter()
                    .chain(SYNCS.iter().map(of))
                    .chain([in_words(disk_ratio), in_words(flushes)]),
            );
            counted.push(Counted { engine: engine.clone(), length: *length, syncs, disk_ratio, flushes });
        }
    }
    println!("{table}");
    Ok(json!(counted))
}

fn syncs(common: &Common, engine: &str, length: usize) -> Result<BTreeMap<String, f64>> {
    let dir = fresh(&common.dir, engine)?;
    let summary = common.dir.join("strace");
    let entries = plan(length).entries.min(SYNCED);
    let plan = Plan { warm_up: 0, entries, truncate_every: entries + 10, purge_bytes: u64::MAX, ..plan(length) };
    let traced = command(common, &task(engine, &dir, None, What::Measure(plan)))?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-c", "-e", &format!("trace={}", SYNCS.join(",")), "-o"]).arg(&summary);
    strace.arg(traced.get_program()).args(traced.get_args());
    let _: Outcome = answer(strace)?;
    fs::remove_dir_all(&dir)?;
    let calls = parse_calls(&fs::read_to_string(&summary)?);
    Ok(calls.into_iter().map(|(name, calls)| (name, calls as f64 / entries as f64)).collect())
}

/// Calls by name, of strace's summary: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn parse_calls(summary: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let name = words.last().filter(|name| SYNCS.contains(name))?;
        Some(((*name).to_owned(), words.get(3)?.parse().ok()?))
    };
    summary.lines().filter_map(line).collect()
}

/// A measurement less a run that ends before it: files that are filled beforehand are not of the entries.
fn written(common: &Common, engine: &str, length: usize) -> Result<(f64, f64)> {
    let place = tempfile::tempdir_in(&common.dir)?;
    let disk = Disk::create(&place.path().join("image"), &place.path().join("disk"))?;
    let device = device(disk.path())?;
    let plan = Plan { purge_bytes: u64::MAX, ..plan(length) };
    let mut totals = [(0, 0); 2];
    for (total, entries) in totals.iter_mut().zip([1, plan.entries]) {
        let dir = fresh(disk.path(), "log")?;
        let before = totals_of(&device, disk.path())?;
        let plan = Plan { entries, ..plan };
        let _: Outcome = answer(command(common, &task(engine, &dir, None, What::Measure(plan)))?)?;
        let after = totals_of(&device, disk.path())?;
        *total = (after.0 - before.0, after.1 - before.1);
    }
    let [before, all] = totals;
    let bytes = all.0.saturating_sub(before.0) * SECTOR;
    let flushes = all.1.saturating_sub(before.1);
    Ok((bytes as f64 / (plan.entries * length as u64) as f64, flushes as f64 / plan.entries as f64))
}

/// Name of the device that is mounted at `mount`.
fn device(mount: &Path) -> Result<String> {
    let mount = fs::canonicalize(mount)?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let source = lines.rfind(|words| words.get(1).is_some_and(|place| Path::new(place) == mount));
    let source = source.and_then(|words| words[0].strip_prefix("/dev/").map(str::to_owned));
    source.with_context(|| format!("the device of {}", mount.display()))
}

/// Sectors written to a device and flushes of it, since it is there (`Documentation/block/stat.rst`).
fn totals_of(device: &str, mount: &Path) -> Result<(u64, u64)> {
    let synced = Command::new("sync").arg("-f").arg(mount).status()?;
    ensure!(synced.success(), "sync: {synced}");
    let stat = fs::read_to_string(format!("/sys/block/{device}/stat"))?;
    let words: Vec<&str> = stat.split_whitespace().collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse().ok()).context("a figure of the device");
    Ok((number(6)?, number(15)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_a_summary_of_strace() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.70    0.402117         402      1000         2 fdatasync
  0.30    0.001203         401         3           fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.403320         402      1003         2 total
";
        assert_eq!(parse_calls(summary), [("fdatasync".to_owned(), 1000), ("fsync".to_owned(), 3)].into());
    }
}
