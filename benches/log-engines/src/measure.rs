//! One entry after the other, each on disk before the next, as the log's writer thread does; now and then a truncation with
//! a vote, and a purge.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::body;
use crate::engine::{Entry, LogEngine, LogId, Vote};
use crate::usage::{self, Used};

/// What is committed lies so far behind what is appended.
const UNCOMMITTED: u64 = 4;
/// Entries that a truncation takes: none that is committed.
const CUT: u64 = 2;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Bytes of an entry.
    pub length: usize,
    /// Entries before the measurement begins.
    pub warm_up: u64,
    /// Entries that count.
    pub entries: u64,
    /// Appended bytes between two purges.
    pub purge_bytes: u64,
    /// Bytes of entries that a purge leaves.
    pub keep_bytes: u64,
    /// Entries between two truncations.
    pub truncate_every: u64,
}

/// What it came to; a figure of an entry includes its share of all that is done besides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Time of an append until it is on the disk, median, µs.
    pub append_p50_us: f64,
    /// The same of one in a hundred, µs.
    pub append_p99_us: f64,
    /// Time of an entry, µs.
    pub wall_us: f64,
    /// Processor time of an entry, µs.
    pub cpu_us: f64,
    /// The same of the whole machine, with the file system's threads, and with whatever else runs.
    pub machine_us: f64,
    /// Part of the engine's in the kernel.
    pub kernel_part: f64,
    /// Bytes of write calls of each byte of an entry.
    pub write_ratio: f64,
    /// Most memory, KiB.
    pub peak_kib: u64,
    /// Files after a last purge, bytes on the disk of each byte that is left.
    pub left_ratio: f64,
}

/// The log as it is written.
struct Course {
    log: Box<dyn LogEngine>,
    body: Bytes,
    /// Term of each entry; its place is its index.
    terms: Vec<u64>,
    committed: u64,
    since_purge: u64,
}

impl Course {
    fn last(&self) -> u64 {
        self.terms.len() as u64 - 1
    }

    fn id(&self, index: u64) -> LogId {
        LogId { term: self.terms[index as usize], index }
    }

    fn term(&self) -> u64 {
        self.terms.last().copied().unwrap_or(1).max(1)
    }

    fn append(&mut self, term: u64) -> Result<u64> {
        let id = LogId { term, index: self.last() + 1 };
        // a buffer of its own, as each entry has
        let entry = Entry { id, body: Bytes::copy_from_slice(&self.body) };
        // never back, not after a truncation either
        self.committed = self.committed.max(id.index.saturating_sub(UNCOMMITTED));
        let committed = (self.committed > 0).then(|| self.id(self.committed));
        let begun = Instant::now();
        self.log.append(&[entry], committed)?;
        let nanoseconds = begun.elapsed().as_nanos() as u64;
        self.terms.push(term);
        self.since_purge += self.body.len() as u64;
        Ok(nanoseconds)
    }

    fn truncate(&mut self) -> Result<()> {
        let last = self.id(self.last() - CUT);
        let vote = Vote { term: self.term() + 1, node: 1 };
        self.log.save_vote(vote)?;
        self.log.truncate_after(last)?;
        self.terms.truncate(last.index as usize + 1);
        Ok(())
    }

    fn purge(&mut self, keep_bytes: u64) -> Result<()> {
        let kept = (keep_bytes / self.body.len() as u64).max(UNCOMMITTED + 1);
        if let Some(upto) = self.last().checked_sub(kept).filter(|upto| (1..=self.committed).contains(upto)) {
            self.log.purge(self.id(upto))?;
        }
        self.since_purge = 0;
        Ok(())
    }

    fn run(&mut self, plan: &Plan, entries: u64) -> Result<Vec<u64>> {
        let mut times = Vec::with_capacity(entries as usize);
        let mut term = self.term();
        for n in 1..=entries {
            if n % plan.truncate_every == 0 {
                self.truncate()?;
                term += 1;
            }
            times.push(self.append(term)?);
            if self.since_purge >= plan.purge_bytes {
                self.purge(plan.keep_bytes)?;
            }
        }
        Ok(times)
    }
}

/// Measures.
pub fn run(log: Box<dyn LogEngine>, dir: &Path, plan: &Plan) -> Result<Outcome> {
    ensure!(plan.truncate_every > CUT + UNCOMMITTED, "truncations meet what is committed");
    let body = body::of_length(LogId::default(), plan.length);
    let mut course = Course { log, body, terms: vec![0], committed: 0, since_purge: 0 };
    course.run(plan, plan.warm_up)?;
    let (before, begun) = (Used::now()?, Instant::now());
    let mut times = course.run(plan, plan.entries)?;
    let wall = begun.elapsed();
    let used = Used::now()?.since(&before);
    times.sort_unstable();
    let of = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    let (entries, bytes) = (plan.entries as f64, (plan.entries * plan.length as u64) as f64);
    course.purge(plan.keep_bytes)?;
    let peak_kib = usage::peak_kib()?;
    let left = plan.keep_bytes.max(plan.length as u64 * (UNCOMMITTED + 1)) as f64;
    drop(course);
    Ok(Outcome {
        append_p50_us: of(0.5),
        append_p99_us: of(0.99),
        wall_us: wall.as_secs_f64() * 1e6 / entries,
        cpu_us: used.cpu_ns as f64 / 1e3 / entries,
        machine_us: used.machine_us() / entries,
        kernel_part: used.kernel_part(),
        write_ratio: used.write_bytes as f64 / bytes,
        peak_kib,
        left_ratio: usage::disk_bytes(dir)? as f64 / left,
    })
}
