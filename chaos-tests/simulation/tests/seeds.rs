//! Many seeds, one process each; one of them twice, with the same trace. I1 to I7, I11, I12; R-A2, R-A3, R-A5.
//!
//! `KHO_SEED` is the first seed, `KHO_SEEDS` how many, `KHO_SECONDS` the virtual seconds of faults of each.
#![allow(clippy::unwrap_used)] // a test's helpers fail like the test

use std::process::{Command, Output};

use serde_json::Value;

/// The first seed of every run of the tests; others are tried by `make chaos` and `make soak`.
const SEED: u64 = 1;
/// `.ci/run` asks for more.
const SEEDS: u64 = 6;
/// In its first 20 s members are replaced, and a machine is cut at a named point.
const EVENTFUL: u64 = 11;
/// So many must meet what is drawn by chance.
const MANY: u64 = 40;
const SECONDS: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number")))
}

fn simulate(seed: u64, seconds: u64, more: &[&str]) -> (Output, Value) {
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_kho-simulate"));
    simulate.args(["--seed", &seed.to_string(), "--seconds", &seconds.to_string()]).args(more);
    let output = simulate.env_remove("RUST_LOG").output().unwrap();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, summary)
}

#[test]
fn every_promise_holds_in_every_seed() {
    let (seed, seeds) = (number("KHO_SEED", SEED), number("KHO_SEEDS", SEEDS));
    let seconds = number("KHO_SECONDS", SECONDS);
    let (output, total) = simulate(seed, seconds, &["--seeds", &seeds.to_string(), "--json"]);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // a simulation in which nothing happens proves nothing
    assert!(total["counts"]["records"].as_u64().unwrap() >= 20 * seeds, "too few records");
    assert!(total["faults"].as_object().is_some_and(|faults| !faults.is_empty()), "no faults");
    if seeds >= MANY {
        rare_ones_took_effect(&total, seeds);
    }
}

/// Members were replaced, machines were cut at named points, nodes without their log were refused.
fn rare_ones_took_effect(total: &Value, seeds: u64) {
    let count = |of: &str, what: &str| {
        let counts = total[of].as_object().unwrap().iter().filter(|(name, _)| name.starts_with(what));
        counts.map(|(_, count)| count.as_u64().unwrap()).sum::<u64>()
    };
    for (of, what) in [("faults", "replace"), ("faults", "cut at"), ("members", "done"), ("members", "without its log")]
    {
        assert!(count(of, what) >= seeds / 4, "{what}: {total}");
    }
}

#[test]
fn the_same_seed_does_the_same_again() {
    let seed = number("KHO_SEED", SEED);
    let trace = |seed| {
        let (output, summary) = simulate(seed, 20, &[]);
        let trace = summary["trace"].as_str().map(str::to_owned);
        (trace.unwrap_or_else(|| panic!("seed {seed} gave no summary: {output:?}")), summary)
    };
    let (first, _) = trace(seed);
    assert_eq!(first, trace(seed).0, "seed {seed}");
    assert_ne!(first, trace(seed + 1).0, "another seed does something else");
    let (eventful, summary) = trace(EVENTFUL);
    assert_eq!(eventful, trace(EVENTFUL).0, "seed {EVENTFUL}");
    let cuts = summary["faults"].as_object().unwrap().keys().any(|fault| fault.starts_with("cut at"));
    assert!(cuts && summary["members"]["done"].as_u64() > Some(0), "another seed is eventful by now: {summary}");
}
