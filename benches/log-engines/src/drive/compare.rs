//! What an entry costs. Rounds take turns, so that what else the machine does meets all engines alike.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Args;
use kho_log_engines::task::{Looked, Outcome, Plan, What};
use serde::Serialize;
use serde_json::{Value, json};

use super::process::{answer, command, fresh, task, write_and_kill};
use super::table::{in_words, table};
use crate::Common;

/// Appended bytes of a measurement: two tables of RocksDB are filled and written, and there is a purge.
const BYTES: u64 = 72 << 20;
/// Appended before: files are written over by then where an engine does so, and RocksDB has merged its first four tables,
/// which it does once; later ones it moves.
const WARM_UP_BYTES: u64 = 200 << 20;
/// At most so many entries.
const ENTRIES_MAX: u64 = 12_000;
/// Bytes between two purges, MiB.
const PURGE_MIB: u64 = 64;
const KEEP_BYTES: u64 = 16 << 20;
/// The log that is opened: entries of twenty records, written some at a time.
const OPENED_ENTRY_BYTES: usize = 24 << 10;
const TOGETHER: u64 = 64;

/// What is measured.
#[derive(Args)]
pub struct Arguments {
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Sizes of an entry, bytes: five records, twenty, and one as large as a message of a peer may be.
    #[arg(long, value_delimiter = ',', default_value = SIZES)]
    sizes: Vec<usize>,
    /// MiB appended between two purges; 0: none but the last, as a node that keeps its log for days.
    #[arg(long, default_value_t = PURGE_MIB)]
    purge_mib: u64,
    /// Size of the log that is opened, MiB; 0: none is.
    #[arg(long, default_value_t = 256)]
    open_mib: u64,
    /// Rounds of that.
    #[arg(long, default_value_t = 3)]
    open_rounds: usize,
}

/// Sizes, unless others are asked for.
pub(super) const SIZES: &str = "6144,24576,1048576";

pub(super) fn plan(length: usize) -> Plan {
    let entries = (BYTES / length as u64).clamp(60, ENTRIES_MAX);
    Plan {
        length,
        warm_up: WARM_UP_BYTES / length as u64,
        entries,
        purge_bytes: PURGE_MIB << 20,
        keep_bytes: KEEP_BYTES,
        truncate_every: (entries / 12).clamp(10, 1_000),
    }
}

type Rounds = BTreeMap<usize, BTreeMap<String, Vec<Outcome>>>;

/// Measures, and prints.
pub fn run(common: &Common, arguments: &Arguments) -> Result<Value> {
    let mut rounds = Rounds::new();
    for round in 0..arguments.rounds {
        for size in &arguments.sizes {
            for turn in 0..common.engines.len() {
                // another one begins each round
                let engine = &common.engines[(round + turn) % common.engines.len()];
                let dir = fresh(&common.dir, engine)?;
                let purge_bytes = if arguments.purge_mib == 0 { u64::MAX } else { arguments.purge_mib << 20 };
                let plan = Plan { purge_bytes, ..plan(*size) };
                let outcome: Outcome = answer(command(common, &task(engine, &dir, None, What::Measure(plan)))?)
                    .with_context(|| engine.clone())?;
                fs::remove_dir_all(&dir)?;
                rounds.entry(*size).or_default().entry(engine.clone()).or_default().push(outcome);
            }
        }
        eprintln!("round {} of {}", round + 1, arguments.rounds);
    }
    show(common, &rounds);
    let opened = if arguments.open_mib > 0 { open(common, arguments)? } else { BTreeMap::new() };
    Ok(json!({"rounds": rounds, "opened": opened}))
}

fn show(common: &Common, rounds: &Rounds) {
    let heads = [
        "engine",
        "append p50 µs",
        "p99 µs",
        "entry µs",
        "CPU µs",
        "of it kernel",
        "machine µs",
        "CPU ratio",
        "machine ratio",
        "time ratio",
        "written",
        "left on disk",
        "peak MiB",
    ];
    for (size, engines) in rounds {
        println!(
            "\nentries of {size} bytes; median (least to most) of the rounds; ratios of a round to the first engine's"
        );
        let mut table = table(&heads);
        let Some(first) = common.engines.first().and_then(|name| engines.get(name)) else { continue };
        for name in &common.engines {
            let outcomes = &engines[name];
            let of = |figure: fn(&Outcome) -> f64| outcomes.iter().map(figure).collect::<Vec<_>>();
            let ratio = |figure: fn(&Outcome) -> f64| {
                outcomes.iter().zip(first).map(|(own, first)| figure(own) / figure(first)).collect::<Vec<_>>()
            };
            table.add_row([
                name.clone(),
                in_words(&of(|o| o.append_p50_us), 0),
                in_words(&of(|o| o.append_p99_us), 0),
                in_words(&of(|o| o.wall_us), 0),
                in_words(&of(|o| o.cpu_us), 1),
                in_words(&of(|o| o.kernel_part), 2),
                in_words(&of(|o| o.machine_us), 0),
                in_words(&ratio(|o| o.cpu_us), 2),
                in_words(&ratio(|o| o.machine_us), 2),
                in_words(&ratio(|o| o.wall_us), 2),
                in_words(&of(|o| o.write_ratio), 2),
                in_words(&of(|o| o.left_ratio), 2),
                in_words(&of(|o| o.peak_kib as f64 / 1024.0), 0),
            ]);
        }
        println!("{table}");
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Opened {
    open_ms: f64,
    peak_mib: f64,
}

/// Time to open a log again whose process was killed; its files are in the page cache.
fn open(common: &Common, arguments: &Arguments) -> Result<BTreeMap<String, Vec<Opened>>> {
    let entries = (arguments.open_mib << 20) / OPENED_ENTRY_BYTES as u64;
    let write = What::Write { entries, length: OPENED_ENTRY_BYTES, together: TOGETHER };
    let look = What::Look { length: Some(OPENED_ENTRY_BYTES), read: false };
    let mut opened: BTreeMap<String, Vec<Opened>> = BTreeMap::new();
    for _ in 0..arguments.open_rounds {
        for engine in &common.engines {
            let dir = fresh(&common.dir, engine)?;
            write_and_kill(common, &task(engine, &dir, None, write.clone()))?;
            let looked: Looked = answer(command(common, &task(engine, &dir, None, look.clone()))?)?;
            ensure!(looked.refused.is_none(), "{engine}: {looked:?}");
            fs::remove_dir_all(&dir)?;
            let figures = Opened { open_ms: looked.open_us as f64 / 1e3, peak_mib: looked.peak_kib as f64 / 1024.0 };
            opened.entry(engine.clone()).or_default().push(figures);
        }
    }
    println!(
        "\na log of {} MiB in entries of {OPENED_ENTRY_BYTES} bytes, opened after its process was killed",
        arguments.open_mib
    );
    let mut table = table(&["engine", "open ms", "peak MiB"]);
    for (engine, figures) in &opened {
        let of = |figure: fn(&Opened) -> f64| figures.iter().map(figure).collect::<Vec<_>>();
        table.add_row([engine.clone(), in_words(&of(|o| o.open_ms), 0), in_words(&of(|o| o.peak_mib), 0)]);
    }
    println!("{table}");
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_fills_two_tables_of_rocksdb_and_purges() {
        for length in [6 << 10, 24 << 10, 1 << 20] {
            let plan = plan(length);
            let bytes = plan.entries * plan.length as u64;
            assert!(bytes >= plan.purge_bytes && plan.entries >= 60, "{plan:?}");
        }
    }
}
