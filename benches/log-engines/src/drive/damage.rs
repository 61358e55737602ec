//! Bytes that were synced and then changed on the disk. The log may refuse to open or to read; it must not open without
//! them as if they had never been there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use kho_log_engines::account::{Account, Breach, Found};
use kho_log_engines::body::Chance;
use kho_log_engines::task::{Looked, What};
use serde_json::{Value, json};

use super::process::{answer, command, fresh, task, write_and_kill};
use super::table::table;
use crate::Common;

/// Several files of each engine.
const FILE_BYTES: u64 = 2 << 20;
/// Bytes and number of entries: blank ones, where much is headers, and batches of five records.
const LOGS: [(usize, u64); 2] = [(64, 12_000), (6 << 10, 1_000)];
const TOGETHER: u64 = 4;
/// What a disk writes at once.
const PAGE: u64 = 4096;
/// Bytes of the end that a torn write lacks.
const TORN: u64 = 16;
/// Files that hold entries.
const DATA: [&str; 5] = ["log", "sst", "raftlog", "rewrite", "wal"];

/// How often.
#[derive(Args)]
pub struct Arguments {
    /// Changes of each kind, of each log.
    #[arg(long, default_value_t = 60)]
    trials: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One bit is turned.
    Bit,
    /// A page reads as zeros, in the middle.
    Page,
    /// The last bytes of the newest file are zeros: as after a write over an older file that did not come through.
    Torn,
    /// They are not there: as after a write at the end that did not come through. This must open, and is shorter.
    Cut,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Bit, "a bit turned"),
    (Kind::Page, "a page of zeros"),
    (Kind::Torn, "last bytes zeros"),
    (Kind::Cut, "last bytes missing"),
];

/// What a log says to it, from best to worst.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// All entries are there.
    Unharmed,
    /// It does not open.
    Refused,
    /// It opens, and says so where it is read.
    Told,
    /// Its process ended.
    Ended,
    /// It opens without entries that were on the disk, and says nothing.
    Shorter,
    /// It shows something else than what was written.
    Wrong(String),
}

impl Answer {
    const ALL: [&str; 6] = ["unharmed", "refused", "told when read", "process ends", "silently shorter", "wrong"];

    fn place(&self) -> usize {
        match self {
            Answer::Unharmed => 0,
            Answer::Refused => 1,
            Answer::Told => 2,
            Answer::Ended => 3,
            Answer::Shorter => 4,
            Answer::Wrong(_) => 5,
        }
    }
}

/// A file, up to its last byte that is not zero: what is behind was only allocated.
struct Data {
    path: PathBuf,
    length: u64,
}

fn data(dir: &Path) -> Result<Vec<Data>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if DATA.contains(&extension) {
            let bytes = fs::read(&path)?;
            let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            files.push(Data { path, length });
        }
    }
    files.retain(|file| file.length > PAGE);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    ensure!(!files.is_empty(), "no files with entries in {}", dir.display());
    Ok(files)
}

/// Changes a copy of the log; where.
fn change(kind: Kind, dir: &Path, chance: &mut Chance) -> Result<(PathBuf, u64)> {
    let files = data(dir)?;
    let (file, at) = match kind {
        Kind::Torn | Kind::Cut => {
            // names ascend; a log is not a table
            let newest = files.iter().rfind(|file| file.path.extension().is_none_or(|extension| extension != "sst"));
            let newest = newest.context("a log")?;
            (newest, newest.length - TORN)
        }
        _ => {
            let mut at = chance.below(files.iter().map(|file| file.length).sum());
            let mut files = files.iter();
            loop {
                let file = files.next().context("within the files")?;
                if at < file.length {
                    break (file, at);
                }
                at -= file.length;
            }
        }
    };
    let mut bytes = fs::read(&file.path)?;
    let (from, to) = match kind {
        Kind::Bit => (at, at + 1),
        // a page in the middle: the last one may be torn, that is another kind
        Kind::Page => {
            let pages = (file.length / PAGE).saturating_sub(1).max(1);
            let page = (at / PAGE).min(pages - 1);
            (page * PAGE, (page + 1) * PAGE)
        }
        Kind::Torn | Kind::Cut => (at, file.length),
    };
    for byte in &mut bytes[from as usize..to as usize] {
        *byte = if kind == Kind::Bit { *byte ^ (1 << chance.below(8)) } else { 0 };
    }
    if kind == Kind::Cut {
        bytes.truncate(at as usize);
    }
    fs::write(&file.path, bytes)?;
    Ok((file.path.clone(), from))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().context("a name")?))?;
    }
    Ok(())
}

fn judge(account: &Account, looked: Result<Looked>) -> (Answer, String) {
    match looked {
        Err(error) => (Answer::Ended, error.to_string()),
        Ok(Looked { refused: Some(reason), .. }) => (Answer::Refused, reason),
        Ok(Looked { error, found, .. }) => match (account.judge(None, &found), error) {
            (Ok(()), None) => (Answer::Unharmed, String::new()),
            // what came before the error was right
            (Ok(()) | Err(Breach::Lost { .. }), Some(error)) => (Answer::Told, error),
            (Err(breach @ (Breach::Lost { .. } | Breach::Committed { .. })), None) => {
                (Answer::Shorter, breach.to_string())
            }
            (Err(breach), _) => (Answer::Wrong(breach.to_string()), breach.to_string()),
        },
    }
}

fn entries(found: &Found) -> u64 {
    found.entries.len() as u64
}

/// Damages, looks, prints.
pub fn run(common: &Common, arguments: &Arguments) -> Result<Value> {
    let mut heads = table(&[&["engine", "entries of", "damage"][..], &Answer::ALL[..]].concat());
    let mut report = Vec::new();
    for engine in &common.engines {
        for (length, count) in LOGS {
            let made = fresh(&common.dir, &format!("{engine}-made"))?;
            let write = What::Write { entries: count, length, together: TOGETHER };
            write_and_kill(common, &task(engine, &made, Some(FILE_BYTES), write))?;
            let look = |dir: &Path| {
                let what = What::Look { length: Some(length), read: true };
                answer::<Looked>(command(common, &task(engine, dir, Some(FILE_BYTES), what))?)
            };
            let place = fresh(&common.dir, &format!("{engine}-damaged"))?;
            copy(&made, &place)?;
            let whole = look(&place)?;
            ensure!(whole.error.is_none() && entries(&whole.found) == count, "{engine}: an undamaged log: {whole:?}");
            let account = Account::of(&whole.found);
            for (kind, name) in KINDS {
                let mut chance = Chance::new(common.seed);
                let (mut answers, mut examples) = ([0_u64; 6], BTreeMap::new());
                for _ in 0..arguments.trials {
                    let place = fresh(&common.dir, &format!("{engine}-damaged"))?;
                    copy(&made, &place)?;
                    let (file, at) = change(kind, &place, &mut chance)?;
                    let (answer, why) = judge(&account, look(&place));
                    answers[answer.place()] += 1;
                    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    examples.entry(Answer::ALL[answer.place()]).or_insert(format!("{file} at {at}: {why}"));
                    if matches!(kind, Kind::Torn | Kind::Cut) {
                        // always the same place
                        break;
                    }
                }
                let row = [engine.clone(), length.to_string(), name.to_owned()];
                heads.add_row(row.into_iter().chain(answers.iter().map(u64::to_string)));
                let answers: BTreeMap<_, _> = Answer::ALL.iter().zip(answers).collect();
                report.push(json!({"engine": engine, "length": length, "damage": name, "answers": answers, "examples": examples}));
            }
            fs::remove_dir_all(&made)?;
            fs::remove_dir_all(&place)?;
        }
    }
    println!("{heads}");
    Ok(report.into())
}
