//! Who watches a log: its files, and the commands it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kho_proto::checkpoint::{Checkpoint, VerifierKey};
use kho_proto::digest::Digest;
use serde_json::Value;

use crate::published::Log;

/// What a command printed, whatever became of it.
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.exit, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub fn refused(self, code: &str) -> String {
        assert_eq!(self.exit, 1, "{}\n{}", self.out, self.err);
        assert!(self.err.contains(&format!("error [{code}]: ")), "{}", self.err);
        self.out
    }
}

pub fn kho(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_kho")).args(arguments).env("LC_ALL", "C").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A monitor's directory, beside the log's.
pub struct Monitor {
    pub dir: tempfile::TempDir,
    pub key: String,
}

impl Monitor {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: Log::key().to_string() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Publishes a log anew.
    pub fn publish(&self, log: &Log) {
        let _first = fs::remove_dir_all(self.path("log"));
        log.publish(&self.path("log"));
    }

    /// Keeps a checkpoint.
    pub fn keep(&self, name: &str, log: &Log, size: usize) -> String {
        fs::write(self.path(name), log.note(size)).unwrap();
        self.text(name)
    }

    pub fn run(&self, command: &str, arguments: &[&str]) -> Ran {
        let (log, evidence) = (self.text("log"), self.text("evidence"));
        let mut all = vec!["log", command, "--dir", &log, "--key", &self.key];
        if command != "checkpoint" {
            all.extend(["--evidence", &evidence]);
        }
        all.extend(arguments);
        kho(&all)
    }

    /// The evidence that a report names.
    pub fn evidence(&self, report: &Value) -> Value {
        let path = Path::new(report["evidence"].as_str().unwrap_or_else(|| panic!("no evidence in {report}")));
        assert_eq!(path.parent(), Some(&*self.path("evidence")));
        json(&fs::read_to_string(path).unwrap())
    }
}

pub fn digest(value: &Value) -> Digest {
    Digest::try_from(hex::decode(value.as_str().unwrap()).unwrap().as_slice()).unwrap()
}

pub fn digests(value: &Value) -> Vec<Digest> {
    value.as_array().unwrap().iter().map(digest).collect()
}

pub fn opened(evidence: &Value, note: &str) -> Checkpoint {
    let key: VerifierKey = evidence["verifier_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(key, Log::key());
    key.open(evidence[note].as_str().unwrap().as_bytes()).unwrap()
}
