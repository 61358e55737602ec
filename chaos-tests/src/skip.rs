//! Tests that cannot run here say so, loudly: the test harness hides what passing tests print.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

/// Set: a missing tool or right fails the test instead.
const REQUIRE: &str = "KHO_REQUIRE_ALL";
/// File to which each skipped test adds a line; `scripts/test` prints it at the end.
const FILE: &str = "KHO_SKIPPED";

/// Says that `test` is skipped and why, or panics where everything must run.
pub fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os(REQUIRE).is_none(), "{test} cannot run: {reason}");
    tell(test, reason);
}

/// Says that a part of a test is left out and why, where the rest still proves something: a kind of fault among many that
/// this machine's kernel does not let anybody cause.
pub fn leave_out(part: &str, reason: &str) {
    tell(part, reason);
}

fn tell(test: &str, reason: &str) {
    let line = format!("{test}: {reason}\n");
    // straight to the handle: the harness captures only what the macros print
    let _ = write!(std::io::stderr(), "\nSKIPPED: {line}");
    if let Some(path) = std::env::var_os(FILE) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the list of skipped tests");
        file.write_all(line.as_bytes()).expect("a line for the skipped test");
    }
}

/// Whether all `tools` are there and we are root if need be; else the test is skipped.
pub fn can_run(test: &str, root: bool, tools: &[&str]) -> bool {
    if root && !rustix::process::geteuid().is_root() {
        skip(test, "needs root");
        return false;
    }
    let there = |tool: &&str| {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = tools.iter().filter(|tool| !there(tool)).copied().collect();
    if !missing.is_empty() {
        skip(test, &format!("needs {}", missing.join(", ")));
    }
    missing.is_empty()
}
