//! What every test of the binary does: run it, and run it against nodes.
#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test's helpers fail like the test

pub mod machine;

use std::path::Path;
use std::process::{Command, Output};

use kho::dev::DevCluster;

/// Runs the binary.
pub fn kho(arguments: &[&str]) -> Output {
    // in English, wherever the test runs
    let mut kho = Command::new(env!("CARGO_BIN_EXE_kho"));
    kho.args(arguments).env_remove("KHO_CONFIG").env("LC_ALL", "C").output().unwrap()
}

/// Runs it, and it ends with `code`; its output, and what it said.
#[track_caller]
pub fn ends(arguments: &[&str], code: i32) -> (String, String) {
    let output = kho(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "kho {}\n{out}\n{err}", arguments.join(" "));
    (out, err)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The line of a client's file that names the log's key: the example's, for who is never answered.
pub fn verifier_key() -> String {
    let (example, _) = ends(&["config", "example", "--client"], 0);
    let key = example.lines().find_map(|line| line.strip_prefix("# verifier_key")).unwrap();
    format!("verifier_key{key}")
}

/// Three nodes; the directory goes away after them.
pub async fn cluster(dir: &tempfile::TempDir) -> DevCluster {
    let mut cluster = DevCluster::create(&dir.path().join("c"), 3).unwrap();
    cluster.set_executable(env!("CARGO_BIN_EXE_kho").as_ref());
    cluster.launch().await.unwrap();
    cluster
}
