//! Many seeds, a process each, as many at once as there are cores; and what came of all of them.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

/// What came of many seeds.
#[derive(Debug, Default, Serialize)]
struct Total {
    /// Always `simulation`.
    ring: &'static str,
    /// The first seed.
    first: u64,
    /// How many.
    seeds: u64,
    /// Virtual seconds, healing and judging included.
    seconds: f64,
    /// Faults that happened, by kind.
    faults: BTreeMap<String, u64>,
    /// Nodes that ended by themselves, by code.
    ended: BTreeMap<String, u64>,
    /// Replacements of members, by what came of them.
    members: BTreeMap<String, u64>,
    /// Operations, records, looks.
    counts: BTreeMap<String, u64>,
    /// Broken promises, by seed.
    violations: Vec<String>,
}

impl Total {
    fn add(&mut self, seed: u64, summary: &Value, error: &str) {
        self.seconds += summary["seconds"].as_f64().unwrap_or_default();
        for (name, sums) in [("faults", &mut self.faults), ("ended", &mut self.ended), ("members", &mut self.members)] {
            for (kind, count) in summary[name].as_object().into_iter().flatten() {
                *sums.entry(kind.clone()).or_default() += count.as_u64().unwrap_or_default();
            }
        }
        for name in ["ok", "failed", "unknown", "records", "looks"] {
            *self.counts.entry(name.to_owned()).or_default() += summary[name].as_u64().unwrap_or_default();
        }
        let breaches = summary["breaches"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut violations: Vec<_> = breaches.map(|breach| format!("seed {seed}: {breach}")).collect();
        if summary.is_null() {
            violations.push(format!("seed {seed}: no verdict: {}", error.lines().last().unwrap_or_default()));
        }
        self.violations.extend(violations);
    }

    fn print(&self) {
        println!("{} seeds from {}, {:.0} virtual seconds in all", self.seeds, self.first, self.seconds);
        println!("{:<34} {:>9}", "fault", "happened");
        self.faults.iter().for_each(|(fault, count)| println!("{fault:<34} {count:>9}"));
        println!("{:<34} {:>9}", "ended by itself", "");
        self.ended.iter().for_each(|(code, count)| println!("{code:<34} {count:>9}"));
        println!("{:<34} {:>9}", "replacements", "");
        self.members.iter().for_each(|(what, count)| println!("{what:<34} {count:>9}"));
        println!("{:<34} {:>9}", "operations", "");
        self.counts.iter().for_each(|(name, count)| println!("{name:<34} {count:>9}"));
        println!("{:<34} {:>9}", "violations", self.violations.len());
    }
}

/// Simulates `seeds` seeds from `first` on. `json`: one line of JSON at the end instead of a table.
pub fn run(first: u64, seeds: u64, seconds: u64, json: bool) -> std::io::Result<ExitCode> {
    let own = std::env::current_exe()?;
    let next = AtomicU64::new(first);
    let total = Mutex::new(Total { ring: "simulation", first, seeds, ..Total::default() });
    let work = || -> std::io::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(());
            }
            let mut simulate = Command::new(&own);
            simulate.args(["--seed", &seed.to_string(), "--seconds", &seconds.to_string()]).stdin(Stdio::null());
            let output = simulate.output()?;
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                eprintln!("seed {seed}: {}\n{error}", output.status);
            }
            total.lock().add(seed, &summary, &error);
        }
    };
    let cores = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| std::io::Error::other("a worker panicked"))?)
    })?;
    let total = total.into_inner();
    if let Some(path) = std::env::var_os("KHO_SUMMARY") {
        let line = serde_json::to_string(&total).map_err(std::io::Error::other)?;
        std::fs::write(path, line + "\n")?;
    }
    if json {
        println!("{}", serde_json::to_string(&total).map_err(std::io::Error::other)?);
    } else {
        total.print();
    }
    Ok(if total.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
