//! Many seeds, one process each; one of them twice, with the same trace. I1 to I7, I11, I12; R-A2, R-A3, R-A5.
//!
//! `KHO_SEED` is the first seed, `KHO_SEEDS` how many, `KHO_SECONDS` the virtual seconds of faults of each.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The first seed of every run of the tests; others are tried by `make chaos` and `make soak`.
const SEED: u64 = 1;
const SEEDS: u64 = 8;
const SECONDS: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number")))
}

fn simulate(seed: u64, seconds: u64) -> Output {
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_kho-simulate"));
    simulate.args(["--seed", &seed.to_string(), "--seconds", &seconds.to_string()]);
    simulate.env_remove("RUST_LOG").output().unwrap()
}

fn summary(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn every_promise_holds_in_every_seed() {
    let (first, seeds, seconds) =
        (number("KHO_SEED", SEED), number("KHO_SEEDS", SEEDS), number("KHO_SECONDS", SECONDS));
    let next = AtomicU64::new(first);
    let (failures, totals) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<String, u64>::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let output = simulate(seed, seconds);
                    let summary = summary(&output);
                    let mut totals = totals.lock().unwrap();
                    for name in ["ok", "failed", "unknown", "records", "looks"] {
                        *totals.entry(name.to_owned()).or_default() += summary[name].as_u64().unwrap_or_default();
                    }
                    for (fault, count) in summary["faults"].as_object().into_iter().flatten() {
                        *totals.entry(format!("fault: {fault}")).or_default() += count.as_u64().unwrap_or_default();
                    }
                    if !output.status.success() {
                        let error = String::from_utf8_lossy(&output.stderr).into_owned();
                        failures.lock().unwrap().push(format!("seed {seed}: {}\n{error}", output.status));
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("seeds {first} to {}, {seconds} virtual seconds of faults each", first + seeds - 1);
    totals.iter().for_each(|(name, count)| println!("{count:>10}  {name}"));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // a simulation in which nothing happens proves nothing
    assert!(totals["records"] >= 20 * seeds, "too few records: {totals:?}");
    assert!(totals.keys().any(|name| name.starts_with("fault: ")), "no faults: {totals:?}");
}

#[test]
fn the_same_seed_does_the_same_again() {
    let seed = number("KHO_SEED", SEED);
    let traces = [0, 1].map(|_| summary(&simulate(seed, 20))["trace"].as_str().map(str::to_owned));
    assert!(traces[0].is_some(), "seed {seed} gave no summary");
    assert_eq!(traces[0], traces[1], "seed {seed}");
    let other = summary(&simulate(seed + 1, 20))["trace"].as_str().map(str::to_owned);
    assert_ne!(traces[0], other, "another seed does something else");
}
